#include "scheduler/core_data.h"

namespace quarry::scheduler {
namespace {

constexpr size_t kMaxClosedRemembered = 100'000;

Requirement needs_of(const wire::ReadyJob& job) {
  return {job.account, job.memory_bound_bytes, job.dtypes};
}

}  // namespace

void State::Data::enqueue(const wire::ReadyJob& job, BoxId avoids, Instant now) {
  const Requirement needs = needs_of(job);
  const auto before = queue.groups().find(needs);
  const std::optional<Rank> listed =
      before == queue.groups().end() ? std::nullopt : std::optional(before->second.rank());
  const Group* group = queue.push(job, avoids);
  if (avoids != BoxId{}) avoiding.emplace_back(now + rules.avoid_for, job.job);
  if (listed == group->rank()) return;
  for (auto& [key, kind] : fleet.classes()) {
    if (!kind.fits(needs)) continue;
    if (listed) kind.groups.erase(*listed);
    kind.groups.emplace(group->rank(), group);
  }
}

void State::Data::dequeue(JobId job) {
  const Group* group = queue.find(job)->group;
  const Requirement needs = group->requirement();
  const Rank listed = group->rank();
  group = queue.remove(job);
  if (group && group->rank() == listed) return;
  for (auto& [key, kind] : fleet.classes()) {
    if (!kind.fits(needs)) continue;
    auto entry = kind.groups.extract(listed);
    if (!group) continue;
    entry.key() = group->rank();
    kind.groups.insert(std::move(entry));
  }
}

void State::Data::place(const wire::ReadyJob& job, Slice& slice) {
  fleet.occupy(slice, job.job);
  attempts.try_emplace(job.job, Attempt{job, &slice, std::nullopt, false});
}

void State::Data::release(JobId job) {
  const auto at = attempts.find(job);
  fleet.release(*at->second.slice, job);
  attempts.erase(at);
}

void State::Data::open_session(const wire::SessionUp& up, bool reachable, Instant now) {
  for (SliceClass* kind : fleet.open(up, reachable, now))
    for (const auto& [needs, group] : queue.groups())
      if (kind->fits(needs)) kind->groups.emplace(group.rank(), &group);
}

std::vector<wire::ReadyJob> State::Data::close_session(Session& session) {
  const wire::SessionKey key = session.key;
  std::vector<wire::ReadyJob> uncommitted;
  while (!session.jobs.empty()) {
    const JobId job = *session.jobs.begin();
    const Attempt& placed = attempts.at(job);
    if (!placed.fence && !placed.cancelled) uncommitted.push_back(placed.job);
    release(job);
  }
  fleet.close(key);
  if (!closed.insert(key).second) return uncommitted;
  closed_in_order.push_back(key);
  if (closed_in_order.size() <= kMaxClosedRemembered) return uncommitted;
  closed.erase(closed_in_order.front());
  closed_in_order.pop_front();
  return uncommitted;
}

BoxId State::Data::worth_avoiding(BoxId box, const Requirement& needs) {
  size_t everywhere = 0, here = 0;
  for (const auto& [key, kind] : fleet.classes())
    if (kind.fits(needs)) everywhere += kind.slices;
  if (const Session* session = fleet.newest_of(box))
    for (const Slice& slice : session->slices)
      if (slice.kind->fits(needs)) ++here;
  return everywhere > here ? box : BoxId{};
}

}  // namespace quarry::scheduler
