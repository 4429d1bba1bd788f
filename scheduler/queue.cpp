#include "scheduler/queue.h"

#include <algorithm>
#include <iterator>

#include "scheduler/grades.h"

namespace quarry::scheduler {
namespace {

constexpr size_t kNearlyInOrder = 64;  // servers commit side by side: a segment may come this many places late
constexpr size_t kSkippedAllowed = 1'024;
constexpr size_t kIdleLinesKept = 1'024;
constexpr uint64_t kMostWork = uint64_t{1} << 40;  // of one segment, in 10^9 FLOPs: far over any, and turns never wrap

Rank rank_of(const wire::ReadyJob& job) {
  return {job.submitted_at_us, job.job};
}

}  // namespace

Requirement requirement_of(const wire::ReadyJob& job) {
  return {job.account, memory_to_ask(job.memory_bound_bytes), job.dtypes};
}

const Waiting* Queue::find(JobId job) const {
  const auto at = index_.find(job);
  return at == index_.end() ? nullptr : &at->second;
}

void Queue::push(const wire::ReadyJob& job, BoxId avoids, Instant now) {
  const Requirement requirement = requirement_of(job);
  Group& group = groups_.try_emplace(requirement, requirement).first->second;
  Waiting& waiting = index_.try_emplace(job.job).first->second;
  waiting = {job, &group, avoids, false, now};
  const Rank rank = rank_of(job);
  if (avoids == BoxId{})
    insert_in_order(group, waiting, rank);
  else
    group.returned_[avoids].insert(rank);
  const auto listed = group.waiting_ == 0 ? std::nullopt : std::optional(group.rank_);
  if (group.waiting_++ == 0 || rank < group.rank_) group.rank_ = rank;
  if (listed != group.rank_) rank_changed(group, listed, false);
}

/// Keeps the line of the group's account in step with the group's first segment.
void Queue::rank_changed(Group& group, std::optional<Rank> listed, bool gone) {
  Line& line = lines_[group.requirement_.account];
  const bool waited = !line.groups.empty();
  if (listed) line.groups.erase(*listed);
  if (!gone) line.groups.emplace(group.rank_, &group);
  if (waited == !line.groups.empty()) return;
  if (waited) {
    order_.erase(line.turn);
    return;
  }
  // Who comes, or comes back, has no claim for the time when it had nothing to run.
  line.turn = {std::max(line.turn.work, least_served()), ++arrivals_};
  order_.emplace(line.turn, &line);
  forget_idle_lines();
}

/// A line that waits no more matters while its account was served more than others; there are as many as accounts.
void Queue::forget_idle_lines() {
  if (lines_.size() <= 2 * order_.size() + kIdleLinesKept) return;
  std::erase_if(lines_, [&](const auto& entry) {
    return entry.second.groups.empty() && entry.second.turn.work <= least_served();
  });
}

// Not that of the turn served last: a line that was kept waiting, for want of a slice that fits, is behind it by far.
uint64_t Queue::least_served() const {
  return order_.empty() ? last_served_ : order_.begin()->first.work;
}

size_t Queue::lines_before(AccountId account) const {
  const auto line = lines_.find(account);
  if (line == lines_.end()) return 0;
  return static_cast<size_t>(std::distance(order_.begin(), order_.lower_bound(line->second.turn)));
}

void Queue::serve(JobId job) {
  const Waiting& waiting = index_.at(job);
  const AccountId account = waiting.job.account;
  const uint64_t work = std::min(waiting.job.metered_gflop, kMostWork) + 1;
  remove(job);
  Line& line = lines_.at(account);
  last_served_ = std::max(last_served_, line.turn.work);
  const bool waits = !line.groups.empty();
  if (waits) order_.erase(line.turn);
  line.turn.work += work;
  if (waits) order_.emplace(line.turn, &line);
}

// At the end, or a few places before it; what comes later than that is one of those that came back.
void Queue::insert_in_order(Group& group, Waiting& waiting, Rank rank) {
  auto& entries = group.in_order_;
  size_t from_end = 0;
  while (from_end < entries.size() && from_end < kNearlyInOrder && rank < entries[entries.size() - 1 - from_end])
    ++from_end;
  if (from_end == kNearlyInOrder && from_end < entries.size()) {
    group.returned_[BoxId{}].insert(rank);
    return;
  }
  entries.insert(entries.end() - static_cast<std::ptrdiff_t>(from_end), rank);
  waiting.in_order = true;
}

void Queue::remove(JobId job) {
  const auto at = index_.find(job);
  const Waiting waiting = std::move(at->second);
  index_.erase(at);
  Group& group = *waiting.group;
  const Rank rank = rank_of(waiting.job);
  if (waiting.in_order) {
    ++group.skipped_;
  } else {
    const auto returned = group.returned_.find(waiting.avoids);
    returned->second.erase(rank);
    if (returned->second.empty()) group.returned_.erase(returned);
  }
  const Rank listed = group.rank_;
  if (--group.waiting_ == 0) {
    rank_changed(group, listed, true);
    groups_.erase(group.requirement_);
    return;
  }
  refresh(group);
  if (group.rank_ != listed) rank_changed(group, listed, false);
}

void Queue::stop_avoiding(JobId job) {
  const auto at = index_.find(job);
  if (at == index_.end() || at->second.avoids == BoxId{}) return;
  Waiting& waiting = at->second;
  const auto returned = waiting.group->returned_.find(waiting.avoids);
  const Rank rank = rank_of(waiting.job);
  returned->second.erase(rank);
  if (returned->second.empty()) waiting.group->returned_.erase(returned);
  waiting.avoids = {};
  waiting.group->returned_[BoxId{}].insert(rank);
}

// Drops what left from the front, all of it when it has become most of the entries, and notes the first segment's rank.
void Queue::refresh(Group& group) {
  auto& entries = group.in_order_;
  const auto left = [&](const Rank& rank) {
    const Waiting* waiting = find(rank.job);
    return !waiting || !waiting->in_order || waiting->group != &group || rank_of(waiting->job) != rank;
  };
  while (!entries.empty() && left(entries.front())) {
    entries.pop_front();
    if (group.skipped_ > 0) --group.skipped_;
  }
  if (group.skipped_ > kSkippedAllowed && group.skipped_ > entries.size() / 2) {
    entries.erase(std::remove_if(entries.begin(), entries.end(), left), entries.end());
    group.skipped_ = 0;
  }
  std::optional<Rank> first;
  if (!entries.empty()) first = entries.front();
  for (const auto& [box, ranks] : group.returned_)
    if (!first || *ranks.begin() < *first) first = *ranks.begin();
  group.rank_ = *first;
}

std::optional<Rank> Queue::first_for(const Group& group, BoxId box) const {
  std::optional<Rank> first;
  if (!group.in_order_.empty()) first = group.in_order_.front();
  for (const auto& [avoided, ranks] : group.returned_)
    if ((avoided == BoxId{} || avoided != box) && (!first || *ranks.begin() < *first)) first = *ranks.begin();
  return first;
}

}  // namespace quarry::scheduler
