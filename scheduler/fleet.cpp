#include "scheduler/fleet.h"

#include <algorithm>

#include "scheduler/grades.h"

namespace quarry::scheduler {

bool ByLoad::operator()(const Slice* a, const Slice* b) const {
  const int64_t load_a = int64_t{a->placed} * b->slots, load_b = int64_t{b->placed} * a->slots;
  if (load_a != load_b) return load_a < load_b;
  return std::tie(a->last_used, a->session->key.epoch, a->id) < std::tie(b->last_used, b->session->key.epoch, b->id);
}

bool Slice::serves() const {
  return session->reachable && !session->expiring && !paused_until;
}

std::chrono::milliseconds Slice::time_for(uint64_t gflop) const {
  constexpr uint64_t kAssumed = 100, kMost = uint64_t{1} << 40;  // a processor's; and nothing that wraps
  return std::chrono::milliseconds(std::min(gflop, kMost) * 1'000 / (gflops == 0 ? kAssumed : gflops));
}

Slice* Session::slice(SliceId id) {
  const auto at = std::find_if(slices.begin(), slices.end(), [&](const Slice& slice) { return slice.id == id; });
  return at == slices.end() ? nullptr : &*at;
}

Session* Fleet::find(const wire::SessionKey& key) {
  const auto at = sessions_.find(key.id);
  return at != sessions_.end() && at->second.key == key ? &at->second : nullptr;
}

Session* Fleet::newest_of(BoxId box) {
  const auto at = by_box_.find(box);
  return at == by_box_.end() ? nullptr : &sessions_.at(at->second);
}

void Fleet::list(Slice& slice) {
  if (slice.is_free()) slice.kind->free.insert(&slice);
}

void Fleet::unlist(Slice& slice) {
  slice.kind->free.erase(&slice);
}

void Fleet::open(const wire::SessionUp& up, bool reachable, Instant now) {
  Session& session = sessions_[up.session.id];
  session.key = up.session;
  session.box = up.box;
  session.reachable = reachable;
  session.opened = session.seen = now;
  by_box_[up.box] = up.session.id;
  by_seen_.emplace(now, up.session.id);
  for (const auto& offered : up.slices) {
    const uint64_t grade = memory_grade(offered.memory_bytes);
    SliceClass& kind = classes_[{grade, offered.dtypes}];
    kind.grade = grade;
    kind.dtypes = offered.dtypes;
    kind.memory_bytes.insert(offered.memory_bytes);
    Slice& slice = session.slices.emplace_back();
    slice.id = offered.slice;
    slice.session = &session;
    slice.kind = &kind;
    slice.memory_bytes = offered.memory_bytes;
    slice.gflops = static_cast<uint64_t>(std::min(offered.flops_per_s, 1e18) / 1e9);
    slice.slots = std::max(1, offered.slots);
    list(slice);
  }
}

void Fleet::close(const wire::SessionKey& key) {
  Session& session = sessions_.at(key.id);
  for (Slice& slice : session.slices) {
    unlist(slice);
    SliceClass& kind = *slice.kind;
    kind.memory_bytes.erase(kind.memory_bytes.find(slice.memory_bytes));
    if (kind.memory_bytes.empty()) classes_.erase({kind.grade, kind.dtypes});
  }
  while (!session.compiled.empty()) forget_compiled(session);
  std::erase_if(paused_, [&](const auto& entry) { return entry.second->session == &session; });
  by_seen_.erase({session.seen, key.id});
  if (const auto at = by_box_.find(session.box); at != by_box_.end() && at->second == key.id) by_box_.erase(at);
  sessions_.erase(key.id);
}

void Fleet::set_reachable(Session& session, bool reachable) {
  session.reachable = reachable;
  for (Slice& slice : session.slices) reachable ? list(slice) : unlist(slice);
}

void Fleet::start_expiring(Session& session) {
  session.expiring = true;
  for (Slice& slice : session.slices) unlist(slice);
}

void Fleet::saw(Session& session, Instant now) {
  auto entry = by_seen_.extract({session.seen, session.key.id});
  session.seen = now;
  entry.value().first = now;
  by_seen_.insert(std::move(entry));
}

void Fleet::occupy(Slice& slice, const wire::ReadyJob& job) {
  unlist(slice);
  ++slice.placed;
  ++slice.placed_of[job.account];
  slice.work += job.metered_gflop;
  slice.last_used = ++placements_;
  slice.session->jobs.insert(job.job);
  list(slice);
}

void Fleet::release(Slice& slice, const wire::ReadyJob& job) {
  unlist(slice);
  --slice.placed;
  if (--slice.placed_of[job.account] == 0) slice.placed_of.erase(job.account);
  slice.work -= job.metered_gflop;
  slice.session->jobs.erase(job.job);
  list(slice);
}

void Fleet::pause(Slice& slice, Instant until) {
  if (slice.paused_until && *slice.paused_until >= until) return;
  unlist(slice);
  if (slice.paused_until) paused_.erase({*slice.paused_until, slice.session->key.epoch, slice.id});
  slice.paused_until = until;
  paused_.emplace(std::tuple(until, slice.session->key.epoch, slice.id), &slice);
}

std::optional<Instant> Fleet::end_pauses(Instant now) {
  while (!paused_.empty() && std::get<Instant>(paused_.begin()->first) <= now) {
    Slice& slice = *paused_.begin()->second;
    paused_.erase(paused_.begin());
    slice.paused_until.reset();
    list(slice);
  }
  return paused_.empty() ? std::nullopt : std::optional(std::get<Instant>(paused_.begin()->first));
}

void Fleet::compiled(Session& session, uint64_t graph) {
  if (graph == 0 || !compiled_on_[graph].emplace(session.key.epoch, &session).second) return;
  session.compiled.push_back(graph);
  if (session.compiled.size() > wire::kMaxCompiledGraphs) forget_compiled(session);
}

/// The one that it compiled longest ago.
void Fleet::forget_compiled(Session& session) {
  const auto at = compiled_on_.find(session.compiled.front());
  session.compiled.pop_front();
  at->second.erase(session.key.epoch);
  if (at->second.empty()) compiled_on_.erase(at);
}

const std::map<int64_t, Session*>* Fleet::with_compiled(uint64_t graph) const {
  const auto at = compiled_on_.find(graph);
  return at == compiled_on_.end() ? nullptr : &at->second;
}

std::vector<Session*> Fleet::unseen_since(Instant before) {
  std::vector<Session*> unseen;
  for (const auto& [seen, id] : by_seen_) {
    if (seen > before) break;
    if (Session& session = sessions_.at(id); !session.expiring) unseen.push_back(&session);
  }
  return unseen;
}

}  // namespace quarry::scheduler
