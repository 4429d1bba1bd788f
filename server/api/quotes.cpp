#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/api/quote_token.h"
#include "server/json_reader.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

void write_lines(JsonWriter& json, const market::Quote& quote) {
  json.key("lines").begin_array();
  for (const market::QuoteLine& line : quote.lines)
    json.begin_object()
        .field("item", line.item)
        .field("quantity", line.quantity)
        .field("unit", line.unit)
        .field("unit_price", line.unit_price.to_string())
        .field("per", line.per)
        .field("amount", line.amount.to_string())
        .end_object();
  json.end_array();
}

/// The vector that the compute line derives from: one step, and the job's sums.
void write_work(JsonWriter& json, const JobPlan& plan) {
  const sql::MeteredStep& step = plan.row.step;
  const UInt128 weighted = step.weighted16.count + step.weighted32.count + step.weighted64.count;
  json.key("work")
      .begin_object()
      .field("tariff", plan.row.tariff)
      .field("steps", plan.row.steps)
      .key("step")
      .begin_object();
  json.field("flops", step.flops.to_string())
      .field("weighted", to_decimal(weighted))
      .field("bytes", to_decimal(step.bytes))
      .field("stored_values", step.stored_values)
      .end_object()
      .field("checkpoint_bytes", to_decimal(plan.row.checkpoint_bytes));
  json.field("metered_flops", plan.work.metered.to_string())
      .field("bytes_in", plan.work.bytes_in)
      .field("bytes_out", plan.work.bytes_out)
      .end_object();
}

}  // namespace

Awaitable<http::Response> post_quote(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const auto body, read_object(call.body, {"job"}));
  if (!body.contains("job"))
    co_return refusal({"missing_field", "the field 'job' is missing", "/job", "add the job document"});
  QUARRY_ANSWER_ASSIGN(const JobPlan plan, co_await plan_job(service, call.account, body.at("job"), "/job"));
  const WallTime now = service.clock.wall();
  QuoteTerms terms;
  terms.id = QuoteId::make(now, service.random);
  terms.account = call.account;
  terms.job_sha256 = sha256(plan.row.document);
  terms.tariff = static_cast<meter::Tariff>(plan.row.tariff);
  terms.prices = plan.row.prices;
  terms.limit = plan.quote.limit;
  terms.expires_at = {now.micros + std::chrono::microseconds(kQuoteLifetime).count()};
  JsonWriter json;
  json.begin_object().field("id", terms.id.to_string()).field("token", sign_quote(terms, service.settings.quote_key));
  write_lines(json, plan.quote);
  json.field("total", plan.quote.total.to_string()).field("limit", plan.quote.limit.to_string());
  json.field("minimum",
             std::min(plan.quote.limit, market::charge({.metered = {meter::kFlopsPerJob}}, plan.row.prices)->renter)
                 .to_string());
  write_work(json, plan);
  json.field("results_kept_hours", sql::kRetentionHours)
      .field("segments", plan.segments)
      .field("memory_bound_bytes", plan.row.memory_bound_bytes)
      .field("expires_at", terms.expires_at.rfc3339())
      .end_object();
  co_return http::Response::json(201, json.take());
}

}  // namespace quarry::server
