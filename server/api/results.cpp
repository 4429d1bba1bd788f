#include <algorithm>

#include "engine/io/safetensors.h"
#include "server/api/answers.h"
#include "server/api/download.h"
#include "server/api/handlers.h"

namespace quarry::server {

namespace {

Problem job_missing(const std::string& text) {
  return {"job_not_found", "there is no job " + text.substr(0, 64), "", "see GET /v1/jobs"};
}

/// A result that can be fetched: what it is, and where its bytes are.
struct Available {
  OutputInfo info;
  std::vector<wire::Extent> extents;
};

/// What the accepted segments of a job have left, in order of name.
Awaitable<Result<std::vector<Available>>> available_results(Service& service, AccountId account, std::string id_text) {
  const auto id = JobId::parse(id_text);
  if (!id) co_return job_missing(id_text);
  const auto job = co_await service.database.run(
      [account, job_id = *id](sql::JobStore& store) { return store.job(account, job_id); });
  if (!job) co_return job_missing(id_text);
  if (job->results_expired)
    co_return Problem{"results_expired", "the results of job " + id_text + " have expired", "", "run the job again"};
  const auto graph = co_await service.catalog.graph(job->graph);
  const auto document = graph::parse_job(job->document);
  std::vector<Available> results;
  if (!graph || !document) co_return results;
  QUARRY_CO_ASSIGN(auto outputs, job_outputs(*document, graph->normal.graph, job->steps_accepted));
  for (OutputInfo& info : outputs) {
    const auto row = std::find_if(job->outputs.begin(), job->outputs.end(),
                                  [&](const sql::OutputRow& output) { return output.name == info.name; });
    if (row == job->outputs.end() || row->extents.empty()) continue;
    uint64_t bytes = 0;
    for (const wire::Extent& extent : row->extents) bytes += extent.bytes;
    if (bytes == info.bytes) results.push_back({std::move(info), row->extents});
  }
  co_return results;
}

}  // namespace

Awaitable<http::Response> list_results(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const auto results, co_await available_results(service, call.account, call.arguments.at(0)));
  JsonWriter json;
  json.begin_object().key("outputs").begin_array();
  for (const Available& result : results) write_output(json, result.info);
  json.end_array().end_object();
  co_return http::Response::json(200, json.take());
}

Awaitable<http::Response> get_result(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const auto results, co_await available_results(service, call.account, call.arguments.at(0)));
  const auto found = std::find_if(results.begin(), results.end(),
                                  [&](const Available& result) { return result.info.name == call.arguments.at(1); });
  if (found == results.end())
    co_return refusal({"output_not_found", "the job has no result '" + call.arguments.at(1).substr(0, 256) + "'", "",
                       "see the job's results; they are there once its segments are accepted"});
  const io::NamedTensor tensor{found->info.name, found->info.dtype, found->info.shape, found->info.bytes};
  const auto head = io::write_header(std::span(&tensor, 1));
  std::vector<DownloadPart> parts;
  parts.emplace_back(std::string(reinterpret_cast<const char*>(head.data()), head.size()));
  for (const wire::Extent& extent : found->extents) parts.emplace_back(extent);
  co_return download(service, call.request, std::move(parts));
}

}  // namespace quarry::server
