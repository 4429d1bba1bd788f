#include "tests/scheduler/simulation_world.h"

namespace quarry::scheduler::test {

void World::find_leader(Server& server) {
  after(between(200ms, 600ms), [&] { find_leader(server); });
  if (!server.alive || server.candidate >= 0) return;
  const auto leads = journal_.leader(now_);
  if (!leads) return;
  Candidate& candidate = candidates_[static_cast<size_t>(*leads)];
  if (!candidate.alive || !candidate.leader) return;
  server.candidate = candidate.index;
  server.peer = next_peer_++;
  ++server.link;
  candidate.leader->message(server.peer, wire::ServerHello{"server", 1, 1});
  turn_soon(candidate);
  for (const int index : server.workers) {
    const Worker& worker = workers_[static_cast<size_t>(index)];
    hint(server, wire::SessionUp{
                     *worker.session, id<BoxId>(static_cast<uint64_t>(index) + 1), id<AccountId>(900), {worker.slice}});
  }
}

// Both ends notice; what was under way is lost.
void World::unlink(Server& server) {
  if (server.candidate < 0) return;
  Candidate& candidate = candidates_[static_cast<size_t>(server.candidate)];
  ++result_.broken_links;
  ++server.link;
  server.candidate = -1;
  if (!candidate.leader) return;
  candidate.leader->peer_gone(server.peer);
  turn_soon(candidate);
}

// A message to the leader: it may take long, come twice, overtake others, or be lost with its link.
void World::hint(Server& server, wire::Message message) {
  if (server.candidate < 0) return;
  if (fault(0.01)) return unlink(server);
  const auto copies = fault(0.05) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy)
    after(fault(0.05) ? between(20ms, 3s) : between(0ms, 5ms), [this, &server, link = server.link, message] {
      if (server.link != link || server.candidate < 0) return;
      Candidate& candidate = candidates_[static_cast<size_t>(server.candidate)];
      candidate.leader->message(server.peer, message);
      turn_soon(candidate);
    });
}

void World::beat(Server& server) {
  after(2s, [&] { beat(server); });
  if (!server.alive) return;
  wire::SessionsSeen seen;
  for (const int index : server.workers)
    if (const Worker& worker = workers_[static_cast<size_t>(index)]; !worker.silent)
      seen.sessions.push_back(*worker.session);
  if (!seen.sessions.empty()) hint(server, std::move(seen));
}

void World::receive(Server& server, const wire::Message& message) {
  const auto to_worker = [&](SessionId session, auto deliver) {
    for (const int index : server.workers)
      if (Worker& worker = workers_[static_cast<size_t>(index)]; worker.session->id == session)
        after(between(0ms, 10ms), [this, &worker, link = worker.link, deliver] {
          if (worker.link == link) deliver(worker);
        });
  };
  if (const auto* leases = std::get_if<wire::Leases>(&message))
    for (const auto& granted : leases->leases)
      to_worker(granted.session, [this, granted](Worker& worker) { lease(worker, granted); });
  if (const auto* expired = std::get_if<wire::SessionsExpired>(&message))
    for (const auto& session : expired->sessions)
      to_worker(session.id, [this](Worker& worker) { disconnect(worker, true); });
}

void World::crash(Server& server) {
  if (!server.alive) return;
  ++result_.server_crashes;
  trace("server %d crashes", server.index);
  server.alive = false;
  unlink(server);
  for (const int index : std::set<int>(server.workers)) disconnect(workers_[static_cast<size_t>(index)], false);
  after(between(200ms, 5s), [&] { server.alive = true; });
}

// One transaction, then a hint to the leader and an answer to the worker; a crash in between loses both.
void World::accept_result(Server& server, Worker& worker, const wire::Fence& fence, bool failed) {
  const auto outcome = failed ? journal_.fail(fence) : journal_.complete(fence);
  if (fault(0.01)) return crash(server);
  if (outcome.code != "stale_fence" && outcome.code != "already_accepted")
    hint(server, wire::AttemptsEnded{
                     {{fence, worker.session->id, !failed, failed ? "device_error" : "accepted", outcome.next}}});
  after(between(0ms, 10ms), [&worker, link = worker.link, fence] {
    if (worker.link == link) worker.delivered.erase(fence);
  });
}

int World::any_server() {
  std::vector<int> alive;
  for (const Server& server : servers_)
    if (server.alive) alive.push_back(server.index);
  return alive.empty() ? -1 : alive[static_cast<size_t>(pick(static_cast<int>(alive.size())))];
}

}  // namespace quarry::scheduler::test
