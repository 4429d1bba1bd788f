// From a job document to a job that can be quoted and submitted: names resolved, shapes checked against real files,
// work counted, cut into segments, priced. Stores and charges nothing.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/job.h"
#include "market/market.h"
#include "server/api/catalog.h"
#include "server/api/service.h"
#include "sql/store.h"

namespace quarry::server {

/// One kept output as a tensor of the results.
struct OutputInfo {
  std::string name;
  graph::DType dtype;
  std::vector<int64_t> shape;  ///< [steps, ...shape] for "each"
  uint64_t bytes = 0;
  bool each = false;
};
/// The outputs that a job keeps, sorted by name, as they are after `steps` steps. "bytes_overflow" past 2^63.
Result<std::vector<OutputInfo>> job_outputs(const graph::JobDocument& job, const graph::Graph& graph, int64_t steps);

struct JobPlan {
  graph::JobDocument document;
  std::shared_ptr<const LoadedGraph> graph;
  std::vector<OutputInfo> outputs;
  sql::NewJob row;  ///< all but its id
  market::Work work;
  market::Quote quote;
  int64_t segments = 1;
};

/// Problems' pointers start with `pointer`, the job's own place in the request. A quote is counted by the newest
/// tariff, a job that is submitted with a quote by that quote's.
Awaitable<Result<JobPlan>> plan_job(Service& service, AccountId account, std::string_view json, std::string pointer,
                                    meter::Tariff tariff = meter::kNewestTariff);

int64_t segment_count(int64_t steps, int64_t steps_per_segment);

}  // namespace quarry::server
