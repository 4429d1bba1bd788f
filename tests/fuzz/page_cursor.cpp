// Cursors of lists: refused as BadCursor, or a place that fits the columns it is compared with.
#include "sql/cursors.h"
#include "tests/fuzz/require.h"

using namespace quarry;
using namespace quarry::sql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const JobId job = read_job_cursor(text);
    FUZZ_REQUIRE(text.empty() || job.to_string() == text);
  } catch (const BadCursor&) {
  }
  try {
    const int64_t sequence = read_usage_cursor(text);
    FUZZ_REQUIRE(read_usage_cursor(std::to_string(sequence)) == sequence);
  } catch (const BadCursor&) {
  }
  try {
    const LedgerCursor cursor = read_ledger_cursor(text);
    FUZZ_REQUIRE(parse_uuid(cursor.transfer) && cursor.book >= INT16_MIN && cursor.book <= INT16_MAX);
  } catch (const BadCursor&) {
  }
  return 0;
}
