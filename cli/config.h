// Where the service is and who is asking: from the config file, then the environment, then flags; later ones win.
#pragma once

#include <filesystem>
#include <string>

#include "common/result.h"

namespace quarry::cli {

struct Config {
  std::string server;     ///< "https://host:port"
  std::string api_key;    ///< qk_live_...; never printed
  std::string authority;  ///< PEM file of the CA to trust; empty: the system's
};

/// $XDG_CONFIG_HOME/quarry/config.json, else ~/.config/quarry/config.json.
std::filesystem::path default_config_path();

/// Reads `path` (absent is fine unless `required`), then QUARRY_SERVER, QUARRY_API_KEY, QUARRY_AUTHORITY. An unknown
/// key in the file is a Problem that names the nearest known one.
Result<Config> load_config(const std::filesystem::path& path, bool required);

/// Writes the file with mode 0600 through a temporary name.
Status save_config(const std::filesystem::path& path, const Config& config);

/// The known word nearest to `word` by edit distance, or empty when none is near.
std::string nearest(const std::string& word, std::initializer_list<std::string> known);

}  // namespace quarry::cli
