// Every handler of docs/api.md, one file per subject. A handler answers 4xx without having stored or charged anything.
#pragma once

#include "server/api/call.h"

namespace quarry::server {

// tensors.cpp
Awaitable<http::Response> put_tensor(Service& service, Call& call);
Awaitable<http::Response> head_tensor(Service& service, Call& call);
Awaitable<http::Response> get_tensor(Service& service, Call& call);
Awaitable<http::Response> delete_tensor(Service& service, Call& call);
// graphs.cpp
Awaitable<http::Response> post_graph(Service& service, Call& call);
Awaitable<http::Response> get_graph(Service& service, Call& call);
// quotes.cpp
Awaitable<http::Response> post_quote(Service& service, Call& call);
// jobs.cpp
Awaitable<http::Response> post_job(Service& service, Call& call);
Awaitable<http::Response> post_job_batch(Service& service, Call& call);
Awaitable<http::Response> list_jobs(Service& service, Call& call);
Awaitable<http::Response> get_job(Service& service, Call& call);
Awaitable<http::Response> delete_job(Service& service, Call& call);
// events.cpp
Awaitable<http::Response> get_job_events(Service& service, Call& call);
// results.cpp
Awaitable<http::Response> list_results(Service& service, Call& call);
Awaitable<http::Response> get_result(Service& service, Call& call);
// usage.cpp
Awaitable<http::Response> get_bill(Service& service, Call& call);
Awaitable<http::Response> get_usage(Service& service, Call& call);
// account.cpp
Awaitable<http::Response> get_account(Service& service, Call& call);
Awaitable<http::Response> get_ledger(Service& service, Call& call);
// boxes.cpp
Awaitable<http::Response> post_box(Service& service, Call& call);
Awaitable<http::Response> list_boxes(Service& service, Call& call);
Awaitable<http::Response> claim_box(Service& service, Call& call);
// health.cpp
Awaitable<http::Response> get_openapi(Service& service, Call& call);
Awaitable<http::Response> get_healthz(Service& service, Call& call);
Awaitable<http::Response> get_readyz(Service& service, Call& call);

}  // namespace quarry::server
