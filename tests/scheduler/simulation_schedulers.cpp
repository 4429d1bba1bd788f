#include "tests/scheduler/simulation_world.h"

namespace quarry::scheduler::test {

// What Election does, each second.
void World::elect(Candidate& candidate) {
  after(1s, [&] { elect(candidate); });
  if (!candidate.alive || candidate.deaf) return;
  const int64_t epoch = journal_.try_lead(candidate.index, now_, kLeaderTtl);
  if (epoch == candidate.epoch) return;
  if (candidate.epoch != 0) end_term(candidate);
  candidate.epoch = epoch;
  if (epoch == 0) return;
  ++result_.failovers;
  trace("candidate %d leads, epoch %ld", candidate.index, static_cast<long>(epoch));
  load(candidate);
}

// What Process does when it lost the leadership, or must load again: links are closed and nothing of the term counts
// any more.
void World::end_term(Candidate& candidate) {
  ++candidate.life;
  candidate.leader.reset();
  for (Server& server : servers_)
    if (server.candidate == candidate.index) unlink(server);
}

void World::load(Candidate& candidate) {
  end_term(candidate);
  const Generation life = candidate.life;
  after(between(1ms, 50ms), [this, &candidate, life] {
    if (candidate.life != life) return;
    Snapshot snapshot;
    try {
      snapshot = scheduler::load(journal_);
    } catch (const sql::StoreUnavailable&) {
      after(300ms, [this, &candidate, life] {
        if (candidate.life == life) load(candidate);
      });
      return;
    }
    after(between(0ms, 300ms), [this, &candidate, life, snapshot] {
      if (candidate.life != life) return;
      candidate.leader.emplace(candidate.epoch, snapshot, Rules{}, Timing{}, clock(candidate));
      turn_soon(candidate);
    });
  });
}

void World::turn_soon(Candidate& candidate) {
  if (std::exchange(candidate.turn_due, true)) return;
  after(between(0ms, 2ms), [this, &candidate] { turn(candidate); });
}

void World::turn(Candidate& candidate) {
  candidate.turn_due = false;
  if (!candidate.alive || !candidate.leader) return;
  Turn turn = candidate.leader->turn(clock(candidate));
  for (const auto& outgoing : turn.send) send(candidate, outgoing);
  for (const PeerId peer : turn.close)
    for (Server& server : servers_)
      if (server.candidate == candidate.index && server.peer == peer) unlink(server);
  if (turn.work) perform(candidate, std::move(*turn.work));
  const uint64_t timer = ++candidate.timer;
  const auto sleep = std::max<microseconds>(turn.wake - clock(candidate), 1ms);
  after(sleep, [this, &candidate, timer] {
    if (candidate.timer == timer) turn_soon(candidate);
  });
}

// The work reaches the database even if the process that sent it dies meanwhile; only its answer is then lost.
void World::perform(Candidate& candidate, Work work) {
  const Generation life = candidate.life;
  const int64_t epoch = candidate.epoch;
  after(fault(0.05) ? between(100ms, 6s) : between(1ms, 10ms), [this, &candidate, life, epoch, work = std::move(work)] {
    std::optional<Answer> answer;
    try {
      answer = scheduler::perform(journal_, epoch, work);
    } catch (const sql::StoreUnavailable&) {
    }
    after(between(0ms, 5ms), [this, &candidate, life, answer = std::move(answer)] {
      if (candidate.life != life || !candidate.leader) return;
      if (answer) {
        candidate.leader->answer(*answer, clock(candidate));
        turn_soon(candidate);
      } else {
        ++result_.reloads;
        load(candidate);
      }
    });
  });
}

void World::send(Candidate& candidate, const Outgoing& outgoing) {
  for (Server& server : servers_) {
    if (server.candidate != candidate.index || server.peer != outgoing.peer) continue;
    after(between(0ms, 20ms), [this, &server, link = server.link, message = outgoing.message] {
      if (server.link == link && server.alive) receive(server, message);
    });
  }
}

void World::crash(Candidate& candidate) {
  if (!candidate.alive) return;
  ++result_.scheduler_crashes;
  trace("candidate %d crashes", candidate.index);
  candidate.alive = false;
  end_term(candidate);
  candidate.epoch = 0;
  after(between(200ms, 6s), [&] { candidate.alive = true; });
}

}  // namespace quarry::scheduler::test
