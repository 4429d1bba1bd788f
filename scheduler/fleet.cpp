#include "scheduler/fleet.h"

#include <algorithm>

namespace quarry::scheduler {

bool ByLoad::operator()(const Slice* a, const Slice* b) const {
  const int64_t load_a = int64_t{a->placed} * b->slots, load_b = int64_t{b->placed} * a->slots;
  if (load_a != load_b) return load_a < load_b;
  return std::tie(a->last_used, a->session->key.epoch, a->id) < std::tie(b->last_used, b->session->key.epoch, b->id);
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
  if (slice.session->reachable && !slice.session->expiring && !slice.paused && slice.placed < slice.slots)
    slice.kind->free.insert(&slice);
}

void Fleet::unlist(Slice& slice) {
  slice.kind->free.erase(&slice);
}

std::vector<SliceClass*> Fleet::open(const wire::SessionUp& up, bool reachable, Instant now) {
  std::vector<SliceClass*> made;
  Session& session = sessions_[up.session.id];
  session.key = up.session;
  session.box = up.box;
  session.reachable = reachable;
  session.opened = session.seen = now;
  by_box_[up.box] = up.session.id;
  by_seen_.emplace(now, up.session.id);
  for (const auto& offered : up.slices) {
    const auto [at, is_new] = classes_.try_emplace({offered.memory_bytes, offered.dtypes});
    SliceClass& kind = at->second;
    kind.memory_bytes = offered.memory_bytes;
    kind.dtypes = offered.dtypes;
    ++kind.slices;
    if (is_new) made.push_back(&kind);
    Slice& slice = session.slices.emplace_back();
    slice.id = offered.slice;
    slice.session = &session;
    slice.kind = &kind;
    slice.slots = std::max(1, offered.slots);
    list(slice);
  }
  return made;
}

void Fleet::close(const wire::SessionKey& key) {
  Session& session = sessions_.at(key.id);
  for (Slice& slice : session.slices) {
    unlist(slice);
    if (--slice.kind->slices == 0) classes_.erase({slice.kind->memory_bytes, slice.kind->dtypes});
  }
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

void Fleet::occupy(Slice& slice, JobId job) {
  unlist(slice);
  ++slice.placed;
  slice.last_used = ++placements_;
  slice.session->jobs.insert(job);
  list(slice);
}

void Fleet::release(Slice& slice, JobId job) {
  unlist(slice);
  --slice.placed;
  slice.session->jobs.erase(job);
  list(slice);
}

void Fleet::pause(Slice& slice, Instant until) {
  if (slice.paused) return;
  unlist(slice);
  slice.paused = true;
  paused_.emplace(std::tuple(until, slice.session->key.epoch, slice.id), &slice);
}

std::optional<Instant> Fleet::end_pauses(Instant now) {
  while (!paused_.empty() && std::get<Instant>(paused_.begin()->first) <= now) {
    Slice& slice = *paused_.begin()->second;
    paused_.erase(paused_.begin());
    slice.paused = false;
    list(slice);
  }
  return paused_.empty() ? std::nullopt : std::optional(std::get<Instant>(paused_.begin()->first));
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
