// Does a job document fit its graph?
#include <vector>

#include "common/text.h"
#include "engine/graph/job.h"

namespace quarry::graph {

namespace {

constexpr std::string_view kStage = "/stages/0";

std::string at(std::string_view field, std::string_view name) {
  return json_pointer(std::string(kStage) + std::string(field), name);
}

std::string shape_text(const Graph& graph, NodeId id) {
  std::string text(name(graph[id].dtype));
  text += '[';
  for (size_t i = 0; i < graph.shape(id).size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(graph.shape(id)[i]);
  return text + ']';
}

Problem no_input(const Graph& graph, std::string_view name, std::string pointer) {
  std::vector<std::string_view> known;
  for (NodeId id : graph.inputs()) known.push_back(graph.input_name(id));
  const std::string next = known.empty() ? "it has none that an output needs" : suggestion(name, known);
  return {"unknown_input", "the graph has no input " + quote(name) + "; " + next, std::move(pointer),
          "Inputs that no output needs are no part of a graph."};
}

Problem no_output(const Graph& graph, std::string_view name, std::string pointer) {
  std::vector<std::string_view> known;
  for (const Output& output : graph.outputs()) known.push_back(output.name);
  return {"unknown_output", "the graph has no output " + quote(name) + "; " + suggestion(name, known),
          std::move(pointer), ""};
}

Status check_carry(const JobDocument& job, const Graph& graph) {
  for (const auto& [input_name, output_name] : job.stage.carry) {
    const NodeId input = graph.find_input(input_name);
    const NodeId output = graph.find_output(output_name);
    const std::string pointer = at("/carry", input_name);
    if (input == kNoNode) return no_input(graph, input_name, pointer);
    if (output == kNoNode) return no_output(graph, output_name, pointer);
    const std::string both = "input " + quote(input_name) + " is " + shape_text(graph, input) + ", but output " +
                             quote(output_name) + " is " + shape_text(graph, output);
    if (graph[input].dtype != graph[output].dtype) return Problem{"dtype_mismatch", both, pointer, ""};
    if (!std::ranges::equal(graph.shape(input), graph.shape(output)))
      return Problem{"shape_mismatch", both, pointer, ""};
    if (!job.inputs.contains(input_name)) {
      return Problem{"missing_input", "the carried input " + quote(input_name) + " has no starting value", "/inputs",
                     "Give its value before the first step in `inputs`."};
    }
  }
  return {};
}

Status check_feed(const JobDocument& job, const Graph& graph) {
  for (const auto& [name, spec] : job.stage.feed) {
    const std::string pointer = at("/feed", name);
    if (graph.find_input(name) == kNoNode) return no_input(graph, name, pointer);
    const bool is_carried = job.stage.carry.contains(name);
    if (!is_carried && !job.inputs.contains(name)) continue;
    return Problem{"conflict", "input " + quote(name) + " is fed and " + (is_carried ? "carried" : "given in `inputs`"),
                   pointer, "An input is given, carried or fed: keep one."};
  }
  return {};
}

}  // namespace

Status check_job(const JobDocument& job, const Graph& graph) {
  QUARRY_TRY(check_carry(job, graph));
  QUARRY_TRY(check_feed(job, graph));
  for (const auto& [name, source] : job.inputs)
    if (graph.find_input(name) == kNoNode) return no_input(graph, name, json_pointer("/inputs", name));
  for (NodeId id : graph.inputs()) {
    const std::string name(graph.input_name(id));
    if (job.inputs.contains(name) || job.stage.feed.contains(name)) continue;
    return Problem{"missing_input", "input " + quote(name) + " (" + shape_text(graph, id) + ") has no value", "/inputs",
                   "Give it in `inputs` or in the stage's `feed`."};
  }
  for (const auto& [name, keep] : job.stage.keep)
    if (graph.find_output(name) == kNoNode) return no_output(graph, name, at("/keep", name));
  return {};
}

}  // namespace quarry::graph
