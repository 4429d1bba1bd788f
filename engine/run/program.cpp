#include "engine/run/program.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/text.h"
#include "engine/graph/limits.h"

namespace quarry::run {

using graph::NodeId;

namespace {

std::string shown(graph::DType dtype, std::span<const int64_t> shape) {
  std::string text(graph::name(dtype));
  text += '[';
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + ']';
}

Problem invalid(std::string detail, std::string action = "") {
  return {"invalid_program", std::move(detail), "", std::move(action)};
}

Status check_steps(const Program& program) {
  if (program.steps < 1 || program.steps > graph::kMaxSteps)
    return invalid("steps is " + std::to_string(program.steps) + "; it must be from 1 to " +
                   std::to_string(graph::kMaxSteps));
  if (program.first_step < 0 || program.first_step > graph::kMaxSteps - program.steps)
    return invalid("first_step " + std::to_string(program.first_step) +
                   " is negative or ends past the last step number");
  return {};
}

Status check_carries(const Program& program, std::set<std::string>& taken) {
  const graph::Graph& graph = program.graph->graph;
  for (const auto& [input, output] : program.carry) {
    const NodeId to = graph.find_input(input), from = graph.find_output(output);
    if (to == graph::kNoNode) return invalid("carry names " + quote(input) + ", which is no input of the graph");
    if (from == graph::kNoNode) return invalid("carry names " + quote(output) + ", which is no output of the graph");
    if (!taken.insert(input).second) return invalid("input " + quote(input) + " is carried or fed twice");
    if (graph[to].dtype != graph[from].dtype || !std::ranges::equal(graph.shape(to), graph.shape(from)))
      return invalid("input " + quote(input) + " is " + shown(graph[to].dtype, graph.shape(to)) + " but output " +
                     quote(output) + ", carried into it, is " + shown(graph[from].dtype, graph.shape(from)));
  }
  return {};
}

Status check_feeds(const Program& program, std::set<std::string>& taken) {
  for (const Feed& feed : program.feed) {
    if (program.graph->graph.find_input(feed.input) == graph::kNoNode)
      return invalid("feed names " + quote(feed.input) + ", which is no input of the graph");
    if (!taken.insert(feed.input).second) return invalid("input " + quote(feed.input) + " is carried or fed twice");
    if (feed.count < 1) return invalid("the tensor fed to " + quote(feed.input) + " has no slices");
    if (!feed.wrap && feed.count < program.first_step + program.steps)
      return invalid("the tensor fed to " + quote(feed.input) + " has " + std::to_string(feed.count) +
                         " slices but the last step reads slice " +
                         std::to_string(program.first_step + program.steps - 1),
                     "Feed a longer tensor, run fewer steps, or set wrap.");
  }
  return {};
}

Status check_keeps(const Program& program) {
  std::set<std::string> kept;
  for (const Keep& keep : program.keep) {
    if (program.graph->graph.find_output(keep.output) == graph::kNoNode)
      return invalid("keep names " + quote(keep.output) + ", which is no output of the graph");
    if (!kept.insert(keep.output).second) return invalid("output " + quote(keep.output) + " is kept twice");
  }
  return {};
}

Problem mismatch(const graph::Graph& graph, NodeId input, const std::string& name, graph::DType dtype,
                 std::span<const int64_t> shape, const std::string& wanted) {
  return {"shape_mismatch",
          "the tensor for input " + quote(name) + " is " + shown(dtype, shape) + "; the graph needs " + wanted +
              shown(graph[input].dtype, graph.shape(input)),
          json_pointer("/inputs", name), "Give a tensor of that shape and dtype."};
}

Problem unknown_input(const std::string& name) {
  return {"unknown_input", quote(name) + " is no input of the graph", json_pointer("/inputs", name), ""};
}

}  // namespace

Status validate(const Program& program) {
  if (!program.graph) return invalid("the program has no graph");
  std::set<std::string> taken;
  QUARRY_TRY(check_steps(program));
  QUARRY_TRY(check_carries(program, taken));
  QUARRY_TRY(check_feeds(program, taken));
  return check_keeps(program);
}

Result<Program> make_program(const graph::JobDocument& job, std::shared_ptr<const graph::NormalGraph> graph,
                             const FeedCounts& feed_counts) {
  Program program;
  program.graph = std::move(graph);
  program.seed = job.seed;
  program.first_step = job.stage.first_step;
  program.steps = job.stage.steps;
  program.carry.assign(job.stage.carry.begin(), job.stage.carry.end());
  for (const auto& [input, spec] : job.stage.feed) {
    const auto count = feed_counts.find(input);
    if (count == feed_counts.end()) return invalid("the number of slices fed to " + quote(input) + " is not known");
    program.feed.push_back({input, count->second, spec.wrap});
  }
  for (const auto& [output, mode] : job.stage.keep)
    program.keep.push_back({output, mode == graph::KeepSpec::Each ? KeepMode::Each : KeepMode::Last});
  if (job.stage.keep.empty() && program.graph)
    for (const graph::Output& output : program.graph->graph.outputs())
      program.keep.push_back({output.name, KeepMode::Last});
  QUARRY_TRY(validate(program));
  return program;
}

Result<int64_t> feed_count(const graph::Graph& graph, const std::string& name, graph::DType dtype,
                           const std::vector<int64_t>& shape) {
  const NodeId input = graph.find_input(name);
  if (input == graph::kNoNode) return unknown_input(name);
  const std::span<const int64_t> all(shape);
  if (shape.empty() || graph[input].dtype != dtype || !std::ranges::equal(all.subspan(1), graph.shape(input)))
    return mismatch(graph, input, name, dtype, shape, "n slices, in front, of ");
  return shape.front();
}

Status check_input(const graph::Graph& graph, const std::string& name, graph::DType dtype,
                   const std::vector<int64_t>& shape) {
  const NodeId input = graph.find_input(name);
  if (input == graph::kNoNode) return unknown_input(name);
  if (graph[input].dtype != dtype || !std::ranges::equal(shape, graph.shape(input)))
    return mismatch(graph, input, name, dtype, shape, "");
  return {};
}

}  // namespace quarry::run
