#include "scheduler/leader.h"

#include <algorithm>
#include <set>
#include <utility>

namespace quarry::scheduler {
namespace {

constexpr size_t kLoadChunk = 10'000;  // events of one step while the queue is rebuilt
constexpr auto kWorkingSleep = std::chrono::seconds(1);
constexpr size_t kMessageBytes = 4 << 20;  // of one message with leases, about

size_t size_of(const wire::Lease& lease) {
  size_t bytes = lease.job_document.size();
  for (const auto& [name, extents] : lease.inputs) bytes += name.size() + sizeof(wire::Extent) * extents.size();
  return bytes;
}

// The queue was read last: what it has again no longer runs as the list of attempts says.
void drop_requeued(Snapshot& snapshot) {
  std::map<JobId, int32_t> running;
  for (const auto& found : snapshot.running) running.emplace(found.fence.job, found.fence.segment);
  std::set<JobId> requeued;
  for (const auto& job : snapshot.ready)
    if (const auto at = running.find(job.job); at != running.end() && job.segment >= at->second)
      requeued.insert(job.job);
  std::erase_if(snapshot.running, [&](const auto& found) { return requeued.contains(found.fence.job); });
}

}  // namespace

Leader::Leader(int64_t epoch, Snapshot snapshot, Rules rules, Timing timing, Instant now)
    : epoch_(epoch),
      timing_(timing),
      state_(rules),
      next_census_(now + timing.census_every),
      next_find_ready_(now + timing.find_ready_every) {
  drop_requeued(snapshot);
  // A session is reachable when a server says that it has it.
  for (auto& session : snapshot.sessions) events_.push_back(SessionOpened{std::move(session), false});
  for (auto& found : snapshot.running)
    events_.push_back(AttemptFound{found.fence, {found.session, found.fence.session_epoch}, found.slice, found.job});
  for (auto& job : snapshot.ready) {
    events_.push_back(JobReady{job});
    if (events_.size() >= kLoadChunk) decide(now);
  }
  decide(now);
}

/// One overload a message; those that a server does not send close its link.
struct Leader::Receiver {
  Leader& leader;
  PeerId peer;

