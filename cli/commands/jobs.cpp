// `quarry quote | submit | jobs | job | cancel | get`: the way of a job, from the renter's side.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/output_files.h"
#include "cli/show.h"
#include "cli/watch.h"

namespace quarry::cli {
namespace {

using nlohmann::json;

/// A job that ended otherwise than well is a failed command.
Status as_status(const json& job) {
  const std::string state = job.value("state", "");
  if (state != "failed" && state != "cancelled" && state != "expired") return {};
  std::string detail = "the job " + job.value("id", "") + " " + (state == "failed" ? "failed" : "was " + state);
  if (job.contains("end_reason") && job["end_reason"].is_string())
    detail += ": " + job["end_reason"].get<std::string>();
  if (job.contains("failure") && job["failure"].is_object()) detail += ": " + job["failure"].value("detail", "");
  return Problem{"job_" + state, detail, "", "See `quarry job " + job.value("id", "last") + "`."};
}

/// What a command that waited for a job ends with. With --json the job has been printed, and nothing may follow it.
Status watched(Context& context, const json& job) {
  Status status = as_status(job);
  if (status.ok() || !context.json) return status;
  context.exit_code = ExitCode::Failed;
  return {};
}

Result<json> fetch_quote(Context& context, ApiClient& client, const LocalJob& job) {
  QUARRY_TRY(send_parts(context, client, job));
  return client.post("/v1/quotes", {{"job", json::parse(graph::write_job(job.document))}});
}

}  // namespace

Status quote(Context& context, const JobOptions& options) {
  QUARRY_ASSIGN(const LocalJob job, load_job(options));
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(const json answer, fetch_quote(context, *client, job));
  if (context.json)
    context.print_json(answer);
  else
    std::cout << quote_text(context.terminal, answer);
  return {};
}

Status submit(Context& context, const SubmitFlags& flags) {
  if (flags.dry_run) return quote(context, flags.job);
  QUARRY_ASSIGN(const LocalJob local, load_job(flags.job));
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_TRY(send_parts(context, *client, local));
  json body{{"job", json::parse(graph::write_job(local.document))}};
  if (!flags.limit.empty()) body["limit"] = flags.limit;
  QUARRY_ASSIGN(json job, client->post("/v1/jobs", body));
  if (flags.watch) {
    if (!context.json) std::cerr << "submitted " << job.value("id", "") << "\n";
    QUARRY_ASSIGN(job, watch_job(context, *client, job.at("id").get<std::string>()));
  }
  if (context.json)
    context.print_json(job);
  else
    std::cout << job_text(context.terminal, job);
  return watched(context, job);
}

Status list_jobs(Context& context, int limit) {
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(const json page, client->get("/v1/jobs?limit=" + std::to_string(limit)));
  if (context.json)
    context.print_json(page);
  else
    std::cout << jobs_table(context.terminal, page.at("jobs"));
  return {};
}

Status show_job(Context& context, const std::string& selector, bool watch) {
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(const std::string id, resolve_job(*client, selector));
  json job;
  if (watch) {
    QUARRY_ASSIGN(job, watch_job(context, *client, id));
  } else {
    QUARRY_ASSIGN(job, client->get("/v1/jobs/" + id));
  }
  QUARRY_ASSIGN(const json bill, client->get("/v1/jobs/" + id + "/bill"));
  if (context.json) {
    job["bill"] = bill;
    context.print_json(job);
  } else {
    std::cout << job_text(context.terminal, job) << "\n" << ledger_table(context.terminal, bill.at("lines"));
  }
  return watch ? watched(context, job) : Status();
}

Status cancel_job(Context& context, const std::string& selector) {
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(const std::string id, resolve_job(*client, selector));
  QUARRY_ASSIGN(const json job, client->remove("/v1/jobs/" + id));
  if (context.json)
    context.print_json(job);
  else
    std::cout << job_text(context.terminal, job);
  return {};
}

Status get_results(Context& context, const std::string& selector, const std::vector<std::string>& wanted,
                   const ResultTarget& to) {
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(const std::string id, resolve_job(*client, selector));
  QUARRY_ASSIGN(const json results, client->get("/v1/jobs/" + id + "/results"));
  std::vector<std::string> names;
  for (const auto& output : results.at("outputs")) names.push_back(output.at("name").get<std::string>());
  const auto missing = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) == names.end();
  };
  const auto unknown = std::find_if(wanted.begin(), wanted.end(), missing);
  if (names.empty() || unknown != wanted.end())
    return Problem{"not_found",
                   names.empty() ? "the job has no outputs yet" : "the job has no output \"" + *unknown + "\" yet", "",
                   "See `quarry job " + id + "`."};
  if (!wanted.empty()) names = wanted;
  QUARRY_TRY(prepare_outputs(to.directory, names, to.force));
  json written = json::array();
  for (const auto& name : names) {
    QUARRY_ASSIGN(const auto file, output_file(to.directory, name));
    ProgressBar bar(context.terminal, "fetching " + name);
    QUARRY_TRY(client->download("/v1/jobs/" + id + "/results/" + percent_encoded(name), file,
                                [&](uint64_t done, uint64_t total) { bar.show(done, total, "", human_bytes(done)); }));
    bar.finish();
    written.push_back({{"name", name}, {"file", file.string()}});
    if (!context.json) std::cout << file.string() << "\n";
  }
  if (context.json) context.print_json(written);
  return {};
}

}  // namespace quarry::cli
