// `quarry run | graph inspect | devices`: what needs no service.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/show.h"
#include "engine/device/device.h"
#include "engine/meter/meter.h"

namespace quarry::cli {
namespace {

using nlohmann::json;

json values_json(const graph::Graph& graph, const std::vector<std::pair<std::string, graph::NodeId>>& values) {
  json list = json::array();
  for (const auto& [name, node] : values) {
    const auto shape = graph.shape(node);
    list.push_back({{"name", name},
                    {"dtype", std::string(graph::name(graph[node].dtype))},
                    {"shape", std::vector<int64_t>(shape.begin(), shape.end())}});
  }
  return list;
}

json describe(const graph::NormalGraph& normal, const meter::StepCount& step, size_t movement) {
  std::vector<std::pair<std::string, graph::NodeId>> inputs, outputs;
  for (const auto node : normal.graph.inputs()) inputs.emplace_back(normal.graph.input_name(node), node);
  for (const auto& output : normal.graph.outputs()) outputs.emplace_back(output.name, output.node);
  return {{"id", normal.id_text()},
          {"nodes", normal.graph.size()},
          {"movement", movement},
          {"inputs", values_json(normal.graph, inputs)},
          {"outputs", values_json(normal.graph, outputs)},
          {"step",
           {{"tariff", static_cast<int>(step.tariff)},
            {"flops", step.flops.to_string()},
            {"weighted", {step.weighted[0].to_string(), step.weighted[1].to_string(), step.weighted[2].to_string()}},
            {"bytes", to_decimal(step.bytes)},
            {"stored_values", step.stored_values},
            {"metered_flops", step.metered().to_string()},
            {"memory_bound_bytes", step.memory_bound_bytes}}}};
}

void print_values(const Terminal& terminal, const char* kind, const json& values) {
  for (const auto& value : values)
    std::cout << "  " << kind << "  " << terminal.bold(value["name"].get<std::string>()) << "  "
              << value["dtype"].get<std::string>() << shape_text(value["shape"]) << "\n";
}

}  // namespace

Status inspect_graph(Context& context, const std::string& path, const std::vector<std::string>& carries,
                     const std::vector<std::string>& feeds) {
  QUARRY_ASSIGN(const auto normal, load_graph(path));
  meter::Usage usage;
  for (const auto& carry : carries) {
    const auto equals = carry.find('=');
    if (equals == std::string::npos)
      return Problem{"usage", "--carry " + carry + " is not of the form INPUT=OUTPUT", "", ""};
    usage.carry.emplace_back(carry.substr(0, equals), carry.substr(equals + 1));
  }
  usage.feed = feeds;
  QUARRY_ASSIGN(const meter::StepCount step, meter::count(*normal, usage));
  size_t movement = 0;
  for (graph::NodeId node = 0; node < normal->graph.size(); ++node)
    movement += graph::is_movement(normal->graph[node].op);
  const json description = describe(*normal, step, movement);
  if (context.json) {
    context.print_json(description);
    return {};
  }
  const Terminal& terminal = context.terminal;
  std::cout << terminal.bold(normal->id_text()) << "\n  nodes   " << normal->graph.size() << ", " << movement
            << " of them movement, " << step.stored_values << " stored values (kernels)\n";
  print_values(terminal, "input ", description["inputs"]);
  print_values(terminal, "output", description["outputs"]);
  std::cout << "  a step computes " << terminal.bold(human_flops(step.flops)) << ", metered "
            << terminal.bold(human_flops(step.metered())) << " (" << human_flops(step.weighted_total()) << " weighted, "
            << human_bytes(static_cast<uint64_t>(step.bytes)) << " moved; tariff " << static_cast<int>(step.tariff)
            << ")\n  memory bound " << human_bytes(step.memory_bound_bytes) << "\n";
  return {};
}

Status list_devices(Context& context, bool all) {
  json list = json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& device : all ? device::survey_devices() : device::list_devices()) {
    const auto& p = device.properties;
    list.push_back({{"device", device.selector},
                    {"name", p.name},
                    {"backend", p.backend},
                    {"driver", p.driver},
                    {"compute_units", p.compute_units},
                    {"memory_bytes", p.memory_bytes}});
    rows.push_back({device.selector, p.name, std::to_string(p.compute_units), human_bytes(p.memory_bytes), p.driver});
    if (!all) continue;
    list.back()["left_out"] = device.left_out;
    rows.back().push_back(device.left_out);
  }
  std::vector<std::string> heads{"device", "name", "units", "memory", "driver"};
  if (all) heads.push_back("left out because");
  if (context.json)
    context.print_json(list);
  else
    std::cout << table(context.terminal, heads, rows);
  return {};
}

}  // namespace quarry::cli
