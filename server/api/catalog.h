// What the server knows of stored graphs and tensors, cached: who may see them, parsed graphs with their counts,
// safetensors headers. A graph or tensor never changes under its hash; that an account has a tensor is asked again
// after kTensorCacheTime, because tensors expire and are deleted.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/id.h"
#include "common/sha256.h"
#include "engine/graph/graph.h"
#include "engine/io/safetensors.h"
#include "engine/meter/meter.h"
#include "server/async.h"
#include "server/blobs/blob_store.h"
#include "server/lru_cache.h"
#include "sql/object_store.h"

namespace quarry::server {

struct LoadedGraph {
  explicit LoadedGraph(graph::NormalGraph graph);
  const graph::NormalGraph normal;
  uint32_t dtypes = 0;  ///< bit per DType that a node has

  /// Counts for one way of using the graph; computed once.
  Result<meter::StepCount> count(const meter::Usage& usage, meter::Tariff tariff = meter::kNewestTariff) const;
  bool counted(const meter::Usage& usage, meter::Tariff tariff) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::string, Result<meter::StepCount>> counts_;
};

struct TensorFile {
  std::map<std::string, io::TensorEntry> tensors;
};
/// Parses the safetensors header of a stored or unfinished file through `read(offset, into)`.
Result<TensorFile> read_tensor_file(uint64_t file_bytes,
                                    const std::function<bool(uint64_t, std::span<std::byte>)>& read);

class Catalog {
 public:
  Catalog(BlobStore& blobs, WorkPool& work, Database& database);

  /// nullptr when no such graph is stored.
  Awaitable<std::shared_ptr<const LoadedGraph>> graph(Digest id);
  void remember_graph(std::shared_ptr<const LoadedGraph> graph);
  Awaitable<Result<meter::StepCount>> count(std::shared_ptr<const LoadedGraph> graph, meter::Usage usage,
                                            meter::Tariff tariff = meter::kNewestTariff);
  /// nullptr when the file is not stored or not a safetensors file.
  Awaitable<std::shared_ptr<const TensorFile>> tensor_file(Digest file);

  Awaitable<bool> has_graph(AccountId account, Digest id);
  Awaitable<std::optional<sql::TensorRow>> tensor(AccountId account, Digest file);
  /// Its row has changed: the next tensor() reads it.
  void forget_tensor(AccountId account, Digest file) { tensor_owners_.erase({account, file}); }

 private:
  using Owned = std::pair<AccountId, Digest>;
  BlobStore& blobs_;
  WorkPool& work_;
  Database& database_;
  LruCache<Digest, LoadedGraph> graphs_;
  LruCache<Digest, TensorFile> tensors_;
  struct KnownTensor {
    sql::TensorRow row;
    std::chrono::steady_clock::time_point read;
  };
  LruCache<Owned, uint64_t> graph_owners_;
  LruCache<Owned, KnownTensor> tensor_owners_;
};

}  // namespace quarry::server
