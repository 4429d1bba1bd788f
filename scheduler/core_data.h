// Inside the core only: all that a State holds, and the moves that keep its parts in step with each other.
#pragma once

#include <deque>
#include <set>
#include <unordered_map>

#include "scheduler/core.h"
#include "scheduler/fleet.h"
#include "scheduler/queue.h"

namespace quarry::scheduler {

/// A segment on a slice: its commit under way (no fence yet), or running.
struct Attempt {
  wire::ReadyJob job;
  Slice* slice = nullptr;
  std::optional<wire::Fence> fence;
  bool cancelled = false;  ///< while its commit is under way
};

/// A box whose completions were rejected.
struct Distrust {
  int rejections = 0;
  Instant until;  ///< nothing is placed on it before
};

struct State::Data {
  Rules rules;
  Queue queue;
  Fleet fleet;
  std::unordered_map<JobId, Attempt> attempts;   // looked up, never walked: sessions list their jobs in order
  std::set<std::pair<Instant, JobId>> avoiding;  // until when
  std::set<wire::SessionKey> closed;             // a late SessionUp of one of these is refused
  std::deque<wire::SessionKey> closed_in_order;  // the set's bound
  std::map<BoxId, Distrust> distrusted;
  std::unordered_map<uint64_t, std::chrono::milliseconds> compile_times;  // by graph, looked up, never walked
  std::deque<uint64_t> compiled_in_order;                                 // its bound
  std::optional<Instant> last_step;
  Instant no_expiry_before;  // after this process itself stood still

  void enqueue(const wire::ReadyJob& job, BoxId avoids, Instant until, Instant now);
  void place(const wire::ReadyJob& job, Slice& slice);
  /// Frees the attempt's slot and forgets it.
  void release(JobId job);
  /// What compiling the graph is expected to take on a box that has not compiled it.
  std::chrono::milliseconds compile_time(uint64_t graph) const;
  void learn_compile_time(uint64_t graph, std::chrono::milliseconds time);
  /// Keeps work from a box that delivered what nobody asked for, longer with each time.
  void distrust(BoxId box, Instant now);
  void open_session(const wire::SessionUp& up, bool reachable, Instant now);
  /// Forgets the session and its attempts; those whose commit was under way are returned: the journal will refuse them.
  std::vector<wire::ReadyJob> close_session(Session& session);
  /// `box` if a slice of another one fits too, else none: a job is never kept from the only place where it can run.
  BoxId worth_avoiding(BoxId box, const Requirement& needs);
};

}  // namespace quarry::scheduler
