#include "worker/slice.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "engine/graph/limits.h"
#include "wire/cbor.h"

namespace quarry::worker {
namespace {

using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// No launch is predicted over 250 ms; one that has not ended after this never will.
constexpr std::chrono::seconds kCancelLimit{10};
constexpr milliseconds kFirstRestart{100}, kLongestRestart{30'000};
constexpr size_t kMaxOutputsHeld = 32'768;
/// Of the jobs that are handed over ahead, together: each is an open file here for a moment and a mapping there, of
/// which the kernel allows 65,530.
constexpr size_t kMaxBlobsAhead = 4'096;
constexpr std::array<std::string_view, 5> kExecutorCodes{"cancelled", "device_error", "graph_error", "graph_mismatch",
                                                         "out_of_memory"};

}  // namespace

Slice::Slice(boost::asio::io_context& io, ExecutorSpec spec, Handlers handlers)
    : io_(io),
      spec_(std::move(spec)),
      handlers_(std::move(handlers)),
      time_limit_(io),
      cancel_limit_(io),
      restart_(io),
      start_limit_(io),
      wait_limit_(io) {}

Slice::~Slice() {
  if (executor_) executor_->abandon();
}

void Slice::start() {
  launch();
}

void Slice::launch() {
  if (stopped_) return;
  ready_ = false;
  kill_code_.clear();
  ExecutorProcess::Handlers handlers;
  handlers.on_message = [this](FromExecutor message, std::vector<FileDescriptor> files) {
    if (!kill_code_.empty()) return;  // it is killed for its front job, which must stay the front one until its end
    std::visit([&](auto& m) { handle(m, std::move(files)); }, message);
  };
  handlers.on_exit = [this](const std::string& reason, bool faulted) {
    if (faulted) spec_.drop_new_kernels = true;
    executor_ended(reason);
  };
  auto started = ExecutorProcess::start(io_, spec_, std::move(handlers));
  if (started.ok()) {
    executor_ = *started;
    start_limit_.expires_after(spec_.start_limit);
    start_limit_.async_wait([this](error_code error) {
      if (error || ready_) return;
      spdlog::warn("the executor of {} did not start in time", spec_.device);
      kill("device_error", "the executor did not start in time");
    });
    return;
  }
  spdlog::error("{}", started.problem().detail);
  restart_later();
}

void Slice::calibrate(bool whole) {
  if (executor_) executor_->send(Calibrate{whole});
}

void Slice::submit(LocalJob job) {
  jobs_.push_back({std::move(job), {}});
  if (!ready_) return watch_waiting();  // handed over when the executor has started
  if (jobs_.size() == 1) watch_front();
  hand_over_ahead();
}

/// In order, within kMaxBlobsAhead; one job may always have its own.
void Slice::hand_over_ahead() {
  // Only the last ones can be waiting, and mostly it is the last alone.
  auto next = std::find_if(jobs_.rbegin(), jobs_.rend(), [](const Held& held) { return held.handed_over; }).base();
  for (; next != jobs_.end(); ++next) {
    const size_t blobs = next->job.blobs.size();
    if (handed_blobs_ > 0 && handed_blobs_ + blobs > kMaxBlobsAhead) return;
    handed_blobs_ += blobs;
    next->handed_over = true;
    hand_over(*next);
  }
}

void Slice::hand_over(Held& held) {
  const uint64_t ticket = held.job.start.ticket;
  std::vector<FileDescriptor> files;
  for (size_t i = 0; i < held.job.blobs.size(); ++i) {
    auto file = held.job.blobs[i].open();
    if (!file.ok()) return kill("device_error", "the box cannot open its cached blobs");
    files.push_back(std::move(*file));
    if (files.size() == kMaxDescriptors || i + 1 == held.job.blobs.size())
      executor_->send(AttachBlobs{ticket}, std::exchange(files, {}));
  }
  executor_->send(held.job.start);
  if (held.cancelled) executor_->send(CancelJob{ticket});
}

/// The time limit counts from when a job comes to the front of a running executor, and not while it compiles.
void Slice::watch_front() {
  cancel_limit_.cancel();
  if (jobs_.empty() || !ready_) {
    time_limit_.cancel();
    return;
  }
  limit_front(milliseconds(jobs_.front().job.time_limit_ms), "time_limit", "the attempt took longer than its limit");
}

void Slice::limit_front(milliseconds limit, const std::string& code, const std::string& detail) {
  time_limit_.expires_after(limit);
  time_limit_.async_wait([this, code, detail](error_code error) {
    if (!error) kill(code, detail);
  });
}

/// Jobs wait for an executor that starts; not for ever for one that cannot.
void Slice::watch_waiting() {
  if (stopped_ || ready_ || jobs_.empty() || std::exchange(waiting_, true)) return;
  wait_limit_.expires_after(spec_.start_limit);
  wait_limit_.async_wait([this](error_code error) {
    if (!error) give_back_waiting();
  });
}

void Slice::give_back_waiting() {
  waiting_ = false;
  if (ready_ || stopped_) return;
  for (std::deque<Held> held = std::exchange(jobs_, {}); Held & job : held)
    if (!job.reported) handlers_.on_failed(job.job.start.ticket, "device_error", "the device could not be opened");
}

void Slice::cancel(uint64_t ticket) {
  const auto at =
      std::find_if(jobs_.begin(), jobs_.end(), [&](const Held& held) { return held.job.start.ticket == ticket; });
  if (at == jobs_.end() || at->cancelled) return;
  at->cancelled = true;
  if (ready_) executor_->send(CancelJob{ticket});
  if (at != jobs_.begin() || !ready_ || !front_started_) {
    at->reported = true;
    return handlers_.on_failed(ticket, "cancelled", "cancelled before it started");
  }
  watch_cancelled();
}

void Slice::watch_cancelled() {
  cancel_limit_.expires_after(kCancelLimit);
  cancel_limit_.async_wait([this](error_code error) {
    if (!error) kill("cancelled", "cancelled while it ran");
  });
}

void Slice::kill(const std::string& code, const std::string& detail) {
  if (!executor_ || !kill_code_.empty()) return;
  kill_code_ = code;
  kill_detail_ = detail;
  executor_->kill(code);
}

void Slice::stop(const std::string& code, const std::string& detail) {
  stopped_ = true;
  restart_.cancel();
  time_limit_.cancel();
  cancel_limit_.cancel();
  start_limit_.cancel();
  wait_limit_.cancel();
  if (executor_) std::exchange(executor_, nullptr)->abandon();
  ready_ = false;
  while (!jobs_.empty()) end_front([&](Held held) { handlers_.on_failed(held.job.start.ticket, code, detail); });
}

void Slice::executor_ended(const std::string& reason) {
  executor_.reset();
  const bool was_ready = std::exchange(ready_, false);
  time_limit_.cancel();
  if (was_ready) {
    spdlog::warn("the executor of {} {}", spec_.device, reason);
    if (!jobs_.empty())
      end_front([&](Held held) {
        const uint64_t ticket = held.job.start.ticket;
        if (kill_code_.empty())
          return handlers_.on_failed(ticket, "executor_crashed", "the process that ran the job " + reason);
        handlers_.on_failed(ticket, kill_code_, kill_detail_);
      });
  }
  watch_waiting();
  restart_later();
}

void Slice::restart_later() {
  if (stopped_) return;
  // The first restart is at once: one crash is a job's affair. Crashes without a finished job between them are the
  // device's.
  const auto wait = fruitless_starts_ == 0
                        ? milliseconds(0)
                        : std::min(kLongestRestart, kFirstRestart * (1 << std::min(fruitless_starts_, 10)));
  ++fruitless_starts_;
  restart_.expires_after(wait);
  restart_.async_wait([this](error_code error) {
    if (!error) launch();
  });
}

void Slice::end_front(const std::function<void(Held)>& report) {
  Held held = std::move(jobs_.front());
  jobs_.pop_front();
  front_started_ = false;
  if (held.handed_over) handed_blobs_ -= held.job.blobs.size();
  watch_front();
  if (ready_) hand_over_ahead();
  if (!held.reported) report(std::move(held));
}

bool Slice::is_front(uint64_t ticket) {
  if (!jobs_.empty() && jobs_.front().job.start.ticket == ticket) return true;
  protocol_error("spoke of a job that does not run");
  return false;
}

void Slice::protocol_error(const std::string& what) {
  spec_.drop_new_kernels = true;
  kill("executor_crashed", "the process that ran the job " + what);
}

void Slice::handle(const Ready& message, std::vector<FileDescriptor>) {
  if (ready_) return protocol_error("started twice");
  ready_ = true;
  spec_.drop_new_kernels = false;  // it has been done
  waiting_ = false;
  start_limit_.cancel();
  wait_limit_.cancel();
  handlers_.on_ready(message);
  handed_blobs_ = 0;
  front_started_ = false;
  for (Held& held : jobs_) held.handed_over = false, held.result = {}, held.progress.reset();
  hand_over_ahead();
  watch_front();
}

void Slice::handle(const CannotServe& message, std::vector<FileDescriptor>) {
  handlers_.on_cannot_serve(wire::clip_text(message.detail, kMaxDetailBytes));
}

void Slice::handle(const JobStarted& message, std::vector<FileDescriptor>) {
  const auto at = std::find_if(jobs_.begin(), jobs_.end(), [&](const Held& held) {
    return held.handed_over && held.job.start.ticket == message.ticket;
  });
  if (at == jobs_.end() || front_started_) return protocol_error("started a job that it cannot have");
  Held started = std::move(*at);
  jobs_.erase(at);
  jobs_.push_front(std::move(started));
  front_started_ = true;
  watch_front();
  if (jobs_.front().cancelled) watch_cancelled();  // it was told so too late
}

void Slice::handle(const JobProgress& message, std::vector<FileDescriptor>) {
  if (!is_front(message.ticket)) return;
  if (!is_possible(message)) return protocol_error("reported impossible progress");
  Held& held = jobs_.front();
  const bool phase_begins = !held.progress || held.progress->phase != message.phase;
  const bool comes_on = phase_begins || held.progress->done != message.done || held.progress->total != message.total;
  if (phase_begins) held.phase_since = steady_clock::now();
  if (message.phase == JobPhase::Compiling && comes_on) limit_compiling(held, message);
  if (message.phase == JobPhase::FirstStep && phase_begins)
    limit_front(for_kernels(message.total) + milliseconds(held.job.time_limit_ms), "time_limit",
                "the first step took longer than the attempt's limit and what its kernels may take to be compiled");
  if (message.phase == JobPhase::Running && phase_begins && held.progress) watch_front();
  held.progress = message;
  handlers_.on_progress(message);
}

/// No kernel may take longer than the base, and all together no longer than what is due to them.
void Slice::limit_compiling(const Held& held, const JobProgress& progress) {
  const auto left =
      std::chrono::ceil<milliseconds>(for_kernels(progress.total) - (steady_clock::now() - held.phase_since));
  limit_front(std::clamp(left, milliseconds(0), spec_.compile_limit.base), "compile_limit",
              "the driver took too long to compile kernel " + std::to_string(progress.done + 1) + " of " +
                  std::to_string(progress.total) + "; those before it are kept");
}

milliseconds Slice::for_kernels(int64_t kernels) const {
  const ExecutorSpec::CompileLimit& limit = spec_.compile_limit;
  return std::min(limit.base + kernels * limit.per_kernel, limit.longest);
}

/// Within the job's steps or a graph's kernels, and never back to an earlier phase.
bool Slice::is_possible(const JobProgress& progress) const {
  const Held& held = jobs_.front();
  const int64_t most = progress.phase == JobPhase::Running ? held.job.start.steps : int64_t{graph::kMaxNodes};
  return progress.done >= 0 && progress.done <= progress.total && progress.total <= most &&
         (!held.progress || progress.phase >= held.progress->phase);
}

void Slice::handle(const JobOutput& message, std::vector<FileDescriptor> files) {
  if (!is_front(message.ticket)) return;
  const auto bytes = files.size() == 1 ? regular_file_bytes(files[0].get()) : Result<uint64_t>(Problem{});
  LocalResult& result = jobs_.front().result;
  if (!bytes.ok() || *bytes != message.bytes || result.outputs.size() >= kMaxOutputsHeld ||
      !wire::is_plain_text(message.name))
    return protocol_error("gave a malformed output");
  result.outputs.push_back({message.carried, message.name, message.bytes, std::move(files[0]), {}});
}

void Slice::handle(JobDone& message, std::vector<FileDescriptor>) {
  if (!is_front(message.ticket)) return;
  LocalResult& result = jobs_.front().result;
  for (InlineOutput& output : message.outputs) {
    if (result.outputs.size() >= kMaxOutputsHeld || !wire::is_plain_text(output.name))
      return protocol_error("gave a malformed output");
    const uint64_t bytes = output.bytes.size();
    result.outputs.push_back({output.carried, std::move(output.name), bytes, {}, std::move(output.bytes)});
  }
  constexpr uint64_t kMaxNanoseconds = INT64_MAX;
  result.device_ns = std::min(message.device_ns, kMaxNanoseconds);
  result.compile_ns = std::min(message.compile_ns, kMaxNanoseconds);
  fruitless_starts_ = 0;
  end_front([&](Held held) { handlers_.on_done(held.job.start.ticket, std::move(held.result)); });
}

void Slice::handle(const JobFailed& message, std::vector<FileDescriptor>) {
  if (!is_front(message.ticket)) return;
  const bool known = std::find(kExecutorCodes.begin(), kExecutorCodes.end(), message.code) != kExecutorCodes.end();
  if (!known) return protocol_error("failed in an unknown way");
  fruitless_starts_ = 0;
  end_front([&](const Held& held) {
    handlers_.on_failed(held.job.start.ticket, message.code, wire::clip_text(message.detail, kMaxDetailBytes));
  });
}

void Slice::handle(const Calibrated& message, std::vector<FileDescriptor>) {
  const auto sane = [](double rate) { return rate >= 0 && rate < 1e18; };
  if (!sane(message.f16_flops_per_s) || !sane(message.f32_flops_per_s) || !sane(message.f64_flops_per_s) ||
      !sane(message.bytes_per_s) || !sane(message.launches_per_s))
    return protocol_error("measured an impossible rate");
  handlers_.on_calibrated(message);
}

}  // namespace quarry::worker
