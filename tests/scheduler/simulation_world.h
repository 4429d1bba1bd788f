// Inside the simulation: the actors, and the one queue of what happens when.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <set>

#include "scheduler/leader.h"
#include "tests/scheduler/fixtures.h"
#include "tests/scheduler/simulation.h"

namespace quarry::scheduler::test {

using namespace std::chrono_literals;
using std::chrono::microseconds;

inline constexpr microseconds kChaos = 40s;      // faults happen until then
inline constexpr microseconds kPatience = 400s;  // every job has ended by then
inline constexpr auto kLeaderTtl = 3'000ms;
inline constexpr int kCandidates = 2, kServers = 2, kWorkers = 3, kJobs = 30;

/// A link that breaks loses what is in it: deliveries carry the count at which they were sent.
using Generation = uint64_t;

struct Candidate {
  int index = 0;
  bool alive = true;
  bool deaf = false;    // its renewals do not get through: it leads on without knowing that it does not
  Generation life = 0;  // counts crashes, lost terms and reloads
  int64_t epoch = 0;
  std::optional<Leader> leader;
  microseconds skew{0};  // its monotonic clock against true time
  bool turn_due = false;
  uint64_t timer = 0;  // the last one set
};
struct Server {
  int index = 0;
  bool alive = true;
  Generation life = 0;
  int candidate = -1;  // linked to
  PeerId peer = 0;
  Generation link = 0;
  std::set<int> workers;
};
struct Worker {
  int index = 0;
  Generation life = 0;  // counts restarts
  bool silent = false;
  int server = -1;
  Generation link = 0;
  std::optional<wire::SessionKey> session;
  wire::SessionSlice slice;
  std::set<wire::Fence> known;
  std::map<wire::Fence, bool> delivered;  // without an answer yet; true: it failed
};

class World {
 public:
  explicit World(const SimulationOptions& options);
  SimulationResult run();

 private:
  // time and chance
  void after(microseconds delay, std::function<void()> what) {
    queue_.push({now_ + delay, ++sequence_, std::move(what)});
  }
  bool chance(double probability) { return std::uniform_real_distribution<>(0, 1)(random_) < probability; }
  bool fault(double probability) { return chaos() && chance(probability); }
  microseconds between(microseconds least, microseconds most) {
    return microseconds(std::uniform_int_distribution<int64_t>(least.count(), most.count())(random_));
  }
  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }
  bool chaos() const { return now_.micros < kChaos.count(); }
  void trace(const char* format, ...) const __attribute__((format(printf, 2, 3)));

  // schedulers (simulation_schedulers.cpp)
  Instant clock(const Candidate& candidate) const { return now_ + candidate.skew; }
  void elect(Candidate& candidate);
  void load(Candidate& candidate);
  void end_term(Candidate& candidate);
  void turn_soon(Candidate& candidate);
  void turn(Candidate& candidate);
  void perform(Candidate& candidate, Work work);
  void send(Candidate& candidate, const Outgoing& outgoing);
  void crash(Candidate& candidate);

  // servers (simulation_servers.cpp)
  void find_leader(Server& server);
  void unlink(Server& server);
  void hint(Server& server, wire::Message message);
  void beat(Server& server);
  void receive(Server& server, const wire::Message& message);
  void crash(Server& server);
  void accept_result(Server& server, Worker& worker, const wire::Fence& fence, bool failed);
  int any_server();

  // workers (simulation_workers.cpp)
  void connect(Worker& worker);
  void disconnect(Worker& worker, bool tell_server);
  void lease(Worker& worker, const wire::Lease& lease);
  void finish(Worker& worker, const wire::Fence& fence);
  void deliver(Worker& worker, const wire::Fence& fence, bool failed);
  void restart(Worker& worker);
  void be_silent(Worker& worker);

  // clients and faults (simulation.cpp)
  void submit_jobs();
  void cancel_some(JobId job);
  void make_trouble();
  void end_chaos();

  struct Happening {
    Instant at;
    uint64_t sequence;
    std::function<void()> what;
    bool operator>(const Happening& other) const { return std::tie(at, sequence) > std::tie(other.at, other.sequence); }
  };

  const SimulationOptions options_;
  std::mt19937_64 random_;
  Instant now_{0};
  uint64_t sequence_ = 0;
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> queue_;
  MemoryJournal journal_;
  std::vector<Candidate> candidates_;
  std::vector<Server> servers_;
  std::vector<Worker> workers_;
  PeerId next_peer_ = 1;
  SimulationResult result_;
};

}  // namespace quarry::scheduler::test
