#include "engine/graph/limits.h"
#include "server/api/answers.h"
#include "server/api/download.h"
#include "server/api/handlers.h"
#include "server/limits.h"

namespace quarry::server {

static_assert(kMaxGraphBytes == graph::kMaxTextBytes);

namespace {

using Loaded = std::shared_ptr<const LoadedGraph>;

/// Parsing, normal form and counting: milliseconds for real graphs, seconds for the largest; always on the work pool.
struct Parsed {
  Loaded graph;
  std::vector<std::byte> cbor;
  meter::StepCount step;
};
Result<Parsed> parse_graph(const std::string& body, bool cbor) {
  auto parsed = cbor ? graph::parse_cbor(std::as_bytes(std::span(body))) : graph::parse_json(body);
  if (!parsed) return std::move(parsed).problem();
  Parsed result;
  result.graph = std::make_shared<const LoadedGraph>(graph::normalise(*parsed));
  QUARRY_ASSIGN(result.step, result.graph->count({}));
  result.cbor = graph::write_cbor(result.graph->normal.graph);
  return result;
}

void write_values(JsonWriter& json, const graph::Graph& graph, std::string_view name, graph::NodeId node) {
  json.begin_object().field("name", name).field("dtype", graph::name(graph[node].dtype)).key("shape");
  write_shape(json, graph.shape(node));
  json.end_object();
}

std::string summary(const LoadedGraph& loaded, const meter::StepCount& step) {
  const graph::Graph& graph = loaded.normal.graph;
  JsonWriter json;
  json.begin_object().field("id", graph_id_text(loaded.normal.id)).field("nodes", graph.size());
  json.key("inputs").begin_array();
  for (const graph::NodeId node : graph.inputs()) write_values(json, graph, graph.input_name(node), node);
  json.end_array().key("outputs").begin_array();
  for (const graph::Output& output : graph.outputs()) write_values(json, graph, output.name, output.node);
  json.end_array().key("step").begin_object();
  json.field("tariff", static_cast<int>(step.tariff))
      .field("flops", step.flops.to_string())
      .field("weighted", step.weighted_total().to_string())
      .field("bytes", to_decimal(step.bytes))
      .field("stored_values", step.stored_values)
      .field("metered_flops", step.metered().to_string())
      .field("memory_bound_bytes", step.memory_bound_bytes);
  json.end_object().end_object();
  return json.take();
}

Problem graph_missing(const std::string& text) {
  return {"graph_not_found", "there is no graph " + text.substr(0, 80), "", "POST it to /v1/graphs first"};
}

enum class Form { Summary, Json, Cbor };
Result<Form> form_of(const http::Request& request) {
  if (const auto form = request.parameter("form")) {
    if (*form == "json") return Form::Json;
    if (*form == "cbor") return Form::Cbor;
    return Problem{"bad_parameter", "form is neither json nor cbor", "", "correct ?form="};
  }
  const std::string* accept = request.field("accept");
  return accept != nullptr && accept->find("application/cbor") != std::string::npos ? Form::Cbor : Form::Summary;
}

}  // namespace

Awaitable<http::Response> post_graph(Service& service, Call& call) {
  const std::string* type = call.request.field("content-type");
  const bool cbor = type != nullptr && type->starts_with("application/cbor");
  QUARRY_ANSWER_ASSIGN(const Parsed parsed,
                       co_await service.work.run([&body = call.body, cbor] { return parse_graph(body, cbor); }));
  const Digest id = parsed.graph->normal.id;
  QUARRY_ANSWER_TRY(co_await service.work.run(
      [&blobs = service.blobs, id, &bytes = parsed.cbor] { return blobs.put(BlobKind::Graph, id, bytes); }));
  co_await service.database.run([account = call.account, id, bytes = parsed.cbor.size()](sql::ObjectStore& store) {
    store.put_graph(account, id, bytes);
  });
  service.catalog.remember_graph(parsed.graph);
  co_return http::Response::json(201, summary(*parsed.graph, parsed.step));
}

Awaitable<http::Response> get_graph(Service& service, Call& call) {
  const auto id = graph::parse_graph_id(call.arguments.at(0));
  if (!id) co_return refusal(graph_missing(call.arguments.at(0)));
  if (!co_await service.catalog.has_graph(call.account, *id)) co_return refusal(graph_missing(call.arguments.at(0)));
  QUARRY_ANSWER_ASSIGN(const Form form, form_of(call.request));
  const Loaded loaded = co_await service.catalog.graph(*id);
  if (!loaded) co_return refusal(graph_missing(call.arguments.at(0)));
  if (form == Form::Json) {
    const auto write = [loaded] { return graph::write_json(loaded->normal.graph); };
    auto text = co_await service.work.run(write);
    co_return http::Response::json(200, std::move(text));
  }
  if (form == Form::Cbor) {
    const auto write = [loaded] { return graph::write_cbor(loaded->normal.graph); };
    const auto bytes = co_await service.work.run(write);
    http::Response response;
    response.fields.emplace_back("Content-Type", "application/cbor");
    response.body = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    co_return response;
  }
  QUARRY_ANSWER_ASSIGN(const meter::StepCount step, co_await service.catalog.count(loaded, {}));
  co_return http::Response::json(200, summary(*loaded, step));
}

}  // namespace quarry::server
