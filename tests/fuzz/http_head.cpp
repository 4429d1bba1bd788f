// The head of a request: what is accepted has no second reading, and says so when it is written again.
#include <algorithm>

#include "common/text.h"
#include "server/http/strict.h"
#include "server/limits.h"
#include "tests/fuzz/require.h"

using namespace quarry;
using namespace quarry::http;

namespace {

std::string written(const Head& head) {
  std::string text =
      std::string(name(head.method)) + " " + head.target + " HTTP/1." + std::to_string(head.minor_version) + "\r\n";
  for (const Field& field : head.fields) text += field.name + ": " + field.value + "\r\n";
  return text + "\r\n";
}

void check_head(const Head& head) {
  FUZZ_REQUIRE(head.target.starts_with('/') && head.target.size() <= server::kMaxTargetBytes);
  FUZZ_REQUIRE(head.target.find_first_of(" \r\n#") == std::string::npos);
  FUZZ_REQUIRE(head.fields.size() <= server::kMaxFields);
  FUZZ_REQUIRE(!head.chunked || (!head.content_length && head.minor_version == 1));
  const auto times = [&](std::string_view wanted) {
    return std::count_if(head.fields.begin(), head.fields.end(), [&](const Field& f) { return f.name == wanted; });
  };
  FUZZ_REQUIRE(times("host") == 1 && times("content-length") <= 1 && times("transfer-encoding") <= 1);
  for (const Field& field : head.fields) FUZZ_REQUIRE(field.value.find_first_of("\r\n") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto read = read_head({reinterpret_cast<const char*>(data), size});
  if (const auto* refusal = std::get_if<HeadRefusal>(&read)) {
    FUZZ_REQUIRE(refusal->status >= 400 && refusal->status < 600 && !refusal->problem.code.empty());
    FUZZ_REQUIRE(is_plain_text(refusal->problem.detail));
    return 0;
  }
  const auto& head = std::get<Head>(read);
  check_head(head);
  const auto again = read_head(written(head));
  const auto* same = std::get_if<Head>(&again);
  FUZZ_REQUIRE(same != nullptr && written(*same) == written(head));
  FUZZ_REQUIRE(same->content_length == head.content_length && same->chunked == head.chunked);
  FUZZ_REQUIRE(same->keep_alive == head.keep_alive && same->expects_continue == head.expects_continue);
  return 0;
}
