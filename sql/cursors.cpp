#include "sql/cursors.h"

#include <cstdint>

#include "common/text.h"

namespace quarry::sql {
namespace {

template <class T>
T number(std::string_view text) {
  if (const auto value = parse_number<T>(text)) return *value;
  throw BadCursor("the cursor holds no number");
}

}  // namespace

JobId read_job_cursor(std::string_view text) {
  JobId newest;
  newest.bytes.fill(0xff);
  if (text.empty()) return newest;
  const auto job = JobId::parse(text);
  if (!job) throw BadCursor("the cursor was not given out by the list of jobs");
  return *job;
}

int64_t read_usage_cursor(std::string_view text) {
  return text.empty() ? INT64_MAX : number<int64_t>(text);
}

LedgerCursor read_ledger_cursor(std::string_view text) {
  if (text.empty()) return {"ffffffff-ffff-ffff-ffff-ffffffffffff", INT16_MAX};
  const size_t dot = text.find('.');
  const auto transfer = parse_uuid(text.substr(0, dot));
  if (dot == std::string_view::npos || !transfer) throw BadCursor("the cursor was not given out by the ledger");
  return {uuid_text(*transfer), number<int16_t>(text.substr(dot + 1))};
}

}  // namespace quarry::sql
