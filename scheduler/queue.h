// The segments that wait, grouped by (account, requirement): a million jobs are a few hundred groups, and a group is
// the unit that the order of service looks at. Knows nothing of boxes except the one that a retried segment should
// avoid.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "wire/messages.h"

namespace quarry::scheduler {

struct Requirement {
  AccountId account;
  uint64_t memory_bytes = 0;
  uint32_t dtypes = 0;
  auto operator<=>(const Requirement&) const = default;
};

/// The order of service, smallest first: oldest first. Fair share replaces this and Group::rank() and nothing else.
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
};

class Queue {
 public:
  size_t size() const { return index_.size(); }
  const Waiting* find(JobId job) const;
  /// Adds a segment that is not waiting yet; returns its group. `avoids` zero: none.
  Group* push(const wire::ReadyJob& job, BoxId avoids);
  /// Takes a segment out; its group, or nullptr when the group is empty and gone. The segment must be waiting.
  Group* remove(JobId job);
  /// From now on the segment may run anywhere again.
  void stop_avoiding(JobId job);
  /// The group's first segment that does not avoid `box`.
  std::optional<Rank> first_for(const Group& group, BoxId box) const;
  /// The groups that have segments, in a fixed order.
  const std::map<Requirement, Group>& groups() const { return groups_; }
  std::map<Requirement, Group>& groups() { return groups_; }

 private:
  void insert_in_order(Group& group, Waiting& waiting, Rank rank);
  void refresh(Group& group);

  std::map<Requirement, Group> groups_;
  std::unordered_map<JobId, Waiting> index_;  // looked up, never walked
};

}  // namespace quarry::scheduler
