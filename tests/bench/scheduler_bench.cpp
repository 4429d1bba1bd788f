// What a placement costs with a million jobs waiting, and how long the queue takes to rebuild: processor time, one line
// a figure, and a list of {name, value, unit} with --json FILE.
#include <cstdio>
#include <ctime>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/scheduler/fixtures.h"

using namespace quarry;
using namespace quarry::scheduler;
using namespace quarry::scheduler::test;

namespace {

constexpr uint64_t kJobs = 1'000'000, kAccounts = 100, kSessions = 1'000, kRounds = 200;

double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// Ids as they come: the last eight bytes are random.
wire::ReadyJob some_job(uint64_t n, std::mt19937_64& random) {
  auto ready = job(random(), 0, (1 + n % 4) * kGiB, 1, 1 + random() % kAccounts);
  ready.submitted_at_us = static_cast<int64_t>(n);
  return ready;
}

std::vector<Event> a_million_jobs(std::mt19937_64& random) {
  std::vector<Event> events;
  for (uint64_t n = 0; n < kJobs; ++n) events.push_back(JobReady{some_job(n, random)});
  return events;
}

struct SteadyState {
  double spent = 0, longest = 0;
  size_t placed = 0;
};

// As many end as are placed, and as many new jobs come.
SteadyState run_steadily(Desk& desk, std::deque<Placement> running, std::mt19937_64& random) {
  SteadyState steady;
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::vector<Event> events;
    for (int i = 0; i < 500; ++i) {
      events.push_back(accepted(running.front()));
      running.pop_front();
      events.push_back(JobReady{some_job(kJobs + round, random)});
    }
    desk.now = desk.now + std::chrono::milliseconds(10);
    const double start = processor_seconds();
    const auto placements = desk.step(std::move(events)).placements;
    desk.commit(placements);
    const double took = processor_seconds() - start;
    steady.spent += took;
    steady.longest = std::max(steady.longest, took);
    steady.placed += placements.size();
    running.insert(running.end(), placements.begin(), placements.end());
  }
  return steady;
}

}  // namespace

int main(int argc, char** argv) {
  std::mt19937_64 random(1);
  nlohmann::json figures = nlohmann::json::array();
  const auto report = [&](const char* name, double value, const char* unit) {
    std::printf("%-40s %10.3f %s\n", name, value, unit);
    figures.push_back({{"name", name}, {"value", value}, {"unit", unit}});
  };
  Desk desk;
  auto events = a_million_jobs(random);
  const double start = processor_seconds();
  desk.step(std::move(events));
  report("scheduler.rebuild_million", processor_seconds() - start, "s");

  events.clear();
  // A thousand boxes have a thousand amounts of memory.
  for (uint64_t n = 1; n <= kSessions; ++n)
    events.push_back(SessionOpened{session(n, 8, 4 * kGiB + random() % (188 * kGiB))});
  std::deque<Placement> running;
  for (auto placements = desk.place(std::move(events)); !placements.empty(); placements = desk.place())
    running.insert(running.end(), placements.begin(), placements.end());
  const SteadyState steady = run_steadily(desk, std::move(running), random);
  report("scheduler.place_commit_end_arrive", steady.spent * 1e6 / static_cast<double>(steady.placed), "us");
  report("scheduler.longest_step_of_500", steady.longest * 1e3, "ms");
  if (argc == 3 && std::string(argv[1]) == "--json") std::ofstream(argv[2]) << figures.dump(1);
}
