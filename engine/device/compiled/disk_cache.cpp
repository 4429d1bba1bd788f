#include "engine/device/compiled/disk_cache.h"

#include <algorithm>
#include <fstream>
#include <vector>

namespace quarry::device {

namespace fs = std::filesystem;

namespace {

struct Entry {
  fs::path path;
  fs::file_time_type used;
  uint64_t bytes = 0;
};

template <class Visit>
void for_each_in(const fs::path& folder, Visit visit) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) visit(*at);
}

/// A file with its time, or a folder with all that it holds and the latest time in it.
Entry entry_of(const fs::directory_entry& root) {
  std::error_code error;
  Entry entry{root.path(), root.last_write_time(error), 0};
  const auto add = [&](const fs::directory_entry& one) {
    std::error_code unreadable;
    const auto used = one.last_write_time(unreadable);
    if (!unreadable) entry.used = std::max(entry.used, used);
    const uint64_t bytes = one.is_regular_file(unreadable) ? one.file_size(unreadable) : 0;
    if (!unreadable) entry.bytes += bytes;
  };
  add(root);
  if (!root.is_directory(error)) return entry;
  for (fs::recursive_directory_iterator at(root.path(), error), end; !error && at != end; at.increment(error)) add(*at);
  return entry;
}

std::vector<Entry> entries_of(const fs::path& directory) {
  std::vector<Entry> entries;
  std::error_code error;
  for_each_in(directory, [&](const fs::directory_entry& one) {
    if (one.is_regular_file(error)) entries.push_back(entry_of(one));
  });
  for_each_in(directory / "pocl", [&](const fs::directory_entry& group) {
    if (group.is_regular_file(error)) entries.push_back(entry_of(group));
    for_each_in(group.path(), [&](const fs::directory_entry& program) { entries.push_back(entry_of(program)); });
  });
  return entries;
}

}  // namespace

void trim_cache(const fs::path& directory, uint64_t most_bytes) {
  std::vector<Entry> entries = entries_of(directory);
  uint64_t total = 0;
  for (const Entry& entry : entries) total += entry.bytes;
  if (total <= most_bytes) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (total <= most_bytes / 4 * 3) return;
    std::error_code error;
    fs::remove_all(entry.path, error);
    if (!error) total -= entry.bytes;
  }
}

void trim_cache_now_and_then(const fs::path& directory, uint64_t most_bytes) {
  const fs::path stamp = directory / "trimmed";
  const auto now = fs::file_time_type::clock::now();
  std::error_code missing;
  if (const auto last = fs::last_write_time(stamp, missing); !missing && now - last < kTrimEvery) return;
  std::ofstream(stamp, std::ios::trunc) << "its age is the time since this folder was last kept small\n";
  trim_cache(directory, most_bytes);
}

}  // namespace quarry::device
