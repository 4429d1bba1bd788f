// quarry_scheduler_simulation --seeds N --from S [--trace]: runs seeds S .. S+N-1; prints those that fail, and how to
// see one again.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "tests/scheduler/simulation.h"

using namespace quarry::scheduler::test;

namespace {

void print(const SimulationResult& sum, uint64_t seeds, double seconds) {
  std::printf(
      "%lu seeds in %.1f s: %d leases, %d segments accepted, %d stale and %d repeated completions refused, %d sessions "
      "expired,\n"
      "  %d jobs out of attempts, %d cancelled; %d elections, %d scheduler and %d server crashes, %d lost commit "
      "answers, %d broken links,\n"
      "  %d silences, %d worker restarts, %d transactions of deposed leaders refused, %d placements refused\n",
      static_cast<unsigned long>(seeds), seconds, sum.counts.leases, sum.counts.accepted, sum.counts.stale,
      sum.counts.repeated, sum.counts.expired, sum.counts.exhausted, sum.counts.cancelled, sum.failovers,
      sum.scheduler_crashes, sum.server_crashes, sum.reloads, sum.broken_links, sum.silences, sum.restarts,
      sum.counts.deposed, sum.counts.refused_placements);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Runs the scheduler's core over a journal in memory, with faults that a seed decides."};
  uint64_t seeds = 1'000, from = 1;
  SimulationOptions options;
  app.add_option("--seeds", seeds, "how many")->capture_default_str();
  app.add_option("--from", from, "the first one")->capture_default_str();
  app.add_flag("--trace", options.trace, "print what happens");
  CLI11_PARSE(app, argc, argv);

  SimulationResult sum;
  uint64_t failed = 0;
  const auto start = std::chrono::steady_clock::now();
  for (options.seed = from; options.seed < from + seeds; ++options.seed) {
    const SimulationResult result = simulate(options);
    add(sum, result);
    if (result.violations.empty()) continue;
    ++failed;
    for (const auto& violation : result.violations)
      std::printf("seed %lu: %s\n", static_cast<unsigned long>(options.seed), violation.c_str());
    std::printf("  again: %s --seeds 1 --from %lu --trace\n", argv[0], static_cast<unsigned long>(options.seed));
  }
  print(sum, seeds, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return failed == 0 ? 0 : 1;
}
