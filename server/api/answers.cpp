#include "server/api/answers.h"

#include <array>

namespace quarry::server {

namespace {

void write_time(JsonWriter& json, std::string_view name, const std::optional<WallTime>& time) {
  json.key(name);
  time ? json.string(time->rfc3339()) : json.null();
}

void write_failure(JsonWriter& json, const sql::JobRow& job) {
  json.key("failure");
  if (job.failure_detail.empty()) {
    json.null();
    return;
  }
  json.begin_object()
      .field("reason", job.end_reason ? name(*job.end_reason) : "")
      .field("detail", job.failure_detail)
      .end_object();
}

}  // namespace

std::string graph_id_text(const Digest& graph) {
  return "graph_" + to_hex(graph);
}

void write_shape(JsonWriter& json, std::span<const int64_t> shape) {
  json.begin_array();
  for (const int64_t size : shape) json.number(size);
  json.end_array();
}

void write_output(JsonWriter& json, const OutputInfo& output, const std::string* data) {
  json.begin_object().field("name", output.name).field("dtype", graph::name(output.dtype)).key("shape");
  write_shape(json, output.shape);
  json.field("bytes", output.bytes).field("keep", output.each ? "each" : "last");
  if (data != nullptr) json.field("data", *data);
  json.end_object();
}

/// What the job was charged and not refunded.
Money paid(const sql::JobRow& job) {
  return job.end_reason && market::end_terms(*job.end_reason).refund ? Money() : job.spent;
}

void write_job(JsonWriter& json, const sql::JobRow& job, const std::vector<OutputInfo>* outputs,
               const std::optional<LiveProgress>& live, const std::map<std::string, std::string>& data,
               std::string_view why_waiting) {
  const int64_t done =
      live && !is_terminal(job.state) ? std::max(job.steps_accepted, live->steps_done) : job.steps_accepted;
  json.begin_object().field("id", job.id.to_string()).field("state", name(job.state)).key("end_reason");
  job.end_reason ? json.string(name(*job.end_reason)) : json.null();
  json.field("graph", graph_id_text(job.graph)).field("steps", job.steps).field("steps_done", done);
  json.field("submitted_at", job.submitted_at.rfc3339());
  write_time(json, "started_at", job.started_at);
  write_time(json, "ended_at", job.ended_at);
  write_time(json, "expires_at", job.ended_at ? std::optional(sql::after_retention(*job.ended_at)) : std::nullopt);
  json.field("limit", job.limit.to_string()).field("spent", paid(job).to_string());
  json.field("tariff", job.tariff).field("metered_flops", job.metered.to_string());
  json.field("segments", segment_count(job.steps, std::max<int64_t>(job.steps_per_segment, 1)));
  if (outputs != nullptr) {
    json.key("outputs").begin_array();
    for (const OutputInfo& output : *outputs) {
      const auto found = data.find(output.name);
      write_output(json, output, found == data.end() ? nullptr : &found->second);
    }
    json.end_array();
  }
  if (live && !is_terminal(job.state)) {
    json.key("progress").begin_object();
    write_phase(json, *live);
    json.end_object();
  }
  if (!why_waiting.empty()) json.field("why_waiting", why_waiting);
  write_failure(json, job);
  json.end_object();
}

void write_phase(JsonWriter& json, const LiveProgress& progress) {
  static constexpr std::array<std::string_view, 3> kPhases{"fetching", "compiling", "running"};
  json.field("phase", kPhases.at(static_cast<size_t>(progress.phase)));
  if (progress.phase == wire::Phase::Compiling)
    json.field("done", progress.phase_done).field("of", progress.phase_total);
}

sql::JobRow queued_row(const JobPlan& plan, WallTime now) {
  sql::JobRow row;
  static_cast<sql::JobTerms&>(row) = plan.row;
  row.submitted_at = now;
  row.metered = plan.work.metered;
  return row;
}

void write_ledger_line(JsonWriter& json, const sql::LedgerLine& line) {
  json.begin_object()
      .field("transfer", line.transfer)
      .field("at", line.at.rfc3339())
      .field("kind", line.kind)
      .field("book", line.book)
      .field("amount", line.amount.to_string())
      .key("segments")
      .begin_array();
  for (const auto& [job, segment] : line.segments)
    json.begin_object().field("job", job).field("segment", segment).end_object();
  json.end_array().end_object();
}

void write_usage_line(JsonWriter& json, const sql::MeterRow& line) {
  const UInt128 weighted = line.work.weighted16.count + line.work.weighted32.count + line.work.weighted64.count;
  json.begin_object()
      .field("job", line.job.to_string())
      .field("segment", line.segment)
      .field("at", line.at.rfc3339())
      .field("tariff", line.tariff)
      .field("steps", line.steps)
      .field("flops", line.work.flops.to_string())
      .key("weighted")
      .begin_object()
      .field("bits_16", line.work.weighted16.to_string())
      .field("bits_32", line.work.weighted32.to_string())
      .field("bits_64", line.work.weighted64.to_string())
      .field("total", to_decimal(weighted))
      .end_object()
      .field("bytes", to_decimal(line.work.bytes))
      .field("stored_values", line.work.stored_values)
      .field("metered_flops", line.metered.to_string())
      .field("charge", line.charge.to_string())
      .end_object();
}

}  // namespace quarry::server
