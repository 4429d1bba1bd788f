#include "worker/executor.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "worker/calibration.h"

namespace quarry::worker {
namespace {

using std::chrono::milliseconds;

/// How often a running job looks for a cancel, and how often it tells its progress.
constexpr milliseconds kLookEvery{2}, kProgressEvery{50};
/// Small outputs share the JobDone up to this; the rest goes in memory files.
constexpr size_t kMaxInlineTotal = kMaxLocalMessageBytes / 2;

Problem broken(const std::string& detail) {
  return {"local_protocol", detail, "", ""};
}

/// What the engine says of a graph, its inputs or its job document.
constexpr std::array<std::string_view, 8> kGraphProblems{"graph_error",     "invalid_program", "unknown_input",
                                                         "unknown_output",  "shape_mismatch",  "missing_input",
                                                         "input_truncated", "invalid_steps"};

/// The typed failures of wire::AttemptFailure. What is not known here is the box's failure: a graph is not blamed for
/// a disk that cannot be read.
std::string failure_code(const std::string& problem) {
  if (problem == "out_of_memory" || problem == "memory_bound_exceeded") return "out_of_memory";
  if (problem == "cancelled" || problem == "graph_mismatch") return problem;
  const bool graph = std::find(kGraphProblems.begin(), kGraphProblems.end(), problem) != kGraphProblems.end();
  return graph ? "graph_error" : "device_error";
}

std::string shortened(std::string text) {
  if (text.size() > kMaxDetailBytes) text.resize(kMaxDetailBytes);
  return text;
}

uint64_t nanoseconds_since(const Clock& clock, Instant start) {
  return static_cast<uint64_t>(std::chrono::nanoseconds(clock.now() - start).count());
}

}  // namespace

Executor::Executor(FileDescriptor socket, device::Device& device, uint64_t memory_bytes, const Clock& clock)
    : socket_(std::move(socket)),
      device_(device),
      memory_bytes_(memory_bytes),
      clock_(clock),
      programs_(device, memory_bytes) {}

Status Executor::serve() {
  while (!closed_) {
    if (auto status = receive(jobs_.empty() && !calibrate_); !status.ok()) closed_ = status.problem();
    if (closed_) break;
    if (calibrate_) measure(*std::exchange(calibrate_, std::nullopt));
    if (!jobs_.empty()) run_next_job();
  }
  return closed_->code == "closed" ? Status() : Status(*closed_);
}

Status Executor::receive(bool wait) {
  while (true) {
    QUARRY_ASSIGN(std::optional<Packet> packet, receive_packet(socket_.get(), wait));
    if (!packet) return {};
    QUARRY_ASSIGN(ToExecutor message, decode_to_executor(packet->bytes));
    QUARRY_TRY(std::visit([&](auto& m) { return handle(std::move(m), std::move(packet->descriptors)); }, message));
    wait = false;  // and whatever else is there already
  }
}

Status Executor::handle(AttachBlobs message, std::vector<FileDescriptor> files) {
  if (attached_ticket_ != message.ticket) attached_.clear();
  attached_ticket_ = message.ticket;
  if (attached_.size() + files.size() > kMaxBlobsPerJob) return broken("a job has too many blobs");
  for (const FileDescriptor& file : files) {
    QUARRY_ASSIGN(MappedBlob blob, MappedBlob::map(file));
    attached_.push_back(std::move(blob));
  }
  return {};
}

Status Executor::handle(StartJob message, std::vector<FileDescriptor>) {
  if (attached_.empty() || attached_ticket_ != message.ticket) return broken("a job came without its graph");
  jobs_.push_back({std::move(message), std::move(attached_)});
  attached_.clear();
  return {};
}

Status Executor::handle(CancelJob message, std::vector<FileDescriptor>) {
  for (Job& job : jobs_)
    if (job.start.ticket == message.ticket) job.cancelled = true;
  return {};
}

Status Executor::handle(Calibrate message, std::vector<FileDescriptor>) {
  calibrate_ = message;
  return {};
}

/// A job that comes meanwhile waits for one rate, not for all of them.
void Executor::measure(const Calibrate& wanted) {
  send(measure_rate_card(device_, memory_bytes_, clock_, [&] {
    if (auto status = receive(false); !status.ok()) closed_ = status.problem();
    return wanted.whole && jobs_.empty() && !closed_;
  }));
}

/// The first job of the tenant whose last turn is longest ago: however many jobs of one wait here, another's first one
/// waits for one of them at most.
void Executor::bring_next_to_front() {
  const auto last_turn = [&](const Job& job) {
    const auto at = served_.find(job.start.tenant);
    return at == served_.end() ? 0 : at->second;
  };
  const auto next = std::min_element(jobs_.begin(), jobs_.end(),
                                     [&](const Job& a, const Job& b) { return last_turn(a) < last_turn(b); });
  if (next != jobs_.begin()) {
    Job job = std::move(*next);
    jobs_.erase(next);
    jobs_.push_front(std::move(job));
  }
  if (jobs_.size() == 1) served_.clear();  // nobody waits, so nobody has a claim
  served_[jobs_.front().start.tenant] = ++turns_;
}

void Executor::run_next_job() {
  bring_next_to_front();
  send(JobStarted{jobs_.front().start.ticket});
  Job& job = jobs_.front();  // receive() only appends while it runs, which moves no other element of a deque
  auto done = job.cancelled ? Result<JobDone>(Problem{"cancelled", "cancelled before it started", "", ""}) : run(job);
  if (done.ok()) {
    send(*done);
  } else {
    send(JobFailed{job.start.ticket, failure_code(done.problem().code), shortened(done.problem().detail)});
  }
  jobs_.pop_front();
}

Result<JobDone> Executor::run(Job& job) {
  const StartJob& start = job.start;
  QUARRY_ASSIGN(const graph::JobDocument document, graph::parse_job(start.job_document));
  if (document.stage.graph != start.graph)
    return Problem{"graph_error", "the job document names another graph", "", ""};
  std::map<std::string, std::shared_ptr<run::ByteSource>> sources;
  std::map<std::string, uint64_t> input_bytes;
  for (const LocalInput& input : start.inputs) {
    QUARRY_ASSIGN(sources[input.name], make_byte_source(input, job.blobs));
    input_bytes[input.name] = sources[input.name]->size();
  }
  const Instant before_compile = last_look_ = clock_.now();
  QUARRY_ASSIGN(
      const ProgramCache::Prepared prepared,
      programs_.prepare(start.graph, job.blobs.front().bytes(), document, start.memory_bound_bytes, input_bytes,
                        [&](size_t compiled, size_t of) { return observe_compiling(job, compiled, of); }));
  JobDone done{.ticket = start.ticket};
  if (prepared.compiled) done.compile_ns = nanoseconds_since(clock_, before_compile);
  for (const auto& [name, source] : sources) QUARRY_TRY(prepared.run->set_input(name, source));

  const Instant before_steps = last_look_ = last_progress_ = clock_.now();
  job.in_first_step = !prepared.ran;
  job.kernels = static_cast<int64_t>(prepared.run->timings().kernels);
  if (job.in_first_step) tell(job, JobPhase::FirstStep, 0, job.kernels);
  QUARRY_ASSIGN(const bool finished,
                prepared.run->advance(start.first_step, start.steps,
                                      [&](const run::StepReport& report) { return observe_steps(job, report); }));
  if (finished) programs_.first_step_ended();
  if (!finished || job.cancelled) return Problem{"cancelled", "cancelled while it ran", "", ""};
  Outputs outputs;
  QUARRY_TRY(collect(job, document, prepared, outputs));
  done.device_ns = nanoseconds_since(clock_, before_steps);
  done.outputs = std::move(outputs.small);
  return done;
}

bool Executor::observe_compiling(Job& job, size_t compiled, size_t of) {
  // Each kernel may take seconds: the agent hears of the first one before it begins, and of the number of all.
  const bool is_news = compiled == 0 || clock_.now() - last_progress_ >= kProgressEvery;
  if (is_news) tell(job, JobPhase::Compiling, static_cast<int64_t>(compiled), static_cast<int64_t>(of));
  return go_on(job);
}

bool Executor::observe_steps(Job& job, const run::StepReport& report) {
  const bool first_step_ended = job.in_first_step && report.steps_done > 0;
  if (first_step_ended) job.in_first_step = false;
  if (first_step_ended || clock_.now() - last_progress_ >= kProgressEvery) {
    if (job.in_first_step) {
      tell(job, JobPhase::FirstStep, report.launches_done, job.kernels);
    } else {
      tell(job, JobPhase::Running, report.steps_done, report.steps_total);
    }
  }
  return go_on(job);
}

/// Looks for a cancel now and then.
bool Executor::go_on(const Job& job) {
  const Instant now = clock_.now();
  if (now - last_look_ >= kLookEvery) {
    last_look_ = now;
    if (auto status = receive(false); !status.ok()) closed_ = status.problem();
  }
  return !job.cancelled && !closed_;
}

void Executor::tell(const Job& job, JobPhase phase, int64_t done, int64_t total) {
  last_progress_ = clock_.now();
  send(JobProgress{job.start.ticket, phase, done, total});
}

Status Executor::collect(const Job& job, const graph::JobDocument& document, const ProgramCache::Prepared& prepared,
                         Outputs& outputs) {
  const uint64_t ticket = job.start.ticket;
  for (const run::Keep& keep : *prepared.keep) {
    if (keep.mode == run::KeepMode::Last && !job.start.last_segment) continue;
    QUARRY_ASSIGN(auto bytes, prepared.run->kept(keep.output));
    QUARRY_TRY(give(ticket, false, keep.output, std::move(bytes), outputs));
  }
  if (job.start.last_segment) return {};
  for (const auto& [input, output] : document.stage.carry) {
    QUARRY_ASSIGN(auto bytes, prepared.run->carried(input));
    QUARRY_TRY(give(ticket, true, input, std::move(bytes), outputs));
  }
  return {};
}

Status Executor::give(uint64_t ticket, bool carried, const std::string& name, std::vector<std::byte> bytes,
                      Outputs& outputs) {
  if (bytes.size() <= kMaxLocalInlineBytes && outputs.small_bytes + bytes.size() <= kMaxInlineTotal) {
    outputs.small_bytes += bytes.size();
    outputs.small.push_back({carried, name, std::move(bytes)});
    return {};
  }
  std::vector<FileDescriptor> files;
  QUARRY_ASSIGN(files.emplace_back(), make_memory_file("quarry-output", bytes));
  send(JobOutput{ticket, carried, name, bytes.size()}, std::move(files));
  return {};
}

void Executor::send(const FromExecutor& message, std::vector<FileDescriptor> files) {
  Packet packet{encode(message), std::move(files)};
  if (auto sent = send_packet(socket_.get(), packet, true); !sent.ok()) closed_ = sent.problem();
}

}  // namespace quarry::worker
