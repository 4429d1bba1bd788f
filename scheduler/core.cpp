#include "scheduler/core.h"

#include <algorithm>

#include "scheduler/core_data.h"

namespace quarry::scheduler {
namespace {

using Data = State::Data;
constexpr auto kLongestSleep = std::chrono::seconds(1);
constexpr int kMostSlicesTried = 64;    // of a class, for one placement: some are too small, some are avoided
constexpr int kMostCompiledTried = 16;  // sessions that have compiled the graph
constexpr int kMaxPauseDoublings = 16;

/// Applies events one after the other; every handler first asks whether the event still fits what is known.
class Reactor {
 public:
  Reactor(Data& data, Instant now, Decisions& decisions) : data_(data), now_(now), decisions_(decisions) {}

  void operator()(const JobReady& event) { ready(event.job, BoxId{}, ""); }
  void operator()(const JobCancelled& event);
  void operator()(const SessionOpened& event);
  void operator()(const SessionSeen& event);
  void operator()(const SessionUnreachable& event) {
    if (Session* session = data_.fleet.find(event.session)) data_.fleet.set_reachable(*session, false);
  }
  void operator()(const SessionClosed& event);
  void operator()(const AttemptEnded& event);
  void operator()(const GraphsCompiled& event);
  void operator()(const PlacementCommitted& event);
  void operator()(const PlacementRefused& event);
  void operator()(const AttemptFound& event);
  void operator()(const Census& event);

 private:
  /// `code` says how the last attempt failed, on that box.
  void ready(const wire::ReadyJob& job, BoxId failed_on, std::string_view code);
  void close(Session& session) {
    for (const auto& job : data_.close_session(session)) ready(job, BoxId{}, "");
  }
  void judge(Slice& slice, const wire::AttemptEnded& ended);
  void learn(const Attempt& attempt, const wire::AttemptEnded& ended);
  Attempt* attempt(JobId job) {
    const auto at = data_.attempts.find(job);
    return at == data_.attempts.end() ? nullptr : &at->second;
  }

