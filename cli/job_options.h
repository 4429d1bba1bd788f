// The flags that describe a job (shared by run, quote and submit), and the job that they make.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/graph/graph.h"
#include "engine/graph/job.h"

namespace quarry::cli {

struct JobOptions {
  std::string graph_path;
  std::vector<std::string> inputs, carries, feeds, keeps;  ///< as given: "name=..."
  int64_t steps = 1, first_step = 0;
  uint64_t seed = 0;
  int64_t checkpoint_every = 0;  ///< 0: chosen by the service
};

/// A job ready to run or send: its graph, its document, and the local files that the document names by hash.
struct LocalJob {
  std::shared_ptr<const graph::NormalGraph> graph;
  graph::JobDocument document;
  std::map<Digest, std::filesystem::path> files;
};

/// A graph file in either wire form, in normal form.
Result<std::shared_ptr<const graph::NormalGraph>> load_graph(const std::filesystem::path& path);

/// Reads the graph, hashes the files, and checks the whole against docs/graph-format.md.
Result<LocalJob> load_job(const JobOptions& options);

}  // namespace quarry::cli
