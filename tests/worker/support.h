// What the worker's tests share: a directory that goes away, small graphs, job documents, an event loop with a
// patience.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/sha256.h"
#include "engine/graph/job.h"
#include "worker/blob_cache.h"

namespace quarry::worker::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct GraphFile {
  Digest id{};
  std::vector<std::byte> cbor;
};
GraphFile doubling_graph();             ///< f32 [4]: y = x + x
GraphFile counting_graph();             ///< f32 []: w_next = w + 1, seen = w + 1 under another name
GraphFile wide_graph(int64_t n);        ///< f32 [n]: y = x + x
GraphFile graph_of_kernels(int count);  ///< f32 [64]: y0 to y(count-1), up to 64, each of another kernel
GraphFile slow_graph();                 ///< f32 []: w_next = w + 1, but the 1 takes the interpreter some milliseconds

std::vector<std::byte> floats(const std::vector<float>& values);
std::vector<float> as_floats(std::span<const std::byte> bytes);

/// A document over stored inputs: their digests are never looked at here.
std::string document(const graph::Stage& stage, const std::vector<std::string>& inputs);

/// Puts bytes into the cache under their hash, or under a graph's id.
BlobPin put(BlobCache& cache, const std::vector<std::byte>& bytes);
BlobPin put(BlobCache& cache, const GraphFile& graph);

/// Runs the loop until `done`; false when it takes longer than `patience`: no measure of speed, the machine may be slow
/// and busy.
bool run_until(boost::asio::io_context& io, const std::function<bool()>& done,
               std::chrono::seconds patience = std::chrono::seconds(180));

/// Ids of a process and all its descendants: with a process namespace the executor is a child of the process that was
/// started.
std::vector<int> process_tree(int pid);
std::string read_proc(int pid, const std::string& name);

}  // namespace quarry::worker::test
