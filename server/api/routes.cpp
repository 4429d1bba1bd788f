#include <array>

#include "server/api/api.h"
#include "server/api/handlers.h"

namespace quarry::server {

namespace {
using enum http::Method;
constexpr std::array kRoutes{
    Route{Put, "/v1/tensors/{sha256}", "tensors:write", Body::Streamed, false, put_tensor},
    Route{Head, "/v1/tensors/{sha256}", "tensors:read", Body::None, false, head_tensor},
    Route{Get, "/v1/tensors/{sha256}", "tensors:read", Body::None, false, get_tensor},
    Route{Post, "/v1/graphs", "jobs:write", Body::Graph, true, post_graph},
    Route{Get, "/v1/graphs/{id}", "jobs:read", Body::None, false, get_graph},
    Route{Post, "/v1/quotes", "jobs:write", Body::Json, true, post_quote},
    Route{Post, "/v1/jobs", "jobs:write", Body::Json, false, post_job},
    Route{Post, "/v1/jobs:batch", "jobs:write", Body::Json, false, post_job_batch},
    Route{Get, "/v1/jobs", "jobs:read", Body::None, false, list_jobs},
    Route{Get, "/v1/jobs/{id}", "jobs:read", Body::None, false, get_job},
    Route{Delete, "/v1/jobs/{id}", "jobs:write", Body::None, false, delete_job},
    Route{Get, "/v1/jobs/{id}/events", "jobs:read", Body::None, false, get_job_events},
    Route{Get, "/v1/jobs/{id}/results", "jobs:read", Body::None, false, list_results},
    Route{Get, "/v1/jobs/{id}/results/{output}", "jobs:read", Body::None, false, get_result},
    Route{Get, "/v1/jobs/{id}/bill", "account:read", Body::None, false, get_bill},
    Route{Get, "/v1/usage", "account:read", Body::None, false, get_usage},
    Route{Get, "/v1/account", "account:read", Body::None, false, get_account},
    Route{Get, "/v1/account/ledger", "account:read", Body::None, false, get_ledger},
    Route{Post, "/v1/boxes", "boxes:write", Body::Json, true, post_box},
    Route{Get, "/v1/boxes", "boxes:write", Body::None, false, list_boxes},
    Route{Post, "/v1/boxes:claim", "", Body::Json, false, claim_box},
    Route{Get, "/v1/openapi.json", "", Body::None, false, get_openapi},
    Route{Get, "/healthz", "", Body::None, false, get_healthz},
    Route{Get, "/readyz", "", Body::None, false, get_readyz},
};
}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

}  // namespace quarry::server
