// Loop nest -> source text. A Schedule says how the loops run; the heuristic picks one from the nest and the target;
// generate() prints it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/lower/loop_nest.h"

namespace quarry::codegen {

enum class Dialect : uint8_t { OpenCl, Cuda, Hip };

/// What of a device decides how a kernel is written.
struct Target {
  Dialect dialect = Dialect::OpenCl;
  bool is_gpu = false;
  uint32_t compute_units = 1;
  uint32_t group_size = 256;  ///< work-items a group, GPUs only
  int native_lanes = 16;      ///< f32 lanes of a processor's vector registers: 16, 8 or 4
  bool has_f64 = true;
  uint32_t shared_bytes = 32 << 10;                 ///< memory that the work-items of a group share
  uint32_t subgroup = 32;                           ///< work-items that run in lock step, GPUs only
  uint64_t most_scratch_bytes = uint64_t{8} << 20;  ///< for the parts of a split reduction
};

enum class ActionKind : uint8_t {
  Vector,  ///< `amount` neighbouring points of `axis` are the lanes of one vector
  Unroll,  ///< `amount` such vectors (or points) of `axis` are computed side by side, in registers
  Outer,   ///< tiles of `axis` are walked outermost
  Chunk,   ///< a work-item computes `amount` tiles one after the other
  Local,   ///< work-items a group, each with tiles of its own
  Items,  ///< GPUs: `amount` work-items of a group lie along `axis`, those of the first such action side by side. Along
          ///< a reduce axis they share the reduction
  Spread,  ///< with Items on an output axis: each of them has `amount` vectors, `Items` vectors apart
  Stage,   ///< with Items: loads that are neighbours along `axis` and not along the store's go through shared memory
  Split,   ///< `amount` parts of the reduction along `axis` run apart; a second kernel joins them
};
struct Action {
  ActionKind kind;
  int axis = -1;
  int64_t amount = 0;
  bool operator==(const Action&) const = default;
};
using Schedule = std::vector<Action>;
std::string to_string(const Schedule& schedule);

/// Why the schedule must not be printed for this nest and target, or empty. generate() asks before it prints.
std::string check(const lower::LoopNest& nest, const Schedule& schedule, const Target& target);

/// A good schedule at once, without measuring. Deterministic, and always legal.
Schedule choose_schedule(const lower::LoopNest& nest, const Target& target);

/// One launch of a program. Buffers begin at multiples of 16 bytes, offset included. Arguments, in order: the result's
/// buffer and its offset in elements (i64); for each read the same; if reads_step or reads_seed the address of the
/// step's counters {i32 step, i32, u64 seed}; in CUDA and HIP, where a launch has no offset, the number of the first
/// group (u32), so that a long launch can be cut.
struct Entry {
  std::string name;
  uint64_t work_items = 0;  ///< in all, a multiple of local
  uint32_t local = 1;
  bool writes_scratch = false, reads_scratch = false;  ///< the result, or the only read, is scratch memory
  bool reads_step = false, reads_seed = false;
  double flops = 0;  ///< estimate: lets a device keep one launch short
};
struct Program {
  std::string source;
  std::vector<Entry> entries;  ///< none: nothing to compute
  uint64_t scratch_bytes = 0;  ///< at most the target's
};

/// Deterministic: the same nest, schedule and target give the same bytes. An illegal schedule is a Problem
/// "illegal_schedule" with check()'s words.
Result<Program> generate(const lower::LoopNest& nest, const Schedule& schedule, const Target& target);
Program generate(const lower::LoopNest& nest, const Target& target);  ///< with the heuristic's schedule

}  // namespace quarry::codegen
