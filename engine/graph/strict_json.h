// Small JSON documents from strangers, as a value: no duplicate keys, bounded nesting and size.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "common/result.h"

namespace quarry::graph {

/// Refuses text over kMaxDocumentBytes, nesting over kMaxNesting, a key that is twice in one object, and anything that
/// is not JSON. The pointers of problems start with `base`.
Result<nlohmann::json> parse_strict_json(std::string_view text, std::string_view base = "");

/// nlohmann's words for a syntax error without its prefix, cut and made printable.
std::string syntax_problem(size_t position, std::string_view what);

}  // namespace quarry::graph
