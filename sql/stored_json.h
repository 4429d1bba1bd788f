// The JSON kept in text columns: resolved inputs, produced values, event payloads, rate cards.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "wire/messages.h"

namespace quarry::sql {

using Inputs = std::map<std::string, std::vector<wire::Extent>>;
struct StoredValue {
  Digest blob{};
  uint64_t bytes = 0;
};
using Values = std::map<std::string, StoredValue>;

std::string inputs_to_json(const Inputs& inputs);
Inputs inputs_from_json(std::string_view text);
std::string values_to_json(const std::vector<wire::Produced>& produced);
Values values_from_json(std::string_view text);
std::string rate_card_to_json(const std::map<std::string, double>& rate_card);

/// Names of the outputs that the job document keeps "each" step: their value is the concatenation of the segments'.
std::vector<std::string> outputs_kept_each(std::string_view document);

/// {"segment": 1, "attempt": 2, ...} from names and JSON texts of numbers, or strings.
struct PayloadField {
  const char* name;
  std::string value;
  bool is_string = false;
};
std::string payload(std::initializer_list<PayloadField> fields);

}  // namespace quarry::sql
