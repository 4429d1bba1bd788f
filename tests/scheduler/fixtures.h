// Small ids and messages for tests of the scheduler.
#pragma once

#include "scheduler/core.h"

namespace quarry::scheduler::test {

inline constexpr uint64_t kGiB = uint64_t{1} << 30;

template <class AnyId>
AnyId id(uint64_t n) {
  AnyId out;
  for (size_t i = 0; i < 8; ++i) out.bytes[15 - i] = static_cast<uint8_t>(n >> (8 * i));
  return out;
}

inline wire::ReadyJob job(uint64_t n, int32_t segment = 0, uint64_t memory = kGiB, uint32_t dtypes = 1,
                          uint64_t account = 1) {
  return {id<JobId>(n), id<AccountId>(account), segment, static_cast<int64_t>(n), memory, dtypes, 1, 0};
}
/// A job of an account, on a graph, of so many 10^9 metered FLOPs.
inline wire::ReadyJob work(uint64_t n, uint64_t account, uint64_t gflop = 1, uint64_t graph = 0) {
  wire::ReadyJob ready = job(n, 0, kGiB, 1, account);
  ready.metered_gflop = gflop;
  ready.graph = graph;
  return ready;
}
inline wire::SessionKey session_key(uint64_t n) {
  return {id<SessionId>(n), static_cast<int64_t>(n)};
}

/// Session n of box n, unless said otherwise, with one slice whose id is n.
inline wire::SessionUp session(uint64_t n, int32_t slots = 1, uint64_t memory = 8 * kGiB, uint32_t dtypes = 0xff,
                               uint64_t box = 0) {
  return {
      session_key(n), id<BoxId>(box ? box : n), id<AccountId>(900), {{id<SliceId>(n), memory, dtypes, slots, 1e12}}};
}
inline wire::Fence fence(const Placement& placement, int32_t attempt = 1) {
  return {7, placement.job, placement.segment, placement.session.epoch, attempt};
}

/// A state and its time; each call is one step.
struct Desk {
  State state;
  Instant now{1'000'000'000};

  explicit Desk(Rules rules = {}) : state(rules) {}
  Decisions step(std::vector<Event> events = {}) { return scheduler::step(state, events, now); }
  Decisions after(std::chrono::microseconds time, std::vector<Event> events = {}) {
    now = now + time;
    return step(std::move(events));
  }
  /// Steps, and commits every placement as the journal would.
  std::vector<Placement> place(std::vector<Event> events = {}) {
    const auto placements = step(std::move(events)).placements;
    commit(placements);
    return placements;
  }
  void commit(const std::vector<Placement>& placements, int32_t attempt = 1) {
    std::vector<Event> committed;
    for (const auto& placement : placements) committed.push_back(PlacementCommitted{fence(placement, attempt)});
    step(std::move(committed));
  }
};

inline AttemptEnded accepted(const Placement& placement, std::optional<wire::ReadyJob> next = {}) {
  return {{fence(placement), placement.session.id, true, "accepted", next, 0}};
}
inline AttemptEnded failed(const Placement& placement, std::optional<wire::ReadyJob> next, int32_t attempt = 1,
                           const std::string& code = "device_error") {
  return {{fence(placement, attempt), placement.session.id, false, code, next, 0}};
}

}  // namespace quarry::scheduler::test