  Data& data_;
  const Instant now_;
  Decisions& decisions_;
};

/// Failures that may be the graph's own doing, and not the box's.
bool suspects_graph(std::string_view code) {
  return code == "graph_error" || code == "time_limit" || code == "out_of_memory" || code == "executor_crashed";
}

void Reactor::ready(const wire::ReadyJob& job, BoxId failed_on, std::string_view code) {
  if (const Waiting* known = data_.queue.find(job.job)) {
    if (known->job.segment >= job.segment) return;
    data_.queue.remove(job.job);
  }
  if (const Attempt* known = attempt(job.job)) {
    if (known->job.segment >= job.segment) return;
    data_.release(job.job);  // its segment was accepted, unheard
  }
  const BoxId avoids = failed_on == BoxId{} ? failed_on : data_.worth_avoiding(failed_on, requirement_of(job));
  const auto avoid_for = suspects_graph(code) ? data_.rules.avoid_suspect_for : data_.rules.avoid_for;
  data_.enqueue(job, avoids, now_ + avoid_for, now_);
}

void Reactor::operator()(const JobCancelled& event) {
  if (data_.queue.find(event.job)) data_.queue.remove(event.job);
  Attempt* running = attempt(event.job);
  if (!running) return;
  if (!running->fence) {
    running->cancelled = true;
    return;
  }
  decisions_.cancels.push_back({*running->fence, running->slice->session->key});
  data_.release(event.job);
}

void Reactor::operator()(const SessionOpened& event) {
  const wire::SessionUp& up = event.session;
  if (data_.closed.contains(up.session)) {
    decisions_.expire.push_back(up.session);  // again: whoever still holds it did not hear
    return;
  }
  if (Session* known = data_.fleet.find(up.session)) {
    if (known->expiring) return;
    data_.fleet.saw(*known, now_);
    data_.fleet.set_reachable(*known, event.reachable);
    return;
  }
  if (Session* other = data_.fleet.newest_of(up.box)) {
    if (other->key.epoch > up.session.epoch) {
      decisions_.expire.push_back(up.session);
      return;
    }
    // The box started anew: what the older session ran is gone, so its segments need not wait for the lease to end.
    if (!other->expiring) {
      data_.fleet.start_expiring(*other);
      decisions_.expire.push_back(other->key);
    }
  }
  data_.open_session(up, event.reachable, now_);
}

void Reactor::operator()(const SessionSeen& event) {
  if (data_.closed.contains(event.session)) decisions_.expire.push_back(event.session);
  Session* session = data_.fleet.find(event.session);
  if (!session || session->expiring) return;
  data_.fleet.saw(*session, now_);
  if (!session->reachable) data_.fleet.set_reachable(*session, true);
}

void Reactor::operator()(const SessionClosed& event) {
  BoxId box;
  if (Session* session = data_.fleet.find(event.session)) {
    box = session->box;
    close(*session);
  }
  for (const auto& job : event.requeued) ready(job, box, "");
}

// A slice that fails one segment after the other rests a little, or it would use up every job's attempts in no time.
void Reactor::judge(Slice& slice, const wire::AttemptEnded& ended) {
  if (ended.accepted) slice.failures = 0;
  const bool blameless = ended.code == "cancelled" || ended.code == "drained" || ended.code == "graph_error";
  if (ended.code == "rejected") return data_.distrust(slice.session->box, now_);
  if (ended.accepted || blameless) return;
  if (++slice.failures < 2) return;
  const int doublings = std::min(slice.failures - 2, kMaxPauseDoublings);
  data_.fleet.pause(slice, now_ + std::min(data_.rules.first_pause * (1 << doublings), data_.rules.longest_pause));
}

void Reactor::operator()(const AttemptEnded& event) {
  const wire::AttemptEnded& ended = event.ended;
  BoxId failed_on;
  if (const Attempt* running = attempt(ended.fence.job); running && running->fence == ended.fence) {
    Slice& slice = *running->slice;
    if (!ended.accepted) failed_on = slice.session->box;
    learn(*running, ended);
    data_.release(ended.fence.job);
    judge(slice, ended);
  }
  if (ended.next) ready(*ended.next, failed_on, ended.code);
}

// What ran there once is compiled there.
void Reactor::learn(const Attempt& attempt, const wire::AttemptEnded& ended) {
  if (!ended.accepted) return;
  data_.fleet.compiled(*attempt.slice->session, attempt.job.graph);
  if (ended.compile_ms > 0) data_.learn_compile_time(attempt.job.graph, std::chrono::milliseconds(ended.compile_ms));
}

void Reactor::operator()(const GraphsCompiled& event) {
  if (Session* session = data_.fleet.find(event.session))
    for (const uint64_t graph : event.graphs) data_.fleet.compiled(*session, graph);
}

void Reactor::operator()(const PlacementCommitted& event) {
  Attempt* placed = attempt(event.fence.job);
  if (!placed || placed->fence || placed->job.segment != event.fence.segment) return;
  placed->fence = event.fence;
  if (placed->cancelled) (*this)(JobCancelled{event.fence.job});
}

// The job is forgotten: it was cancelled, or is where another message or the next poll will tell.
void Reactor::operator()(const PlacementRefused& event) {
  const Attempt* placed = attempt(event.job);
  if (placed && !placed->fence && placed->slice->session->key == event.session) data_.release(event.job);
}

void Reactor::operator()(const AttemptFound& event) {
  Session* session = data_.fleet.find(event.session);
  if (!session || session->slices.empty() || attempt(event.fence.job)) return;
  if (data_.queue.find(event.fence.job)) data_.queue.remove(event.fence.job);
  Slice* slice = session->slice(event.slice);
  data_.place(event.job, slice ? *slice : session->slices.front());
  data_.attempts.at(event.fence.job).fence = event.fence;
}

void Reactor::operator()(const Census& event) {
  const std::set<wire::Fence> running(event.running.begin(), event.running.end());
  const std::set<wire::SessionKey> open(event.sessions.begin(), event.sessions.end());
  std::vector<Session*> closed;
  std::vector<JobId> ended;
  for (const auto& [id, known] : data_.fleet.sessions()) {
    if (!open.contains(known.key) && known.opened <= event.asked && !known.expiring)
      closed.push_back(data_.fleet.find(known.key));
    for (const JobId job : known.jobs)
      if (const Attempt* placed = attempt(job); placed->fence && !running.contains(*placed->fence))
        ended.push_back(job);
  }
  for (const JobId job : ended) data_.release(job);
  for (Session* session : closed) {
    decisions_.expire.push_back(session->key);  // nothing to close any more, but its worker must hear of it
    close(*session);
  }
}

// --- placing ---
struct Choice {
  JobId job;
  Slice* slice = nullptr;

