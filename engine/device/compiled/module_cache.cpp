#include "engine/device/compiled/module_cache.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <span>
#include <vector>

#include "common/sha256.h"
#include "engine/device/compiled/disk_cache.h"

namespace quarry::device {

namespace {

constexpr size_t kMostModules = 4096;  // remembered before those that nobody holds are forgotten

std::vector<char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Another process may read it at any time: written aside, then renamed. A cache that cannot be written only costs time.
void write_file(const std::string& path, std::span<const char> bytes) {
  const std::string temporary = path + "." + std::to_string(getpid());
  {
    std::ofstream file(temporary, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) {
      std::remove(temporary.c_str());
      return;
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) std::remove(temporary.c_str());
}

std::string hash_of(const Capabilities& capabilities, const std::string& text) {
  const Properties& properties = capabilities.properties;
  const std::string key = properties.driver + "\n" + properties.name + "\n" + std::to_string(properties.compute_units) +
                          "\n" + capabilities.compiler + "\n" + text;
  return to_hex(sha256(std::as_bytes(std::span(key))));
}

}  // namespace

ModuleCache::ModuleCache(Driver& driver, std::string directory) : driver_(driver), directory_(std::move(directory)) {
  if (directory_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(directory_, ignored);
}

Result<std::shared_ptr<Module>> ModuleCache::module(const std::string& text) {
  const std::string hash = hash_of(driver_.capabilities(), text);
  if (const auto found = modules_.find(hash); found != modules_.end()) {
    if (std::shared_ptr<Module> module = found->second.lock()) return module;
  }
  QUARRY_ASSIGN(std::shared_ptr<Module> module,
                directory_.empty() ? driver_.build(text) : through_disk(text, directory_ + "/" + hash));
  if (modules_.size() >= kMostModules)
    std::erase_if(modules_, [](const auto& entry) { return entry.second.expired(); });
  modules_[hash] = module;
  return module;
}

std::string ModuleCache::path_of(const std::string& text) const {
  const Capabilities& capabilities = driver_.capabilities();
  return directory_.empty() ? "" : directory_ + "/" + hash_of(capabilities, text) + capabilities.text_suffix;
}

Result<std::shared_ptr<Module>> ModuleCache::through_disk(const std::string& text, const std::string& stem) {
  if (std::shared_ptr<Module> cached = from_binary(stem + ".bin")) return cached;
  trim_cache_now_and_then(directory_);
  const std::string kept_text = stem + driver_.capabilities().text_suffix;
  write_file(kept_text, text);  // before it is compiled: a compiler that fails must leave it behind
  auto module = driver_.build(text);
  if (!module.ok()) {
    Problem problem = module.problem();
    problem.detail += "\nThe text is kept in " + kept_text + ".";
    return problem;
  }
  if (const std::vector<char> binary = (*module)->binary(); !binary.empty()) write_file(stem + ".bin", binary);
  return module;
}

std::shared_ptr<Module> ModuleCache::from_binary(const std::string& path) {
  const std::vector<char> binary = read_file(path);
  if (binary.empty()) return nullptr;
  auto module = driver_.load(binary);
  if (!module.ok()) return nullptr;
  std::error_code ignored;
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now(), ignored);  // used: trim_cache
  return std::move(module).value();
}

}  // namespace quarry::device
