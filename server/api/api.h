// The table of routes and what happens before a handler runs: the limits of address, key and account, the key itself
// and its scope, the body, the Idempotency-Key.
#pragma once

#include <memory>

#include "server/api/call.h"

namespace quarry::server {

using HandlerFunction = Awaitable<http::Response> (*)(Service&, Call&);

enum class Body { None, Json, Graph, Streamed };
/// How a request proves that it may do what it asks for.
enum class Auth { None, Key };
struct Access {
  Auth auth;
  std::string_view scope;  ///< that the key must have
};
struct Route {
  http::Method method;
  std::string_view pattern;  ///< "/v1/jobs/{id}"; bounded, so it may label a metric
  Access access;
  Body body;
  bool creates;  ///< answers are kept under the Idempotency-Key (the submits keep theirs with the job)
  HandlerFunction handler;
};
std::span<const Route> routes();

class Api {
 public:
  explicit Api(Service& service);
  ~Api();
  Awaitable<http::Response> handle(http::Request& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quarry::server
