// The job document (docs/graph-format.md, section 7): what runs a graph, on which inputs, for how many steps. Parsed
// and checked here because the server, the CLI and the worker all need the same answer; nothing here touches tensors or
// devices.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/id.h"
#include "common/result.h"
#include "common/sha256.h"
#include "engine/graph/graph.h"

namespace quarry::graph {

struct TensorInput {
  Digest file;         ///< SHA-256 of a safetensors file
  std::string tensor;  ///< its name in the file
};
struct JobOutputInput {
  JobId job;
  std::string output;
};
using InputSource = std::variant<TensorInput, JobOutputInput>;

struct FeedSpec {
  InputSource source;
  bool wrap = false;
};
enum class KeepSpec { Last, Each };

struct Stage {
  Digest graph;
  int64_t steps = 1;
  int64_t first_step = 0;
  std::map<std::string, std::string> carry;  ///< input <- output
  std::map<std::string, FeedSpec> feed;
  std::map<std::string, KeepSpec> keep;  ///< empty in the document: every output, "last"
};

struct JobDocument {
  int version = 1;
  uint64_t seed = 0;
  std::map<std::string, InputSource> inputs;  ///< plain inputs and starting values of carried ones
  Stage stage;                                ///< version 1 refuses more than one stage
  std::optional<int64_t>
      checkpoint_every;  ///< steps; absent: chosen so that a segment stays within 10^16 metered FLOPs
};

/// Refuses unknown fields, wrong types, steps outside 1..kMaxSteps. Problem pointers name the field. `base` prefixes
/// the pointers.
Result<JobDocument> parse_job(std::string_view json, std::string_view base = "");
std::string write_job(const JobDocument& job);

/// Checks names and carried shapes against the graph: every INPUT has exactly one of input, carry (with its start in
/// inputs) or feed; carry joins equal shape and dtype; keep names outputs. Shapes of input tensors are checked by
/// whoever has the files.
Status check_job(const JobDocument& job, const Graph& graph);

}  // namespace quarry::graph
