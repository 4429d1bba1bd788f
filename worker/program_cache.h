// Prepared programs of one executor, least recently used ones dropped: a burst of alike jobs plans and compiles once.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>

#include "engine/graph/job.h"
#include "engine/run/run.h"
#include "worker/local_protocol.h"

namespace quarry::worker {

class ProgramCache {
 public:
  /// The device must outlive the cache. All programs' arenas together stay within memory_bytes.
  ProgramCache(device::Device& device, uint64_t memory_bytes) : device_(device), memory_bytes_(memory_bytes) {}
  ~ProgramCache();

  struct Prepared {
    run::Run* run;  ///< zeroed, with the job's seed; valid until the next call
    std::shared_ptr<const graph::NormalGraph> graph;
    const std::vector<run::Keep>* keep;
    bool compiled;  ///< was not in the cache
    bool ran;       ///< ended its first step before: nothing of it is left to compile
  };
  /// `graph_cbor` is parsed unless the graph is known, and refused ("graph_mismatch") when its id is not `graph_id`.
  /// `input_bytes` are the sizes of the inputs, from which the number of fed slices follows. `observer` is called only
  /// for a program that is not in the cache, first with 0 of 0 kernels; it may stop the preparation ("cancelled").
  Result<Prepared> prepare(const Digest& graph_id, std::span<const std::byte> graph_cbor, const graph::JobDocument& job,
                           uint64_t memory_bound_bytes, const std::map<std::string, uint64_t>& input_bytes,
                           const run::CompileObserver& observer);
  /// The program of the last prepare() has ended its first step.
  void first_step_ended() { entries_.front().ran = true; }

 private:
  struct Entry {
    std::string key;
    std::unique_ptr<run::Run> run;
    std::shared_ptr<const graph::NormalGraph> graph;
    std::vector<run::Keep> keep;
    uint64_t arena_bytes = 0;
    bool ran = false;
  };
  Result<std::shared_ptr<const graph::NormalGraph>> load_graph(const Digest& id, std::span<const std::byte> cbor);
  Result<std::unique_ptr<run::Run>> plan(const run::Program& program, uint64_t memory_bound_bytes,
                                         const run::CompileObserver& observer);
  uint64_t arena_bytes() const;
  void drop_oldest();

  device::Device& device_;
  uint64_t memory_bytes_;
  std::list<Entry> entries_;  ///< most recently used first
  std::map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace quarry::worker
