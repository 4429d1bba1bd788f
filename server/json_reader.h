// Takes a request body apart without building a tree of it: the members of an object as raw text, to be read by whoever
// owns their form (a job document by engine/graph). A batch of a thousand jobs is scanned once and each job parsed
// once.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace quarry::server {

/// Raw JSON of each member. Refuses what is not one object, repeated members and names that are not in `allowed`; the
/// insides of values are only matched by their brackets and quotes. `pointer` is the JSON Pointer of the object itself.
Result<std::map<std::string, std::string_view>> read_object(std::string_view json,
                                                            std::initializer_list<std::string_view> allowed,
                                                            const std::string& pointer = "");
Result<std::vector<std::string_view>> read_array(std::string_view json, size_t most, const std::string& pointer);
/// A JSON string, decoded.
Result<std::string> read_string(std::string_view json, const std::string& pointer);

}  // namespace quarry::server
