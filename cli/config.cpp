#include "cli/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

namespace quarry::cli {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

Status read_fields(const nlohmann::json& file, const std::filesystem::path& path, Config& config) {
  if (!file.is_object())
    return Problem{"bad_config", path.string() + " does not hold a JSON object", "",
                   "Write {\"server\": \"https://...\"}."};
  for (const auto& [key, value] : file.items()) {
    std::string* field = key == "server"      ? &config.server
                         : key == "api_key"   ? &config.api_key
                         : key == "authority" ? &config.authority
                                              : nullptr;
    if (!field) {
      const std::string guess = nearest(key, {"server", "api_key", "authority"});
      return Problem{"bad_config", "unknown key \"" + key + "\" in " + path.string(), "/" + key,
                     guess.empty() ? "Known keys: server, api_key, authority." : "Did you mean \"" + guess + "\"?"};
    }
    if (!value.is_string())
      return Problem{"bad_config", "\"" + key + "\" in " + path.string() + " must be a string", "/" + key, ""};
    *field = value.get<std::string>();
  }
  return {};
}

}  // namespace

std::string nearest(const std::string& word, std::initializer_list<std::string> known) {
  const auto best = std::min_element(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  return best != known.end() && edit_distance(word, *best) <= 1 + word.size() / 2 ? *best : "";
}

std::filesystem::path default_config_path() {
  const std::string base = environment("XDG_CONFIG_HOME");
  const std::filesystem::path root =
      base.empty() ? std::filesystem::path(environment("HOME")) / ".config" : std::filesystem::path(base);
  return root / "quarry" / "config.json";
}

Result<Config> load_config(const std::filesystem::path& path, bool required) {
  Config config;
  if (std::ifstream in(path); in) {
    const auto file = nlohmann::json::parse(in, nullptr, false);
    if (file.is_discarded())
      return Problem{"bad_config", path.string() + " is not valid JSON", "", "Mend or remove the file."};
    QUARRY_TRY(read_fields(file, path, config));
  } else if (std::error_code error; required || std::filesystem::exists(path, error)) {
    return Problem{"bad_config", "cannot read " + path.string(), "",
                   required ? "Name an existing file with --config." : "Check its permissions."};
  }
  if (auto value = environment("QUARRY_SERVER"); !value.empty()) config.server = value;
  if (auto value = environment("QUARRY_API_KEY"); !value.empty()) config.api_key = value;
  if (auto value = environment("QUARRY_AUTHORITY"); !value.empty()) config.authority = value;
  return config;
}

Status save_config(const std::filesystem::path& path, const Config& config) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  const std::string text =
      nlohmann::json{{"server", config.server}, {"api_key", config.api_key}, {"authority", config.authority}}.dump(2) +
      "\n";
  const std::string temporary = path.string() + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) close(fd);
  if (!written || rename(temporary.c_str(), path.c_str()) != 0)
    return Problem{"cannot_write", "cannot write " + path.string(), "", "Check the directory's permissions."};
  return {};
}

}  // namespace quarry::cli
