// A job document and its graph as a Program: what the worker's executor and `quarry run` both start from.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/result.h"
#include "engine/graph/job.h"
#include "engine/run/run.h"

namespace quarry::run {

/// The number of slices n of each fed tensor ([n, ...input shape]), known to whoever has the files' headers.
using FeedCounts = std::map<std::string, int64_t>;

/// The whole job as one program; a segment is a call of advance() on it. An empty `keep` keeps every output's last
/// value. Problems: those of validate(), and a feed without a count.
Result<Program> make_program(const graph::JobDocument& job, std::shared_ptr<const graph::NormalGraph> graph,
                             const FeedCounts& feed_counts);

/// n of a fed tensor: checks that it is [n, ...shape of the input] in the input's dtype ("shape_mismatch",
/// "unknown_input").
Result<int64_t> feed_count(const graph::Graph& graph, const std::string& input, graph::DType dtype,
                           const std::vector<int64_t>& shape);
/// Checks that a tensor is an input's plain or starting value ("shape_mismatch", "unknown_input").
Status check_input(const graph::Graph& graph, const std::string& input, graph::DType dtype,
                   const std::vector<int64_t>& shape);

}  // namespace quarry::run
