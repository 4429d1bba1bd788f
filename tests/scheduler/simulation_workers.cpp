#include "tests/scheduler/simulation_world.h"

namespace quarry::scheduler::test {

// Hello, with the session to resume. A new session means that the old one's work is lost to this worker.
void World::connect(Worker& worker) {
  if (worker.server >= 0) return;
  const int index = any_server();
  if (index < 0 || worker.silent) {
    after(between(300ms, 1s), [&] { connect(worker); });
    return;
  }
  Server& server = servers_[static_cast<size_t>(index)];
  const auto up =
      journal_.open_session(id<BoxId>(static_cast<uint64_t>(worker.index) + 1), worker.session, worker.slice);
  if (worker.session != up.session) {
    worker.known.clear();
    worker.delivered.clear();
  }
  worker.session = up.session;
  worker.server = index;
  ++worker.link;
  server.workers.insert(worker.index);
  trace("worker %d has session %ld over server %d", worker.index, static_cast<long>(up.session.epoch), index);
  hint(server, up);
  for (const auto& [fence, failed] : std::map<wire::Fence, bool>(worker.delivered)) deliver(worker, fence, failed);
}

void World::disconnect(Worker& worker, bool tell_server) {
  if (worker.server < 0) return;
  Server& server = servers_[static_cast<size_t>(worker.server)];
  server.workers.erase(worker.index);
  worker.server = -1;
  ++worker.link;
  if (tell_server) hint(server, wire::SessionDown{*worker.session});
  after(chaos() ? between(100ms, 14s) : between(100ms, 1s), [&] { connect(worker); });
}

void World::lease(Worker& worker, const wire::Lease& granted) {
  if (granted.fence.session_epoch != worker.session->epoch || !worker.known.insert(granted.fence).second) return;
  const microseconds work = chance(0.03) ? between(5s, 15s) : between(20ms, 2s);
  after(work, [this, &worker, life = worker.life, fence = granted.fence] {
    if (worker.life == life) finish(worker, fence);
  });
}

void World::finish(Worker& worker, const wire::Fence& fence) {
  if (worker.silent) {  // it goes on computing; the result comes late
    after(1s, [this, &worker, life = worker.life, fence] {
      if (worker.life == life) finish(worker, fence);
    });
    return;
  }
  if (!worker.known.contains(fence)) return;  // of a session that it lost
  const bool failed = fault(0.1);
  worker.delivered[fence] = failed;
  deliver(worker, fence, failed);
}

void World::deliver(Worker& worker, const wire::Fence& fence, bool failed) {
  if (worker.server < 0) return;
  if (fault(0.02)) return disconnect(worker, true);
  const int copies = fault(0.05) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy)
    after(between(0ms, 20ms), [this, &worker, link = worker.link, fence, failed] {
      if (worker.link == link) accept_result(servers_[static_cast<size_t>(worker.server)], worker, fence, failed);
    });
}

// The process dies and starts again: it knows neither its session nor its work.
void World::restart(Worker& worker) {
  ++result_.restarts;
  trace("worker %d starts anew", worker.index);
  ++worker.life;
  disconnect(worker, true);
  worker.session.reset();
  worker.known.clear();
  worker.delivered.clear();
  worker.silent = false;
}

void World::be_silent(Worker& worker) {
  if (worker.silent) return;
  ++result_.silences;
  trace("worker %d falls silent", worker.index);
  worker.silent = true;
  after(between(1s, 25s), [&worker, life = worker.life] {
    if (worker.life == life) worker.silent = false;
  });
}

}  // namespace quarry::scheduler::test
