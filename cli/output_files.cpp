#include "cli/output_files.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace quarry::cli {

namespace fs = std::filesystem;

Result<fs::path> output_file(const fs::path& directory, const std::string& name) {
  if (name.find('/') != std::string::npos || name.starts_with('.'))
    return Problem{"cannot_write", "the output \"" + name + "\" has no safe file name", "",
                   "Fetch it through the API, or give the graph's output another name."};
  return directory / (name + ".safetensors");
}

Status prepare_outputs(const fs::path& directory, const std::vector<std::string>& names, bool force) {
  for (const std::string& name : names) {
    QUARRY_ASSIGN(const fs::path file, output_file(directory, name));
    std::error_code absent;
    if (!force && fs::exists(fs::symlink_status(file, absent)))
      return Problem{"file_exists", file.string() + " is there already", "",
                     "Write elsewhere with --to, or over it with --force."};
  }
  std::error_code error;
  fs::create_directories(directory, error);
  std::string probe = (directory / ".quarry-XXXXXX").string();  // the one sure sign that files can be made here
  const int made = error ? -1 : mkstemp(probe.data());
  if (made < 0)
    return Problem{"cannot_write",
                   "cannot write in " + directory.string() + ": " + (error ? error.message() : std::strerror(errno)),
                   "", "Name another directory with --to."};
  close(made);
  unlink(probe.c_str());
  return {};
}

}  // namespace quarry::cli
