#include <array>

#include "server/api/api.h"
#include "server/api/handlers.h"

namespace quarry::server {

namespace {
using enum http::Method;
constexpr Access kOpen{Auth::None, ""};
constexpr Access key(std::string_view scope) {
  return {Auth::Key, scope};
}
constexpr std::array kRoutes{
    Route{Put, "/v1/tensors/{sha256}", key("tensors:write"), Body::Streamed, false, put_tensor},
    Route{Head, "/v1/tensors/{sha256}", key("tensors:read"), Body::None, false, head_tensor},
    Route{Get, "/v1/tensors/{sha256}", key("tensors:read"), Body::None, false, get_tensor},
    Route{Delete, "/v1/tensors/{sha256}", key("tensors:write"), Body::None, false, delete_tensor},
    Route{Post, "/v1/graphs", key("jobs:write"), Body::Graph, true, post_graph},
    Route{Get, "/v1/graphs/{id}", key("jobs:read"), Body::None, false, get_graph},
    Route{Post, "/v1/quotes", key("jobs:write"), Body::Json, true, post_quote},
    Route{Post, "/v1/jobs", key("jobs:write"), Body::Json, false, post_job},
    Route{Post, "/v1/jobs:batch", key("jobs:write"), Body::Json, false, post_job_batch},
    Route{Get, "/v1/jobs", key("jobs:read"), Body::None, false, list_jobs},
    Route{Get, "/v1/jobs/{id}", key("jobs:read"), Body::None, false, get_job},
    Route{Delete, "/v1/jobs/{id}", key("jobs:write"), Body::None, false, delete_job},
    Route{Get, "/v1/jobs/{id}/events", key("jobs:read"), Body::None, false, get_job_events},
    Route{Get, "/v1/jobs/{id}/results", key("jobs:read"), Body::None, false, list_results},
    Route{Get, "/v1/jobs/{id}/results/{output}", key("jobs:read"), Body::None, false, get_result},
    Route{Get, "/v1/jobs/{id}/bill", key("account:read"), Body::None, false, get_bill},
    Route{Get, "/v1/usage", key("account:read"), Body::None, false, get_usage},
    Route{Get, "/v1/account", key("account:read"), Body::None, false, get_account},
    Route{Get, "/v1/account/ledger", key("account:read"), Body::None, false, get_ledger},
    Route{Post, "/v1/boxes", key("boxes:write"), Body::Json, true, post_box},
    Route{Get, "/v1/boxes", key("boxes:write"), Body::None, false, list_boxes},
    Route{Post, "/v1/boxes:claim", kOpen, Body::Json, false, claim_box},
    Route{Get, "/v1/openapi.json", kOpen, Body::None, false, get_openapi},
    Route{Get, "/healthz", kOpen, Body::None, false, get_healthz},
    Route{Get, "/readyz", kOpen, Body::None, false, get_readyz},
};
}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

}  // namespace quarry::server
