// The compiler cache of a slice, as it is looked over before an executor may load from it.
//
// The tenants of a slice share it. That is safe as long as executors behave, because a kernel's file is named by the
// hash of driver, device, flags and text: a tenant chooses a graph, and never a file's name or its bytes. An executor
// that a driver's bug has handed over to its tenant could write any file, so what lies here is sealed: a file that was
// here when an executor started has to be, byte for byte, the same when the next one starts. A file that is new is
// kept only when the executor that wrote it ended without a fault.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace quarry::worker {

enum class NewFiles {
  Keep,
  Drop,  ///< the last executor crashed or broke the protocol
};

/// Removes from `directory` every file whose bytes are not those that `seal_file` names, and everything that is no
/// file; then seals what is left. New files are dropped also after another boot of the machine, because files are not
/// synced. `owner` gets the files when the caller is root. No executor of the slice may run meanwhile. Reads the whole
/// cache: at most 1 GiB, about a second.
Status seal_compiler_cache(const std::string& directory, const std::string& seal_file, NewFiles new_files,
                           const std::string& boot_id, uint32_t owner);

}  // namespace quarry::worker
