// Where results are written: checked before anything is computed or fetched, and never over a file that is there.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/result.h"

namespace quarry::cli {

/// DIRECTORY/NAME.safetensors; a Problem for an output whose file would lie elsewhere or be hidden.
Result<std::filesystem::path> output_file(const std::filesystem::path& directory, const std::string& name);

/// Makes the directory and sees that every output can be written there: `cannot_write` where the directory takes no
/// file, `file_exists` where a file has the name and `force` is not set.
Status prepare_outputs(const std::filesystem::path& directory, const std::vector<std::string>& names, bool force);

}  // namespace quarry::cli