  void operator()(wire::ServerHello& hello) const {
    const auto version = wire::agreed_version(hello.oldest_version, hello.newest_version);
    if (!version) {
      leader.send_.push_back(
          {peer, wire::Refusal{"version", "This scheduler speaks other versions; release them in order."}});
      leader.close_.push_back(peer);
      return;
    }
    leader.peers_.insert(peer);
    leader.link_changed();
    leader.send_.push_back({peer, wire::SchedulerHello{*version, leader.epoch_}});
  }
  void operator()(wire::JobsReady& ready) const {
    for (auto& job : ready.jobs) leader.events_.push_back(JobReady{job});
  }
  void operator()(wire::SessionUp& up) const {
    leader.connected(peer, up.session);
    leader.events_.push_back(SessionOpened{std::move(up)});
  }
  void operator()(wire::SessionsSeen& seen) const {
    for (const auto& session : seen.sessions) {
      // Who hears a session's heartbeat has its connection, whatever slower messages of other servers say.
      const auto route = leader.routes_.find(session.id);
      if (route == leader.routes_.end() || route->second.peer != peer) leader.connected(peer, session);
      leader.events_.push_back(SessionSeen{session});
    }
  }
  void operator()(wire::SessionDown& down) const {
    const auto at = leader.routes_.find(down.session.id);
    if (at == leader.routes_.end() || at->second.peer != peer) return;  // it came back over another server already
    leader.routes_.erase(at);
    leader.events_.push_back(SessionUnreachable{down.session});
  }
  void operator()(wire::AttemptsEnded& ended) const {
    for (auto& attempt : ended.attempts) leader.events_.push_back(AttemptEnded{std::move(attempt)});
  }
  void operator()(wire::SessionCompiled& compiled) const {
    leader.events_.push_back(GraphsCompiled{compiled.session, std::move(compiled.graphs)});
  }
  void operator()(wire::WhyWaiting& asked) const {
    auto [code, detail] = why_waiting(leader.state_, asked.job);
    leader.send_.push_back({peer, wire::Waiting{asked.request, std::move(code), std::move(detail)}});
  }
  void operator()(wire::CancelRequested& cancelled) const {
    for (const JobId job : cancelled.jobs) leader.events_.push_back(JobCancelled{job});
  }
  template <class Other>
  void operator()(Other&) const {
    leader.send_.push_back({peer, wire::Refusal{"unexpected_message", "A server does not send this to a scheduler."}});
    leader.close_.push_back(peer);
  }
};

void Leader::message(PeerId peer, wire::Message message) {
  if (!peers_.contains(peer) && !std::holds_alternative<wire::ServerHello>(message)) {
    send_.push_back({peer, wire::Refusal{"hello_expected", "A server says hello first."}});
    close_.push_back(peer);
    return;
  }
  std::visit(Receiver{*this, peer}, message);
}

void Leader::connected(PeerId peer, const wire::SessionKey& session) {
  routes_[session.id] = {peer, session};
  for (const auto& fence : state_.running(session.id)) next_.send_again.push_back(fence);
}

void Leader::link_changed() {
  links_changed_ = recheck_ = true;
}

void Leader::peer_gone(PeerId peer) {
  if (peers_.erase(peer) == 0) return;
  link_changed();
  std::erase_if(routes_, [&](const auto& entry) {
    if (entry.second.peer != peer) return false;
    events_.push_back(SessionUnreachable{entry.second.session});
    return true;
  });
}

void Leader::send(const wire::SessionKey& session, wire::Message message) {
  if (const auto at = routes_.find(session.id); at != routes_.end())
    send_.push_back({at->second.peer, std::move(message)});
}

// Few messages a server, none so large that it fills a link. A lease whose session no server has now is sent when the
// session comes back.
void Leader::send_leases(std::vector<wire::Lease> leases) {
  std::map<PeerId, std::pair<wire::Leases, size_t>> by_peer;
  for (auto& lease : leases) {
    const auto at = routes_.find(lease.session);
    if (at == routes_.end()) continue;
    auto& [message, bytes] = by_peer[at->second.peer];
    bytes += size_of(lease);
    message.leases.push_back(std::move(lease));
    if (bytes < kMessageBytes) continue;
    send_.push_back({at->second.peer, std::exchange(message, {})});
    bytes = 0;
  }
  for (auto& [peer, rest] : by_peer)
    if (!rest.first.leases.empty()) send_.push_back({peer, std::move(rest.first)});
}

void Leader::answer_placements(const std::vector<sql::Placement>& placements, std::vector<wire::Lease> leases) {
  std::set<std::pair<JobId, int32_t>> held;
  for (const auto& lease : leases) {
    held.emplace(lease.fence.job, lease.fence.segment);
    events_.push_back(PlacementCommitted{lease.fence});
  }
  for (const auto& placement : placements)
    if (!held.contains({placement.job, placement.segment}))
      events_.push_back(PlacementRefused{placement.job, placement.session});
  send_leases(std::move(leases));
}

void Leader::answer_expiries(const std::vector<wire::SessionKey>& sessions,
                             const std::vector<sql::FailureOutcome>& outcomes) {
  if (sessions.empty()) return;
  std::map<int64_t, SessionClosed> closed;
  for (const auto& session : sessions) closed[session.epoch].session = session;
  for (const auto& outcome : outcomes)
    if (outcome.next) closed[outcome.fence.session_epoch].requeued.push_back(*outcome.next);
  for (auto& [epoch, event] : closed) {
    routes_.erase(event.session.id);
    events_.push_back(std::move(event));
  }
  for (const PeerId peer : peers_) send_.push_back({peer, wire::SessionsExpired{sessions}});
}

void Leader::answer(Answer answer, Instant now) {
  working_ = false;
  answer_expiries(answer.work.expire, answer.expired);
  answer_placements(answer.work.place, std::move(answer.leases));
  send_leases(std::move(answer.sent_again));
  if (answer.work.census) answer_census(answer, now);
  for (const auto& job : answer.ready) {
    events_.push_back(JobReady{job});
    if (events_.size() >= kLoadChunk) decide(now);
  }
  // At once: a session that comes back before the next turn must find what was just committed among its attempts.
  decide(now);
}

// What runs unknown here in two censuses did not just end: a transaction of an earlier term committed late. It is
// adopted, and sent again.
void Leader::answer_census(const Answer& answer, Instant now) {
  decide(now);  // what was committed before the census must be known before it is compared
  Census census{answer.work.asked, {}, {}};
  std::set<wire::Fence> unknown;
  for (const auto& found : answer.running) {
    census.running.push_back(found.fence);
    if (state_.knows(found.fence)) continue;
    unknown.insert(found.fence);
    if (!unheard_of_.contains(found.fence)) continue;
    events_.push_back(AttemptFound{found.fence, {found.session, found.fence.session_epoch}, found.slice, found.job});
    next_.send_again.push_back(found.fence);
  }
  unheard_of_ = std::move(unknown);
  for (const auto& session : answer.sessions) census.sessions.push_back(session.session);
  events_.push_back(std::move(census));
}

void Leader::decide(Instant now) {
  const Decisions decisions = step(state_, events_, now);
  events_.clear();
  wake_ = decisions.wake;
  for (const auto& placement : decisions.placements)
    next_.place.push_back({placement.job, placement.segment, placement.session, placement.slice});
  next_.expire.insert(next_.expire.end(), decisions.expire.begin(), decisions.expire.end());
  for (const auto& cancel : decisions.cancels) send(cancel.session, wire::Cancels{{cancel.fence}, "cancelled"});
}

void Leader::ask_what_was_missed(Instant now) {
  const bool idle = state_.waiting() == 0;
  if (std::exchange(recheck_, false)) next_census_ = std::min(next_census_, idle ? now : now + timing_.settle);
  if (now < next_census_) return;
  next_census_ = now + timing_.census_every;
  next_.census = true;
  if (!idle && !links_changed_ && now < next_find_ready_) return;
  next_find_ready_ = now + timing_.find_ready_every;
  links_changed_ = false;
  next_.find_ready = true;
}

Turn Leader::turn(Instant now) {
  Turn turn;
  if (!working_) ask_what_was_missed(now);
  decide(now);
  if (!working_ && !next_.empty()) {
    working_ = true;
    turn.work = take_work(now);
  }
  turn.send = std::exchange(send_, {});
  turn.close = std::exchange(close_, {});
  turn.wake = working_ ? now + kWorkingSleep : std::min(wake_, next_census_);
  return turn;
}

Work Leader::take_work(Instant now) {
  Work work = std::exchange(next_, {});
  work.asked = now;
  std::sort(work.expire.begin(), work.expire.end());
  work.expire.erase(std::unique(work.expire.begin(), work.expire.end()), work.expire.end());
  if (work.place.size() > wire::kMaxBatch) {
    next_.place.assign(work.place.begin() + static_cast<std::ptrdiff_t>(wire::kMaxBatch), work.place.end());
    work.place.resize(wire::kMaxBatch);
  }
  return work;
}

}  // namespace quarry::scheduler
