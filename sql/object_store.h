// Graphs, tensors and small results: their rows. The bytes of graphs and tensors are in the server's blob store.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "common/id.h"
#include "common/sha256.h"
#include "sql/store_errors.h"

namespace quarry::sql {

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  virtual void put_graph(AccountId account, const Digest& graph, uint64_t bytes) = 0;
  virtual bool owns_graph(AccountId account, const Digest& graph) = 0;
  virtual void put_tensor(AccountId account, const Digest& file, uint64_t bytes) = 0;
  virtual std::optional<uint64_t> tensor_bytes(AccountId account, const Digest& file) = 0;
  /// Bytes of a small output that travelled inside a completion.
  virtual std::optional<std::vector<std::byte>> small_blob(const Digest& blob) = 0;
};

}  // namespace quarry::sql
