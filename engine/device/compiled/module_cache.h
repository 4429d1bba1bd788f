// Text -> module, through what this process has built already and a folder of binaries. The text is kept beside its
// binary, for debugging.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/device/driver.h"

namespace quarry::device {

class ModuleCache {
 public:
  /// Empty directory: nothing is kept on disk. The driver must outlive the cache.
  ModuleCache(Driver& driver, std::string directory);

  /// The same text gives the same module for as long as somebody holds it. "compile_failed" carries the compiler's log
  /// and the path of the text.
  Result<std::shared_ptr<Module>> module(const std::string& text);

  /// Of the file that keeps the text; empty where nothing is kept on disk.
  std::string path_of(const std::string& text) const;

 private:
  Result<std::shared_ptr<Module>> through_disk(const std::string& text, const std::string& stem);
  std::shared_ptr<Module> from_binary(const std::string& path);  ///< null if there is none, or the driver refuses it

  Driver& driver_;
  std::string directory_;
  std::map<std::string, std::weak_ptr<Module>> modules_;  // by the hash of capabilities and text
};

}  // namespace quarry::device
