// The scanner that takes request bodies apart agrees with a whole parser: each takes the strings that the other takes,
// and the members that the scanner finds put together are the object.
#include <nlohmann/json.hpp>

#include "common/text.h"
#include "server/json_reader.h"
#include "tests/fuzz/require.h"

using namespace quarry;
using namespace quarry::server;
using nlohmann::json;

namespace {

void check_problem(const Problem& problem) {
  FUZZ_REQUIRE(!problem.code.empty() && !problem.detail.empty());
}

void check_string(std::string_view text) {
  const auto ours = read_string(text, "");
  const auto theirs = json::parse(text, nullptr, false);
  FUZZ_REQUIRE(ours.ok() == theirs.is_string());
  if (ours.ok())
    FUZZ_REQUIRE(*ours == theirs.get<std::string>());
  else
    check_problem(ours.problem());
}

void check_object(std::string_view text) {
  const auto ours = read_object(text, {"job", "quote", "limit", "jobs", "name"});
  if (!ours.ok()) return check_problem(ours.problem());
  const auto theirs = json::parse(text, nullptr, false);
  if (theirs.is_discarded()) return;  // the insides of values are left to whoever reads them
  FUZZ_REQUIRE(theirs.is_object() && theirs.size() == ours->size());
  for (const auto& [name, value] : *ours) FUZZ_REQUIRE(json::parse(value, nullptr, false) == theirs.at(name));
}

void check_array(std::string_view text) {
  const auto ours = read_array(text, 100, "/jobs");
  if (!ours.ok()) return check_problem(ours.problem());
  FUZZ_REQUIRE(ours->size() <= 100);
  const auto theirs = json::parse(text, nullptr, false);
  if (theirs.is_discarded()) return;
  FUZZ_REQUIRE(theirs.is_array() && theirs.size() == ours->size());
  for (size_t i = 0; i < ours->size(); ++i) FUZZ_REQUIRE(json::parse((*ours)[i], nullptr, false) == theirs[i]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The whole parser skips a byte order mark and takes NUL for the end.
  if (!is_utf8(text) || text.starts_with("\xef\xbb\xbf") || text.find('\0') != std::string_view::npos) {
    (void)read_object(text, {"job"});
    (void)read_array(text, 100, "");
    (void)read_string(text, "");
    return 0;
  }
  check_string(text);
  check_object(text);
  check_array(text);
  return 0;
}