  bool better_than(const Choice& other) const {
    if (!other.slice) return true;
    const int64_t load = int64_t{slice->placed} * other.slice->slots,
                  other_load = int64_t{other.slice->placed} * slice->slots;
    return load != other_load ? load < other_load : slice->kind->grade < other.slice->kind->grade;
  }
};

// The class's least busy slice that may take a segment of the group, and the group's first segment that may go there.
Choice choose_in(const Queue& queue, const SliceClass& kind, const Group& group) {
  const Requirement& needs = group.requirement();
  int tried = 0;
  for (Slice* slice : kind.free) {
    if (++tried > kMostSlicesTried) break;
    if (!slice->fits(needs) || !slice->takes(needs.account)) continue;
    if (const auto first = queue.first_for(group, slice->session->box)) return {first->job, slice};
  }
  return {};
}

Choice least_busy(const Data& data, const Group& group) {
  Choice best;
  for (const auto& [key, kind] : data.fleet.classes())
    if (!kind.free.empty() && kind.fits(group.requirement()))
      if (const Choice choice = choose_in(data.queue, kind, group); choice.slice && choice.better_than(best))
        best = choice;
  return best;
}

/// The slices where the segment could run at once because its graph is compiled there, and when.
struct CompiledPlaces {
  Slice* free = nullptr;  ///< the soonest of those that can take it now
  std::chrono::milliseconds free_wait{0};
  size_t serving = 0;  ///< busy ones too
  std::chrono::milliseconds least_wait = std::chrono::milliseconds::max();
};
CompiledPlaces compiled_places(const Data& data, const Group& group, const Waiting& waiting) {
  CompiledPlaces places;
  const auto* sessions = data.fleet.with_compiled(waiting.job.graph);
  int tried = 0;
  if (sessions)
    for (const auto& [epoch, session] : *sessions) {
      if (++tried > kMostCompiledTried) break;
      if (session->box == waiting.avoids) continue;
      for (Slice& slice : session->slices) {
        if (!slice.serves() || !slice.fits(group.requirement())) continue;
        const auto wait = slice.time_for(slice.work);
        ++places.serving;
        places.least_wait = std::min(places.least_wait, wait);
        if (!slice.is_free() || !slice.takes(waiting.job.account)) continue;
        if (!places.free || wait < places.free_wait) places.free = &slice, places.free_wait = wait;
      }
    }
  return places;
}

// A box that has the graph compiled is preferred where that saves time: the segment goes there although another one is
// less busy, or waits for it while all that waits with it would be done there before another box had compiled.
Choice choose(const Data& data, const Group& group, Instant now) {
  Choice choice = least_busy(data, group);
  if (!choice.slice) return {};
  const Waiting& waiting = *data.queue.find(choice.job);
  const auto* sessions = data.fleet.with_compiled(waiting.job.graph);
  if (!sessions || sessions->contains(choice.slice->session->key.epoch)) return choice;
  const CompiledPlaces places = compiled_places(data, group, waiting);
  const auto compile = data.compile_time(waiting.job.graph);
  if (places.free) {
    const auto elsewhere = choice.slice->time_for(choice.slice->work) + compile;
    if (places.free_wait <= elsewhere) choice.slice = places.free;
    return choice;
  }
  if (places.serving == 0) return choice;
  const auto one = choice.slice->time_for(waiting.job.metered_gflop);
  const auto backlog =
      one * static_cast<int64_t>(std::min<size_t>(group.waiting(), 100'000)) / static_cast<int64_t>(places.serving);
  const bool worth_waiting = places.least_wait + backlog < compile && now < waiting.since + compile;
  return worth_waiting ? Choice{} : choice;
}

Choice choose_for(const Data& data, const Line& line, Instant now) {
  for (const auto& [rank, group] : line.groups)
    if (const Choice choice = choose(data, *group, now); choice.slice) return choice;
  return {};
}

bool any_free(const Fleet& fleet) {
  return std::any_of(fleet.classes().begin(), fleet.classes().end(),
                     [](const auto& entry) { return !entry.second.free.empty(); });
}

// Accounts in their turn. Slots only become fewer here, so a line for which nothing is free is not asked again.
void place_what_fits(Data& data, Instant now, Decisions& decisions) {
  const auto& lines = data.queue.lines();
  auto at = lines.begin();
  while (at != lines.end() && decisions.placements.size() < data.rules.max_placements && any_free(data.fleet)) {
    const Choice choice = choose_for(data, *at->second, now);
    if (!choice.slice) {
      ++at;
      continue;
    }
    const Turn turn = at->first;
    const wire::ReadyJob job = data.queue.find(choice.job)->job;
    data.queue.serve(job.job);
    data.place(job, *choice.slice);
    decisions.placements.push_back({job.job, job.segment, choice.slice->session->key, choice.slice->id});
    at = lines.lower_bound(turn);
  }
}

// --- time ---
void end_avoidance(Data& data, Instant now) {
  while (!data.avoiding.empty() && data.avoiding.begin()->first <= now) {
    data.queue.stop_avoiding(data.avoiding.begin()->second);
    data.avoiding.erase(data.avoiding.begin());
  }
}

void expire_silent_sessions(Data& data, Instant now, Decisions& decisions) {
  // A process that stood still for a while has not read the heartbeats that wait in its sockets: everyone gets a whole
  // lease again.
  if (data.last_step && now - *data.last_step > data.rules.lease_ttl / 2)
    data.no_expiry_before = now + data.rules.lease_ttl;
  data.last_step = now;
  if (now < data.no_expiry_before) return;
  for (Session* session :
       data.fleet.unseen_since({now.micros - std::chrono::microseconds(data.rules.lease_ttl).count()})) {
    data.fleet.start_expiring(*session);
    decisions.expire.push_back(session->key);
  }
}

}  // namespace

State::State(Rules rules) : data_(std::make_unique<Data>()) {
  data_->rules = rules;
}
State::~State() = default;
State::State(State&&) noexcept = default;
State& State::operator=(State&&) noexcept = default;

size_t State::waiting() const {
  return data_->queue.size();
}
size_t State::placed() const {
  return data_->attempts.size();
}
size_t State::sessions() const {
  return data_->fleet.sessions().size();
}

bool State::knows(const wire::Fence& fence) const {
  const auto at = data_->attempts.find(fence.job);
  return at != data_->attempts.end() && at->second.fence == fence;
}

std::vector<wire::Fence> State::running(SessionId session) const {
  std::vector<wire::Fence> fences;
  const auto at = data_->fleet.sessions().find(session);
  if (at == data_->fleet.sessions().end()) return fences;
  for (const JobId job : at->second.jobs)
    if (const auto& fence = data_->attempts.at(job).fence) fences.push_back(*fence);
  return fences;
}

Decisions step(State& state, std::span<const Event> events, Instant now) {
  Data& data = state.data();
  Decisions decisions;
  for (const Event& event : events) std::visit(Reactor(data, now, decisions), event);
  end_avoidance(data, now);
  const auto pause_ends = data.fleet.end_pauses(now);
  expire_silent_sessions(data, now, decisions);
  place_what_fits(data, now, decisions);

  const bool full = decisions.placements.size() >= data.rules.max_placements;
  Instant wake = full ? now : now + kLongestSleep;
  if (pause_ends) wake = std::min(wake, *pause_ends);
  decisions.wake = wake;
  return decisions;
}

}  // namespace quarry::scheduler
