#include "server/api/answers.h"
#include "server/api/handlers.h"

namespace quarry::server {

Awaitable<http::Response> get_bill(Service& service, Call& call) {
  const auto id = JobId::parse(call.arguments.at(0));
  struct Bill {
    std::optional<sql::JobRow> job;
    std::vector<sql::LedgerLine> lines;
    std::vector<sql::MeterRow> segments;
  };
  Bill bill;
  if (id)
    bill = co_await service.database.run([account = call.account, job_id = *id](sql::Store& store) {
      Bill found{store.job(account, job_id), {}, {}};
      if (!found.job) return found;
      found.lines = store.job_ledger(account, job_id);
      found.segments = store.job_usage(account, job_id);
      return found;
    });
  if (!bill.job)
    co_return refusal(
        {"job_not_found", "there is no job " + call.arguments.at(0).substr(0, 64), "", "see GET /v1/jobs"});
  JsonWriter json;
  json.begin_object().field("job", bill.job->id.to_string()).key("lines").begin_array();
  for (const sql::LedgerLine& line : bill.lines) write_ledger_line(json, line);
  json.end_array().key("segments").begin_array();
  for (const sql::MeterRow& line : bill.segments) write_usage_line(json, line);
  json.end_array().field("spent", bill.job->spent.to_string()).end_object();
  co_return http::Response::json(200, json.take());
}

Awaitable<http::Response> get_usage(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const sql::Page page, page_of(call.request));
  struct Usage {
    std::vector<sql::MeterRow> lines;
    sql::UsageTotals totals;
    std::string next;
  };
  const auto read = [account = call.account, page](sql::LedgerStore& store) {
    Usage found;
    found.lines = store.usage(account, page, found.next);
    found.totals = store.usage_totals(account);
    return found;
  };
  const Usage usage = co_await service.database.run(read);
  JsonWriter json;
  json.begin_object().key("segments").begin_array();
  for (const sql::MeterRow& line : usage.lines) write_usage_line(json, line);
  json.end_array().key("totals").begin_object();
  json.field("segments", usage.totals.segments)
      .field("flops", usage.totals.flops.to_string())
      .field("bytes", to_decimal(usage.totals.bytes))
      .field("metered_flops", usage.totals.metered.to_string())
      .field("charge", usage.totals.charge.to_string())
      .end_object();
  write_next(json, usage.next);
  json.end_object();
  co_return http::Response::json(200, json.take());
}

}  // namespace quarry::server
