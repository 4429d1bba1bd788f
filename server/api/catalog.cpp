#include "server/api/catalog.h"

#include <array>

#include "engine/graph/limits.h"

namespace quarry::server {

namespace {

constexpr size_t kCachedNodes = 4'000'000;        ///< about 300 MB of node tables at most
constexpr size_t kCachedTensorEntries = 200'000;  ///< of safetensors headers
constexpr size_t kCachedOwners = 100'000;
constexpr size_t kMaxCountsPerGraph = 64;
constexpr size_t kInlineCountNodes = 2'000;  ///< counting a larger graph goes to the work pool

std::string usage_key(const meter::Usage& usage, meter::Tariff tariff) {
  std::string key(1, static_cast<char>(tariff));
  for (const auto& [input, output] : usage.carry) key.append(input).append(1, '\0').append(output).append(1, '\1');
  for (const std::string& input : usage.feed) key.append(input).append(1, '\2');
  for (const std::string& output : usage.keep_each) key.append(output).append(1, '\3');
  return key;
}

}  // namespace

LoadedGraph::LoadedGraph(graph::NormalGraph graph) : normal(std::move(graph)) {
  for (graph::NodeId node = 0; node < normal.graph.size(); ++node)
    dtypes |= uint32_t{1} << static_cast<unsigned>(normal.graph[node].dtype);
}

Result<meter::StepCount> LoadedGraph::count(const meter::Usage& usage, meter::Tariff tariff) const {
  const std::string key = usage_key(usage, tariff);
  {
    std::lock_guard lock(mutex_);
    if (const auto found = counts_.find(key); found != counts_.end()) return found->second;
  }
  Result<meter::StepCount> counted = meter::count(normal, usage, tariff);
  std::lock_guard lock(mutex_);
  if (counts_.size() >= kMaxCountsPerGraph) counts_.clear();
  counts_.emplace(key, counted);
  return counted;
}

bool LoadedGraph::counted(const meter::Usage& usage, meter::Tariff tariff) const {
  std::lock_guard lock(mutex_);
  return counts_.contains(usage_key(usage, tariff));
}

Result<TensorFile> read_tensor_file(uint64_t file_bytes,
                                    const std::function<bool(uint64_t, std::span<std::byte>)>& read) {
  std::array<std::byte, 8> first{};
  if (file_bytes < first.size() || !read(0, first))
    return Problem{"safetensors_truncated", "a safetensors file has at least 8 bytes", "",
                   "send a whole safetensors file"};
  QUARRY_ASSIGN(const uint64_t head_bytes, io::header_bytes(first, file_bytes));
  std::vector<std::byte> head(head_bytes);
  if (!read(0, head))
    return Problem{"safetensors_truncated", "the file ends within its header", "", "send a whole safetensors file"};
  QUARRY_ASSIGN(auto tensors, io::parse_header(head, file_bytes));
  return TensorFile{std::move(tensors)};
}

Catalog::Catalog(BlobStore& blobs, WorkPool& work, Database& database)
    : blobs_(blobs),
      work_(work),
      database_(database),
      graphs_(kCachedNodes),
      tensors_(kCachedTensorEntries),
      graph_owners_(kCachedOwners),
      tensor_owners_(kCachedOwners) {}

Awaitable<std::shared_ptr<const LoadedGraph>> Catalog::graph(Digest id) {
  if (auto cached = graphs_.find(id)) co_return cached;
  auto loaded = co_await work_.run([this, id]() -> std::shared_ptr<LoadedGraph> {
    const auto bytes = blobs_.read_all(BlobKind::Graph, id, graph::kMaxTextBytes);
    if (!bytes) return nullptr;
    auto parsed = graph::parse_cbor(*bytes);
    if (!parsed) return nullptr;
    return std::make_shared<LoadedGraph>(graph::normalise(*parsed));
  });
  if (!loaded || loaded->normal.id != id) co_return nullptr;
  remember_graph(loaded);
  co_return loaded;
}

void Catalog::remember_graph(std::shared_ptr<const LoadedGraph> graph) {
  const size_t cost = graph->normal.graph.size() + 1;
  const Digest id = graph->normal.id;
  graphs_.put(id, std::move(graph), cost);
}

Awaitable<Result<meter::StepCount>> Catalog::count(std::shared_ptr<const LoadedGraph> graph, meter::Usage usage,
                                                   meter::Tariff tariff) {
  const bool is_quick = graph->normal.graph.size() <= kInlineCountNodes || graph->counted(usage, tariff);
  if (is_quick) co_return graph->count(usage, tariff);
  const auto count_it = [graph, usage, tariff] { return graph->count(usage, tariff); };
  co_return co_await work_.run(count_it);
}

Awaitable<std::shared_ptr<const TensorFile>> Catalog::tensor_file(Digest file) {
  if (auto cached = tensors_.find(file)) co_return cached;
  auto parsed = co_await work_.run([this, file]() -> std::shared_ptr<const TensorFile> {
    const auto blob = blobs_.open(BlobKind::Tensor, file);
    if (!blob) return nullptr;
    auto header =
        read_tensor_file(blob->bytes, [&](uint64_t at, std::span<std::byte> into) { return blob->read(at, into); });
    return header ? std::make_shared<const TensorFile>(std::move(*header)) : nullptr;
  });
  if (parsed) tensors_.put(file, parsed, parsed->tensors.size() + 1);
  co_return parsed;
}

Awaitable<bool> Catalog::has_graph(AccountId account, Digest id) {
  if (graph_owners_.find({account, id})) co_return true;
  const bool owns =
      co_await database_.run([account, id](sql::ObjectStore& store) { return store.owns_graph(account, id); });
  if (owns) graph_owners_.put({account, id}, std::make_shared<const uint64_t>(1), 1);
  co_return owns;
}

Awaitable<std::optional<sql::TensorRow>> Catalog::tensor(AccountId account, Digest file) {
  const auto now = std::chrono::steady_clock::now();
  if (const auto known = tensor_owners_.find({account, file}); known && now - known->read < kTensorCacheTime)
    co_return known->row;
  const auto row =
      co_await database_.run([account, file](sql::ObjectStore& store) { return store.tensor(account, file); });
  if (row) tensor_owners_.put({account, file}, std::make_shared<const KnownTensor>(*row, now), 1);
  co_return row;
}

}  // namespace quarry::server
