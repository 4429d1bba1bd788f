#include "cli/watch.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/job_options.h"
#include "cli/show.h"
#include "common/money.h"

namespace quarry::cli {
namespace {

using nlohmann::json;

bool has_ended(const json& job) {
  const std::string state = job.value("state", "");
  return state == "succeeded" || state == "failed" || state == "cancelled" || state == "expired";
}

bool ends_job(const std::string& event) {
  return event == "job.succeeded" || event == "job.failed" || event == "job.cancelled" || event == "job.expired";
}

}  // namespace

Status send_parts(Context& context, ApiClient& client, const LocalJob& job) {
  for (const auto& [digest, path] : job.files) {
    ProgressBar bar(context.terminal, "uploading " + path.filename().string());
    QUARRY_TRY(client.upload(path, digest,
                             [&](uint64_t done, uint64_t total) { bar.show(done, total, "", human_bytes(done)); }));
  }
  const auto cbor = graph::write_cbor(job.graph->graph);
  const std::string_view body(reinterpret_cast<const char*>(cbor.data()), cbor.size());
  QUARRY_TRY(client.post_bytes("/v1/graphs", body, "application/cbor"));
  return {};
}

Result<json> watch_job(Context& context, ApiClient& client, const std::string& job_id) {
  const std::string path = "/v1/jobs/" + job_id;
  QUARRY_ASSIGN(json job, client.get(path));
  if (!has_ended(job)) {
    const OnInterrupt interrupt("\nThe job goes on. `quarry job " + job_id +
                                " --watch` follows it again, `quarry cancel " + job_id + "` ends it.\n");
    if (const auto why = job.find("why_waiting"); why != job.end() && why->is_string())
      std::cerr << context.terminal.dim_talk("waiting: " + why->get<std::string>()) << "\n";
    ProgressBar bar(context.terminal, "running");  // it is shown from the first progress on
    const auto started = std::chrono::steady_clock::now();
    const auto total = static_cast<uint64_t>(integer(job, "steps")),
               before = static_cast<uint64_t>(integer(job, "steps_done"));
    Money spent;
    QUARRY_TRY(client.events(path + "/events", [&](const ServerEvent& event) {
      const json data = json::parse(event.data, nullptr, false);
      if (event.kind == "segment.accepted" && data.is_object())
        spent += Money::parse(data.value("charge", "0")).value_or(Money());
      if (event.kind == "job.progress" && data.is_object() && data.value("phase", "running") == "compiling") {
        bar.rename("compiling");
        bar.show(static_cast<uint64_t>(integer(data, "done")), static_cast<uint64_t>(integer(data, "of")), "kernels",
                 "");
      } else if ((event.kind == "job.progress" || event.kind == "segment.accepted") && data.is_object()) {
        const auto done = static_cast<uint64_t>(integer(data, "steps_done"));
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        char rate[48];
        std::snprintf(rate, sizeof rate, "%.0f steps/s",
                      static_cast<double>(done - std::min(done, before)) / std::max(seconds, 1e-3));
        bar.rename("running");
        bar.show(done, total, rate, spent.pico() > 0 ? context.terminal.money(spent.to_string()) : "");
      }
      return !ends_job(event.kind);
    }));
  }
  for (;;) {  // the event may come a moment before another server's view of the job
    QUARRY_ASSIGN(job, client.get(path + "?wait=30"));
    if (has_ended(job)) return job;
  }
}

Result<std::string> resolve_job(ApiClient& client, const std::string& selector) {
  if (selector != "last") {
    if (JobId::parse(selector)) return selector;
    return Problem{"not_found", "\"" + selector + "\" is neither a job's id nor \"last\"", "", "See `quarry jobs`."};
  }
  QUARRY_ASSIGN(const json page, client.get("/v1/jobs?limit=1"));
  if (page.at("jobs").empty())
    return Problem{"not_found", "this account has no jobs yet", "", "Submit one with `quarry submit`."};
  return page.at("jobs").at(0).at("id").get<std::string>();
}

}  // namespace quarry::cli
