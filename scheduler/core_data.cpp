#include "scheduler/core_data.h"

#include <algorithm>
#include <iterator>

namespace quarry::scheduler {
namespace {

constexpr size_t kMaxClosedRemembered = 100'000;
constexpr size_t kMaxCompileTimes = 10'000;
constexpr size_t kMaxDistrusted = 100'000;
constexpr std::chrono::milliseconds kAssumedCompileTime{2'000};
constexpr int kMaxDistrustDoublings = 6;

}  // namespace

void State::Data::enqueue(const wire::ReadyJob& job, BoxId avoids, Instant until, Instant now) {
  queue.push(job, avoids, now);
  if (avoids != BoxId{}) avoiding.emplace(until, job.job);
}

void State::Data::place(const wire::ReadyJob& job, Slice& slice) {
  fleet.occupy(slice, job);
  attempts.try_emplace(job.job, Attempt{job, &slice, std::nullopt, false});
}

void State::Data::release(JobId job) {
  const auto at = attempts.find(job);
  fleet.release(*at->second.slice, at->second.job);
  attempts.erase(at);
}

std::chrono::milliseconds State::Data::compile_time(uint64_t graph) const {
  const auto at = compile_times.find(graph);
  return at == compile_times.end() ? kAssumedCompileTime : at->second;
}

void State::Data::learn_compile_time(uint64_t graph, std::chrono::milliseconds time) {
  const auto [at, is_new] = compile_times.try_emplace(graph, time);
  at->second = time;
  if (!is_new) return;
  compiled_in_order.push_back(graph);
  if (compiled_in_order.size() <= kMaxCompileTimes) return;
  compile_times.erase(compiled_in_order.front());
  compiled_in_order.pop_front();
}

void State::Data::distrust(BoxId box, Instant now) {
  if (distrusted.size() >= kMaxDistrusted)
    std::erase_if(distrusted, [&](const auto& entry) { return entry.second.until < now; });
  Distrust& entry = distrusted[box];
  entry.until = now + rules.rejected_pause * (1 << std::min(entry.rejections++, kMaxDistrustDoublings));
  if (Session* session = fleet.newest_of(box))
    for (Slice& slice : session->slices) fleet.pause(slice, entry.until);
}

void State::Data::open_session(const wire::SessionUp& up, bool reachable, Instant now) {
  fleet.open(up, reachable, now);
  const auto at = distrusted.find(up.box);
  if (at == distrusted.end() || at->second.until <= now) return;
  for (Slice& slice : fleet.find(up.session)->slices) fleet.pause(slice, at->second.until);
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
    if (kind.fits(needs))
      everywhere += static_cast<size_t>(
          std::distance(kind.memory_bytes.lower_bound(needs.memory_bytes), kind.memory_bytes.end()));
  if (const Session* session = fleet.newest_of(box))
    for (const Slice& slice : session->slices)
      if (slice.fits(needs)) ++here;
  return everywhere > here ? box : BoxId{};
}

}  // namespace quarry::scheduler
