// Runs a graph for steps on one device: plan, load, step loop, results. Shared by the worker's executor and by `quarry
// run`.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/device/device.h"
#include "engine/graph/graph.h"

namespace quarry::run {

struct Feed {
  std::string input;
  int64_t count = 0;  ///< n: the fed tensor is [n, ...input shape]
  bool wrap = false;  ///< step s reads slice s mod n; without wrap n >= first_step + steps
};
enum class KeepMode { Last, Each };
struct Keep {
  std::string output;
  KeepMode mode = KeepMode::Last;
};

/// The static part of a job: checked against the graph by validate().
struct Program {
  std::shared_ptr<const graph::NormalGraph> graph;
  uint64_t seed = 0;
  int64_t first_step = 0;
  int64_t steps = 1;
  std::vector<std::pair<std::string, std::string>> carry;  ///< input <- output
  std::vector<Feed> feed;
  std::vector<Keep> keep;
};

/// Checks names, shapes, counts and steps against the graph: "invalid_program", the detail names the input, output or
/// field.
Status validate(const Program& program);

/// Bytes of an input, carried value or fed tensor, read by offset; may be a mapped file, memory or several extents.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  virtual Status read(uint64_t offset, std::span<std::byte> out) = 0;
};

/// Called as the kernels of a program are compiled, before each one and after the last. Return false to stop:
/// prepare() then fails with "cancelled". Some drivers compile a kernel wholly only when it is launched first, that is
/// in the program's first step.
using CompileObserver = std::function<bool(size_t compiled, size_t of)>;

struct StepReport {
  int64_t step;        ///< just finished
  int64_t steps_done;  ///< of this call
  int64_t steps_total;
  int64_t launches_done = 0;  ///< of the step after them, which has begun
};
/// Called as steps are known to be finished, about ten times a second and at the end of advance(), also inside a long
/// step (whose report then repeats the step before it). Return false to stop between launches: the run is then spent
/// until reset().
using Observer = std::function<bool(const StepReport&)>;

struct Timings {
  std::chrono::nanoseconds compile{0}, load{0}, steps{0};
  uint64_t kernels = 0;
  uint64_t arena_bytes = 0;
};

class Run {
 public:
  virtual ~Run() = default;
  /// Sets a plain input, a carried input's starting value, or a fed tensor. Every input must be set before advance().
  virtual Status set_input(const std::string& name, std::shared_ptr<ByteSource> source) = 0;
  /// Runs steps [from, from + count), within the program's; a later call goes on where the last one ended. Returns
  /// false when the observer stopped it.
  virtual Result<bool> advance(int64_t from, int64_t count, const Observer& observer) = 0;
  /// Bytes of a carried input's current value, and of a kept output: [shape] for Last, [steps advanced so far,
  /// ...shape] for Each.
  virtual Result<std::vector<std::byte>> carried(const std::string& input) = 0;
  virtual Result<std::vector<std::byte>> kept(const std::string& output) = 0;
  virtual Timings timings() const = 0;
  /// Makes the run fresh for other inputs of the same program (and another seed): buffers are zeroed.
  virtual Status reset(uint64_t seed) = 0;
};

/// Plans memory and compiles every kernel; refuses a plan over `memory_limit_bytes` before anything runs
/// ("memory_bound_exceeded").
Result<std::unique_ptr<Run>> prepare(device::Device& device, Program program, uint64_t memory_limit_bytes,
                                     const CompileObserver& observer = {});

}  // namespace quarry::run
