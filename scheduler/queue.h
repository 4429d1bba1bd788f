// The segments that wait. Each account has a line of its own, and the lines take turns: an account is served when it
// has been served least, by the metered work of what was placed for it (start-time fair queueing). So one account's
// backlog delays another's first segment by one segment at most. Within a line the oldest segment goes first; segments
// that need the same are a group, so that a million jobs are a few hundred groups. Knows nothing of boxes except the
// one that a retried segment should avoid.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "common/clock.h"
#include "wire/messages.h"

namespace quarry::scheduler {

struct Requirement {
  AccountId account;
  uint64_t memory_bytes = 0;  ///< rounded up a little (memory_to_ask), so that there are few
  uint32_t dtypes = 0;
  auto operator<=>(const Requirement&) const = default;
};
Requirement requirement_of(const wire::ReadyJob& job);

/// The order of service within an account, smallest first: oldest first.
struct Rank {
  int64_t submitted_at_us = 0;
  JobId job;
  auto operator<=>(const Rank&) const = default;
};

class Group {
 public:
  explicit Group(const Requirement& requirement) : requirement_(requirement) {}
  const Requirement& requirement() const { return requirement_; }
  /// Of its first segment, whatever boxes that one avoids.
  Rank rank() const { return rank_; }
  size_t waiting() const { return waiting_; }

 private:
  friend class Queue;
  Requirement requirement_;
  Rank rank_;
  size_t waiting_ = 0;
  // Segments in the order they came, nearly always the order of service; entries whose segment left are skipped when
  // met.
  std::deque<Rank> in_order_;
  size_t skipped_ = 0;  // how many of them left
  // Segments that came back or came late, by the box that they avoid (a zero id: none). Few.
  std::map<BoxId, std::set<Rank>> returned_;
};

struct Waiting {
  wire::ReadyJob job;
  Group* group = nullptr;
  BoxId avoids;           // zero: none
  bool in_order = false;  // else in returned_
  Instant since;
};

/// When a line is served: the work that was placed for its account, counted from when the others' lines began; among
/// equals the one that began to wait first.
struct Turn {
  uint64_t work = 0, arrival = 0;
  auto operator<=>(const Turn&) const = default;
};

/// What one account has waiting, in its order of service.
struct Line {
  std::map<Rank, Group*> groups;
  Turn turn;
};

class Queue {
 public:
  size_t size() const { return index_.size(); }
  const Waiting* find(JobId job) const;
  /// Adds a segment that is not waiting yet. `avoids` zero: none.
  void push(const wire::ReadyJob& job, BoxId avoids, Instant now);
  /// Takes a segment out, which must be waiting: it was cancelled, or is known to run.
  void remove(JobId job);
  /// The same for a segment that is placed now: its account's next turn comes later by the segment's work.
  void serve(JobId job);
  /// From now on the segment may run anywhere again.
  void stop_avoiding(JobId job);
  /// The group's first segment that does not avoid `box`.
  std::optional<Rank> first_for(const Group& group, BoxId box) const;
  /// Lines that have segments, in the order in which they are served.
  const std::map<Turn, Line*>& lines() const { return order_; }
  /// How many accounts have their turn before this one's.
  size_t lines_before(AccountId account) const;

 private:
  void insert_in_order(Group& group, Waiting& waiting, Rank rank);
  void refresh(Group& group);
  void rank_changed(Group& group, std::optional<Rank> listed, bool gone);
  void forget_idle_lines();
  uint64_t least_served() const;  ///< where the line of an account that comes now begins

  std::map<Requirement, Group> groups_;
  std::map<AccountId, Line> lines_;
  std::map<Turn, Line*> order_;
  uint64_t last_served_ = 0;  // the work of the turns served so far
  uint64_t arrivals_ = 0;
  std::unordered_map<JobId, Waiting> index_;  // looked up, never walked
};

}  // namespace quarry::scheduler
