#include "worker/program_cache.h"

#include "engine/meter/memory_layout.h"
#include "engine/run/program.h"

namespace quarry::worker {
namespace {

/// Beyond this a program's kernels are found again in the compiler's cache on disk.
constexpr size_t kMaxPrograms = 64;

Problem graph_error(const std::string& detail) {
  return {"graph_error", detail, "", ""};
}

/// How many slices each fed tensor has. Slices without bytes leave the number open: then there are as many as the job
/// reads.
Result<run::FeedCounts> feed_counts(const graph::Graph& graph, const graph::Stage& stage,
                                    const std::map<std::string, uint64_t>& input_bytes) {
  run::FeedCounts counts;
  for (const auto& [input, feed] : stage.feed) {
    const auto bytes = input_bytes.find(input);
    const graph::NodeId node = graph.find_input(input);
    if (bytes == input_bytes.end() || node == graph::kNoNode)
      return graph_error("the fed input " + input + " has no bytes or is not in the graph");
    const uint64_t slice = meter::value_bytes(graph, node);
    if (slice != 0 && (bytes->second == 0 || bytes->second % slice != 0))
      return graph_error("the bytes fed to " + input + " are not whole slices");
    counts[input] = slice == 0 ? stage.first_step + stage.steps : static_cast<int64_t>(bytes->second / slice);
  }
  return counts;
}

/// The program of a whole job: every segment of it shares one prepared run.
Result<run::Program> program_of(const graph::JobDocument& job, std::shared_ptr<const graph::NormalGraph> graph,
                                const std::map<std::string, uint64_t>& input_bytes) {
  if (auto status = graph::check_job(job, graph->graph); !status.ok()) return graph_error(status.problem().detail);
  QUARRY_ASSIGN(const run::FeedCounts counts, feed_counts(graph->graph, job.stage, input_bytes));
  auto program = run::make_program(job, std::move(graph), counts);
  if (!program.ok()) return graph_error(program.problem().detail);
  return program;
}

// Text that tells two programs apart: every part carries its length, so no name can imitate a separator.
void append_part(std::string& key, std::string_view part) {
  key.append(std::to_string(part.size())).append(":").append(part);
}
void append_part(std::string& key, int64_t part) {
  append_part(key, std::to_string(part));
}

std::string shape_key(const Digest& graph_id, const graph::Stage& stage,
                      const std::map<std::string, uint64_t>& input_bytes) {
  std::string key = to_hex(graph_id);
  append_part(key, stage.first_step);
  append_part(key, stage.steps);
  append_part(key, static_cast<int64_t>(stage.carry.size()));
  for (const auto& [input, output] : stage.carry) append_part(key, input), append_part(key, output);
  append_part(key, static_cast<int64_t>(stage.feed.size()));
  for (const auto& [input, feed] : stage.feed) {
    const auto bytes = input_bytes.find(input);
    append_part(key, input), append_part(key, feed.wrap ? "wraps" : "");
    append_part(key, bytes == input_bytes.end() ? "none" : std::to_string(bytes->second));
  }
  for (const auto& [output, keep] : stage.keep)
    append_part(key, output), append_part(key, keep == graph::KeepSpec::Each ? "each" : "last");
  return key;
}

}  // namespace

ProgramCache::~ProgramCache() {
  while (!entries_.empty()) drop_oldest();
}

Result<ProgramCache::Prepared> ProgramCache::prepare(const Digest& graph_id, std::span<const std::byte> graph_cbor,
                                                     const graph::JobDocument& job, uint64_t memory_bound_bytes,
                                                     const std::map<std::string, uint64_t>& input_bytes,
                                                     const run::CompileObserver& observer) {
  std::string key = shape_key(graph_id, job.stage, input_bytes);
  const auto known = by_key_.find(key);
  const bool compiled = known == by_key_.end();
  if (compiled) {
    if (!observer(0, 0)) return Problem{"cancelled", "stopped before it was compiled", "", ""};
    QUARRY_ASSIGN(auto graph, load_graph(graph_id, graph_cbor));
    QUARRY_ASSIGN(run::Program program, program_of(job, graph, input_bytes));
    QUARRY_ASSIGN(auto run, plan(program, memory_bound_bytes, observer));
    const uint64_t arena = run->timings().arena_bytes;
    entries_.push_front({key, std::move(run), graph, std::move(program.keep), arena});
    by_key_.emplace(std::move(key), entries_.begin());
  } else {
    entries_.splice(entries_.begin(), entries_, known->second);
  }
  Entry& entry = entries_.front();
  QUARRY_TRY(entry.run->reset(job.seed));
  return Prepared{entry.run.get(), entry.graph, &entry.keep, compiled, entry.ran};
}

Result<std::shared_ptr<const graph::NormalGraph>> ProgramCache::load_graph(const Digest& id,
                                                                           std::span<const std::byte> cbor) {
  for (const Entry& entry : entries_)
    if (entry.graph->id == id) return entry.graph;
  auto parsed = graph::parse_cbor(cbor);
  if (!parsed.ok()) return Problem{"graph_mismatch", "the graph cannot be read: " + parsed.problem().detail, "", ""};
  auto normal = std::make_shared<const graph::NormalGraph>(graph::normalise(*parsed));
  if (normal->id != id) return Problem{"graph_mismatch", "the graph does not have the id of its job", "", ""};
  return std::shared_ptr<const graph::NormalGraph>(std::move(normal));
}

Result<std::unique_ptr<run::Run>> ProgramCache::plan(const run::Program& program, uint64_t memory_bound_bytes,
                                                     const run::CompileObserver& observer) {
  while (!entries_.empty() && (entries_.size() >= kMaxPrograms || arena_bytes() + memory_bound_bytes > memory_bytes_))
    drop_oldest();
  auto run = run::prepare(device_, program, memory_bytes_ - arena_bytes(), observer);
  const bool memory =
      !run.ok() && (run.problem().code == "memory_bound_exceeded" || run.problem().code == "out_of_memory");
  if (!memory || entries_.empty()) return run;
  while (!entries_.empty()) drop_oldest();  // what was kept only for speed must not fail a job
  return run::prepare(device_, program, memory_bytes_, observer);
}

uint64_t ProgramCache::arena_bytes() const {
  uint64_t sum = 0;
  for (const Entry& entry : entries_) sum += entry.arena_bytes;
  return sum;
}

void ProgramCache::drop_oldest() {
  // Zeroed before its memory goes back to the driver, which may hand it to the next tenant as it is.
  (void)entries_.back().run->reset(0);
  by_key_.erase(entries_.back().key);
  entries_.pop_back();
}

}  // namespace quarry::worker
