#include "scheduler/queue.h"

#include <algorithm>

namespace quarry::scheduler {
namespace {

constexpr size_t kNearlyInOrder = 64;  // servers commit side by side: a segment may come this many places late
constexpr size_t kSkippedAllowed = 1'024;

Rank rank_of(const wire::ReadyJob& job) {
  return {job.submitted_at_us, job.job};
}

}  // namespace

const Waiting* Queue::find(JobId job) const {
  const auto at = index_.find(job);
  return at == index_.end() ? nullptr : &at->second;
}

Group* Queue::push(const wire::ReadyJob& job, BoxId avoids) {
  const Requirement requirement{job.account, job.memory_bound_bytes, job.dtypes};
  Group& group = groups_.try_emplace(requirement, requirement).first->second;
  Waiting& waiting = index_.try_emplace(job.job).first->second;
  waiting = {job, &group, avoids, false};
  const Rank rank = rank_of(job);
  if (avoids == BoxId{})
    insert_in_order(group, waiting, rank);
  else
    group.returned_[avoids].insert(rank);
  if (group.waiting_++ == 0 || rank < group.rank_) group.rank_ = rank;
  return &group;
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

Group* Queue::remove(JobId job) {
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
  if (--group.waiting_ == 0) {
    groups_.erase(group.requirement_);
    return nullptr;
  }
  refresh(group);
  return &group;
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
