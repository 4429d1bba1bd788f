// How the API's objects look to a person: quotes, jobs, bills. Each takes the JSON of docs/api.md.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/terminal.h"

namespace quarry::cli {

std::string quote_text(const Terminal& terminal, const nlohmann::json& quote);
std::string job_text(const Terminal& terminal, const nlohmann::json& job);
std::string jobs_table(const Terminal& terminal, const nlohmann::json& jobs);
std::string ledger_table(const Terminal& terminal, const nlohmann::json& lines);
std::string usage_table(const Terminal& terminal, const nlohmann::json& segments);

/// A count that the API sends as a decimal string, as FLOPs for a person.
std::string flops_text(const nlohmann::json& object, const char* field);
/// "[26, 26]" of a JSON shape.
std::string shape_text(const nlohmann::json& shape);
/// An integer sent as a number or as a decimal string.
int64_t integer(const nlohmann::json& object, const char* field);

}  // namespace quarry::cli
