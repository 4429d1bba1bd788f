#include "server/api/handlers.h"
#include "server/api/openapi.h"

namespace quarry::server {

Awaitable<http::Response> get_openapi(Service&, Call&) {
  auto response = http::Response::json(200, std::string(kOpenApiDocument));
  response.caching = http::Caching::Public;
  co_return response;
}

/// The process runs and its I/O threads turn.
Awaitable<http::Response> get_healthz(Service&, Call&) {
  co_return http::Response::json(200, R"({"status":"ok"})");
}

/// Requests can be served: PostgreSQL answers and there is room for uploads. A missing scheduler does not matter here:
/// jobs queue.
Awaitable<http::Response> get_readyz(Service& service, Call&) {
  const bool room = co_await service.work.run([&blobs = service.blobs] { return blobs.has_space(0); });
  co_await service.database.run([](sql::EventStore& store) { return store.last_event(); });
  if (!room) co_return http::problem_response(503, {"no_space", "the blob directory is full", "", "make room"}, 30);
  JsonWriter json;
  json.begin_object().field("status", "ready").field("scheduler", service.metrics.scheduler_connected > 0).end_object();
  co_return http::Response::json(200, json.take());
}

}  // namespace quarry::server
