// The leases that one box session holds through this server: which blobs they let it read, which it may deliver, and
// where their steps lie within their job.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/live/hub.h"
#include "wire/messages.h"

namespace quarry::server {

class HeldLeases {
 public:
  void add(const wire::Lease& lease);
  void remove(const wire::Fence& fence);
  bool may_read(const Digest& blob, bool graph) const;
  /// Whether the session may deliver a blob of so many bytes: a lease waits for a value of just that size, and fewer
  /// different blobs of the size were let in for it than it has such values. Remembers the blob.
  bool may_deliver(const Digest& blob, uint64_t bytes);
  /// How often a completion of the lease has named a blob that was not delivered, this time included. 0: not held.
  int blob_missing(const wire::Fence& fence);
  /// Progress of an attempt as progress of its job; nullopt for a lease that is not held.
  std::optional<LiveProgress> job_progress(const wire::AttemptProgress& progress);
  size_t size() const { return leases_.size(); }
  std::set<JobId> jobs() const;

 private:
  struct Held {
    Digest graph{};
    std::vector<Digest> inputs;
    std::string document;    ///< parsed for the first progress report only: most jobs end before one
    int64_t first_step = 0;  ///< of the segment
    int64_t job_first_step = -1, job_steps = 0;
    struct OfSize {
      size_t expected = 0;
      std::set<Digest> delivered;
    };
    std::map<uint64_t, OfSize> outputs;  ///< by their bytes
    bool any_output = false;             ///< the lease does not say what is expected
    int blob_missing = 0;
  };
  struct Hash {
    size_t operator()(const Digest& digest) const;
  };
  using Counts = std::unordered_map<Digest, int, Hash>;
  static void count(Counts& counts, const Digest& digest, int by);

  std::map<wire::Fence, Held> leases_;
  Counts graphs_, inputs_;
};

}  // namespace quarry::server
