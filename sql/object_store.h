// Graphs, tensors and results: their rows, their expiry. The bytes of graphs, tensors and large results are in the
// server's blob store, which removes a file only after the row: sweep_garbage() says when no row names it any more.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

#include "common/clock.h"
#include "common/id.h"
#include "common/sha256.h"
#include "sql/store_errors.h"

namespace quarry::sql {

/// How long results are kept after the end of their job, and tensors after their last use.
inline constexpr int32_t kRetentionHours = 24 * 30;
inline constexpr WallTime after_retention(WallTime start) {
  return {start.micros + int64_t{kRetentionHours} * 3'600'000'000};
}

struct TensorRow {
  uint64_t bytes = 0;
  WallTime expires_at;
};
/// What an account's tensors came to when one more did not fit.
struct QuotaReached {
  uint64_t stored_bytes = 0;
};
struct GarbageFile {
  enum class Kind : int16_t { Tensor = 0, Result = 2 } kind;
  Digest sha256{};
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  virtual void put_graph(AccountId account, const Digest& graph, uint64_t bytes) = 0;
  virtual bool owns_graph(AccountId account, const Digest& graph) = 0;
  /// The account's from now on, for another kRetentionHours; or already so, and then they begin anew. Nothing is stored
  /// when the account's tensors would come to more than `quota_bytes`.
  virtual std::optional<QuotaReached> put_tensor(AccountId account, const Digest& file, uint64_t bytes,
                                                 uint64_t quota_bytes) = 0;
  /// nullopt when the account has no such tensor, or no more.
  virtual std::optional<TensorRow> tensor(AccountId account, const Digest& file) = 0;
  /// False when the account has no such tensor. Jobs that are open keep what they need.
  virtual bool delete_tensor(AccountId account, const Digest& file) = 0;
  virtual uint64_t stored_bytes(AccountId account) = 0;
  /// Bytes of a small output that travelled inside a completion.
  virtual std::optional<std::vector<std::byte>> small_blob(const Digest& blob) = 0;

  /// Removes the rows of up to `limit` tensors, or of the results, documents, attempts and events of up to `limit` jobs
  /// that expired an hour ago and that no open job names; how many. A job's own row, bill and meter records stay.
  virtual int64_t expire_tensors(int32_t limit) = 0;
  virtual int64_t expire_jobs(int32_t limit) = 0;
  /// Up to `limit` files whose last row was removed `grace` ago or earlier and that no row and no open job names. To be
  /// removed, and then told to forget_garbage(): a crash between the two only repeats the removal.
  virtual std::vector<GarbageFile> sweep_garbage(std::chrono::seconds grace, int32_t limit) = 0;
  virtual void forget_garbage(const std::vector<GarbageFile>& removed) = 0;
};

}  // namespace quarry::sql
