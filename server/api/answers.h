// The JSON of what more than one handler answers with.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/api/job_plan.h"
#include "server/json_writer.h"
#include "server/live/hub.h"
#include "sql/store.h"

namespace quarry::server {

/// The job object of docs/api.md. `outputs` is left out when nullptr (lists of jobs). `data`: base64 by output's name.
void write_job(JsonWriter& json, const sql::JobRow& job, const std::vector<OutputInfo>* outputs,
               const std::optional<LiveProgress>& live, const std::map<std::string, std::string>& data = {},
               std::string_view why_waiting = {});
/// What an attempt does now, into an open object: "phase", and "done" and "of" where it compiles.
void write_phase(JsonWriter& json, const LiveProgress& progress);
/// A planned job as the row that it becomes.
sql::JobRow queued_row(const JobPlan& plan, WallTime now);
void write_shape(JsonWriter& json, std::span<const int64_t> shape);
void write_output(JsonWriter& json, const OutputInfo& output, const std::string* data = nullptr);
void write_ledger_line(JsonWriter& json, const sql::LedgerLine& line);
void write_usage_line(JsonWriter& json, const sql::MeterRow& line);
std::string graph_id_text(const Digest& graph);

}  // namespace quarry::server
