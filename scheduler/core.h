// The scheduler's decisions, and nothing else: events and a time in, decisions out. No I/O, clock, threads, random
// numbers or iteration in an order that depends on addresses: the same events give the same decisions. The simulation
// in tests/scheduler runs this very code.
//
// Every fact here is a copy of what PostgreSQL holds, and may be stale. That is safe: a placement counts only once the
// journal committed it, and the journal refuses what no longer holds. A stale copy costs a refused placement, never a
// wrong one.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "wire/messages.h"

namespace quarry::scheduler {

struct Rules {
  std::chrono::milliseconds lease_ttl{10'000};  ///< a session unseen for so long is expired
  /// A job that failed stays off the box where it did, when another fits.
  std::chrono::milliseconds avoid_for{15'000};
  /// The same for failures that may be the graph's own: the second such attempt, on another box, shows whose they are.
  std::chrono::milliseconds avoid_suspect_for{600'000};
  /// Of a slice that failed twice in a row; doubles with each further failure.
  std::chrono::milliseconds first_pause{200};
  /// Of a box whose completion was rejected; doubles six times.
  std::chrono::milliseconds rejected_pause{60'000};
  std::chrono::milliseconds longest_pause{10'000};
  size_t max_placements = wire::kMaxBatch;  ///< of one step: one transaction
};

// --- events ---
/// A segment waits to be placed. Known ones are ignored, so a hint may come twice, late, or from a poll.
struct JobReady {
  wire::ReadyJob job;
};
/// The job ended as cancelled: it is queued no more, and an attempt that runs is to be stopped.
struct JobCancelled {
  JobId job;
};
struct SessionOpened {
  wire::SessionUp session;
  bool reachable = true;  ///< false when only the journal tells of it: no server has its connection yet
};
struct SessionSeen {
  wire::SessionKey session;
};
/// Its connection closed. The lease still runs, but nothing more is placed there until it is opened or seen again.
struct SessionUnreachable {
  wire::SessionKey session;
};
/// The journal closed the session (a decision of ours); its segments are ready again.
struct SessionClosed {
  wire::SessionKey session;
  std::vector<wire::ReadyJob> requeued;
};
struct AttemptEnded {
  wire::AttemptEnded ended;
};
/// The session's box has compiled these graphs (as wire::ReadyJob names them) and kept what came of it.
struct GraphsCompiled {
  wire::SessionKey session;
  std::vector<uint64_t> graphs;
};
/// The journal's answers to placements.
struct PlacementCommitted {
  wire::Fence fence;
};
struct PlacementRefused {
  JobId job;
  wire::SessionKey session;
};
/// The journal tells of an attempt that runs: at start, or when a census shows one that nobody told of.
struct AttemptFound {
  wire::Fence fence;
  wire::SessionKey session;
  SliceId slice;
  wire::ReadyJob job;
};
/// Everything that the journal has running and open, read after all placements answered so far: what is not in it ended
/// unheard.
struct Census {
  Instant asked;  ///< sessions opened since then are not in it
  std::vector<wire::Fence> running;
  std::vector<wire::SessionKey> sessions;
};
using Event = std::variant<JobReady, JobCancelled, SessionOpened, SessionSeen, SessionUnreachable, SessionClosed,
                           AttemptEnded, GraphsCompiled, PlacementCommitted, PlacementRefused, AttemptFound, Census>;

// --- decisions ---
struct Placement {
  JobId job;
  int32_t segment = 0;
  wire::SessionKey session;
  SliceId slice;
  auto operator<=>(const Placement&) const = default;
};
struct Cancel {
  wire::Fence fence;
  wire::SessionKey session;
};
struct Decisions {
  std::vector<Placement> placements;
  std::vector<Cancel> cancels;
  std::vector<wire::SessionKey> expire;
  Instant wake;  ///< step again then, if nothing happens before
};

/// What the scheduler knows. Owned by one leader for one term; moved through step() only.
class State {
 public:
  explicit State(Rules rules = {});
  ~State();
  State(State&&) noexcept;
  State& operator=(State&&) noexcept;

  size_t waiting() const;  ///< segments that are not placed
  size_t placed() const;   ///< segments placed: their commit under way, or running
  size_t sessions() const;
  /// Fences of the session's attempts that the journal committed, in order of their jobs.
  std::vector<wire::Fence> running(SessionId session) const;

  bool knows(const wire::Fence& fence) const;  ///< as a running attempt

  struct Data;
  Data& data() { return *data_; }
  const Data& data() const { return *data_; }

 private:
  std::unique_ptr<Data> data_;
};

Decisions step(State& state, std::span<const Event> events, Instant now);

/// Why is this job waiting? A stable code, and for its renter a sentence with figures and what would change it.
struct Explanation {
  std::string code;  ///< "running", "placing", "no_boxes", "nothing_fits", "all_busy", "avoiding_box",
                     ///< "compiled_elsewhere", "unknown"
  std::string detail;
};
Explanation why_waiting(const State& state, JobId job);

}  // namespace quarry::scheduler
