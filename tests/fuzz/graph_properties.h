// What must hold of any graph that a parser accepts, and of any refusal.
#pragma once

#include "common/text.h"
#include "engine/graph/graph.h"
#include "tests/fuzz/require.h"

namespace quarry::graph {

inline void check_parsed(const Result<Graph>& graph) {
  if (!graph.ok()) {
    const Problem& problem = graph.problem();
    FUZZ_REQUIRE(!problem.code.empty() && !problem.detail.empty());
    FUZZ_REQUIRE(is_plain_text(problem.detail) && is_plain_text(problem.pointer));
    FUZZ_REQUIRE(problem.detail.size() < 2000);
    return;
  }
  const std::string json = write_json(*graph);
  const auto from_json = parse_json(json);
  FUZZ_REQUIRE(from_json.ok() && write_json(*from_json) == json);
  const auto cbor = write_cbor(*graph);
  const auto from_cbor = parse_cbor(cbor);
  FUZZ_REQUIRE(from_cbor.ok() && write_cbor(*from_cbor) == cbor);
  const NormalGraph normal = normalise(*graph);
  FUZZ_REQUIRE(normal.graph.size() <= graph->size());
  FUZZ_REQUIRE(normalise(normal.graph).id == normal.id);
  FUZZ_REQUIRE(normalise(*from_json).id == normal.id && normalise(*from_cbor).id == normal.id);
}

}  // namespace quarry::graph
