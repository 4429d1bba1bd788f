#pragma once

#include <string>

namespace quarry::worker {

/// The kernel's name of this boot of the machine. Files that were not synced may be torn when it has changed.
std::string current_boot_id();

}  // namespace quarry::worker
