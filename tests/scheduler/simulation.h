// The scheduler's own core and leader, in a world of faults that a seed decides: schedulers crash before and after
// commits, stand still and are deposed without knowing; servers crash between a commit and its hint; links break with
// messages in them; hints come twice and out of order; workers fall silent, start anew, and deliver late and twice.
// After a while the faults stop; then every job must end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/scheduler/memory_journal.h"

namespace quarry::scheduler::test {

struct SimulationOptions {
  uint64_t seed = 0;
  bool check_fences = true;  ///< false: an unsound journal, which the simulation must notice
  bool trace = false;        ///< prints what happens
};
struct SimulationResult {
  std::vector<std::string> violations;  ///< empty when all went well
  MemoryJournal::Counts counts;
  int failovers = 0, scheduler_crashes = 0, server_crashes = 0, broken_links = 0, silences = 0, restarts = 0,
      reloads = 0;
};

SimulationResult simulate(const SimulationOptions& options);

/// Adds the counts of one run to a sum; violations stay with their run.
void add(SimulationResult& sum, const SimulationResult& one);

}  // namespace quarry::scheduler::test
