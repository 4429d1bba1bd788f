// docs/graph-format.md is held to what the parsers do.
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "engine/graph/idioms.h"
#include "engine/graph/job.h"

using namespace quarry::graph;

namespace {

std::string document() {
  std::ifstream file(QUARRY_DOCS "/graph-format.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The blocks of JSON in the document, in their order.
std::vector<std::string> examples() {
  const std::string text = document(), fence = "```json\n";
  std::vector<std::string> blocks;
  for (size_t at = text.find(fence); at != std::string::npos; at = text.find(fence, at)) {
    at += fence.size();
    blocks.push_back(text.substr(at, text.find("```", at) - at));
  }
  return blocks;
}

}  // namespace

TEST_CASE("every example of docs/graph-format.md is a valid graph, and the last a valid job") {
  const auto blocks = examples();
  REQUIRE(blocks.size() == 5);
  for (size_t i = 0; i + 1 < blocks.size(); ++i) {
    INFO(blocks[i]);
    const auto graph = parse_json(blocks[i]);
    if (!graph.ok()) FAIL(graph.problem().detail);
  }
  CHECK(parse_job(blocks.back()).ok());
}

TEST_CASE("the worked example of identity in docs/graph-format.md has the id that is printed there") {
  const auto graph = parse_json(examples().at(3));
  REQUIRE(graph.ok());
  CHECK(document().find("\n" + normalise(*graph).id_text() + "\n") != std::string::npos);
}

TEST_CASE("the idioms of docs/graph-format.md are recognised as what they are called") {
  const auto contraction = parse_json(examples().at(1));
  CHECK(match_contraction(*contraction, 7));
  CHECK_FALSE(match_gather(*contraction, 7));
  const auto gather = parse_json(examples().at(2));
  const auto match = match_gather(*gather, 12);
  REQUIRE(match);
  CHECK(match->axis == 1);
}

TEST_CASE("every code of a refusal stands in docs/graph-format.md") {
  const std::string text = document();
  for (const char* code : {"malformed_json",  "malformed_cbor", "unsupported_version", "wrong_type",
                           "unknown_field",   "missing_field",  "duplicate_field",     "unknown_op",
                           "unknown_dtype",   "reserved",       "forward_reference",   "wrong_operand_count",
                           "dtype_mismatch",  "shape_mismatch", "dtype_refused",       "rank_mismatch",
                           "invalid_shape",   "invalid_axes",   "invalid_pads",        "invalid_bounds",
                           "invalid_strides", "invalid_value",  "invalid_name",        "duplicate_name",
                           "unknown_node",    "no_outputs",     "limit_exceeded",      "out_of_range",
                           "invalid_id",      "invalid_digest", "unsupported",         "conflict",
                           "unknown_input",   "unknown_output", "missing_input"})
    CHECK(text.find("`" + std::string(code) + "`") != std::string::npos);
}
