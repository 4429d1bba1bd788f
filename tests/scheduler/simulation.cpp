#include "tests/scheduler/simulation.h"

#include "tests/scheduler/simulation_world.h"

namespace quarry::scheduler::test {

World::World(const SimulationOptions& options) : options_(options), random_(options.seed) {
  journal_.check_fences = options.check_fences;
  journal_.next_fault = [this] {
    if (!fault(0.01)) return MemoryJournal::Fault::None;
    return chance(0.5) ? MemoryJournal::Fault::BeforeCommit : MemoryJournal::Fault::AfterCommit;
  };
  for (int i = 0; i < kCandidates; ++i) candidates_.emplace_back().index = i;
  for (int i = 0; i < kServers; ++i) servers_.emplace_back().index = i;
  for (int i = 0; i < kWorkers; ++i) {
    Worker& worker = workers_.emplace_back();
    worker.index = i;
    worker.slice = {id<SliceId>(static_cast<uint64_t>(i) + 1), static_cast<uint64_t>(i + 1) * 4 * kGiB, 0xff,
                    1 + pick(3)};
  }
}

void World::trace(const char* format, ...) const {
  if (!options_.trace) return;
  std::va_list arguments;
  va_start(arguments, format);
  std::printf("%9.3f ", static_cast<double>(now_.micros) / 1e6);
  std::vprintf(format, arguments);
  std::printf("\n");
  va_end(arguments);
}

void World::submit_jobs() {
  for (uint64_t n = 1; n <= kJobs; ++n) {
    const auto ready = job(n, 0, (1 + static_cast<uint64_t>(pick(12))) * kGiB, 1, 1 + static_cast<uint64_t>(pick(2)));
    after(between(0s, 35s), [this, ready] {
      const int server = any_server();
      journal_.submit(ready, 1 + pick(3));
      if (server < 0 || fault(0.1)) return;  // the server died before its hint
      hint(servers_[static_cast<size_t>(server)], wire::JobsReady{{ready}});
      if (chance(0.1)) after(between(0s, 10s), [this, job = ready.job] { cancel_some(job); });
    });
  }
}

void World::cancel_some(JobId job) {
  const int server = any_server();
  if (server < 0) return;
  trace("%s is cancelled", job.to_string().c_str());
  journal_.cancel(job);
  if (!fault(0.1)) hint(servers_[static_cast<size_t>(server)], wire::CancelRequested{{job}});
}

void World::make_trouble() {
  if (!chaos()) return;
  after(between(100ms, 3s), [this] { make_trouble(); });
  Candidate& candidate = candidates_[static_cast<size_t>(pick(kCandidates))];
  Server& server = servers_[static_cast<size_t>(pick(kServers))];
  Worker& worker = workers_[static_cast<size_t>(pick(kWorkers))];
  switch (pick(8)) {
    case 0:
      return crash(candidate);
    case 1: {
      trace("candidate %d cannot renew", candidate.index);
      candidate.deaf = true;
      after(between(2s, 8s), [&candidate] { candidate.deaf = false; });
      return;
    }
    case 2: {
      candidate.skew += between(1s, 60s);
      trace("candidate %d's clock jumps", candidate.index);
      return;
    }
    case 3:
      return crash(server);
    case 4:
      return unlink(server);
    case 5:
      return disconnect(worker, chance(0.5));
    case 6:
      return restart(worker);
    default:
      return be_silent(worker);
  }
}

void World::end_chaos() {
  trace("the faults stop");
  for (Candidate& candidate : candidates_) candidate.alive = true, candidate.deaf = false;
  for (Server& server : servers_) server.alive = true;
  for (Worker& worker : workers_) {
    worker.silent = false;
    connect(worker);
  }
}

SimulationResult World::run() {
  for (Candidate& candidate : candidates_) after(between(0s, 1s), [&] { elect(candidate); });
  for (Server& server : servers_) {
    after(between(0s, 1s), [&] { find_leader(server); });
    after(between(0s, 2s), [&] { beat(server); });
  }
  for (Worker& worker : workers_) after(between(0s, 2s), [&] { connect(worker); });
  submit_jobs();
  after(between(0s, 3s), [this] { make_trouble(); });
  after(kChaos, [this] { end_chaos(); });
  Instant idle_at{0};
  while (!queue_.empty() && now_.micros < kPatience.count()) {
    // Some censuses after the last job ended, the leader's memory must be empty too.
    if (journal_.unended() > 0 || chaos()) idle_at = now_ + 15s;
    if (now_ > idle_at) break;
    auto what = std::move(const_cast<Happening&>(queue_.top()));  // its order is not touched before it is popped
    queue_.pop();
    now_ = what.at;
    what.what();
  }
  journal_.check_ends();
  result_.violations = journal_.violations();
  if (journal_.unended() > 0) result_.violations.push_back("jobs never end:" + journal_.describe_unended());
  for (const Candidate& candidate : candidates_)
    if (candidate.leader && candidate.leader->epoch() == candidate.epoch && journal_.leader(now_) == candidate.index &&
        journal_.unended() == 0 && (candidate.leader->state().placed() > 0 || candidate.leader->state().waiting() > 0))
      result_.violations.push_back("the leader remembers " + std::to_string(candidate.leader->state().placed()) +
                                   " placed and " + std::to_string(candidate.leader->state().waiting()) +
                                   " waiting segments of jobs that all ended");
  result_.counts = journal_.counts();
  return result_;
}

SimulationResult simulate(const SimulationOptions& options) {
  return World(options).run();
}

void add(SimulationResult& sum, const SimulationResult& one) {
  sum.counts.leases += one.counts.leases;
  sum.counts.refused_placements += one.counts.refused_placements;
  sum.counts.deposed += one.counts.deposed;
  sum.counts.stale += one.counts.stale;
  sum.counts.repeated += one.counts.repeated;
  sum.counts.accepted += one.counts.accepted;
  sum.counts.expired += one.counts.expired;
  sum.counts.exhausted += one.counts.exhausted;
  sum.counts.cancelled += one.counts.cancelled;
  sum.failovers += one.failovers;
  sum.scheduler_crashes += one.scheduler_crashes;
  sum.server_crashes += one.server_crashes;
  sum.broken_links += one.broken_links;
  sum.silences += one.silences;
  sum.restarts += one.restarts;
  sum.reloads += one.reloads;
}

}  // namespace quarry::scheduler::test
