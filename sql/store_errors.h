// What every query may throw, and the pages in which lists are read.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace quarry::sql {

struct StoreUnavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A page's cursor is not one that this store gave out.
struct BadCursor : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Page {
  std::string after;  ///< opaque cursor, empty for the first page; BadCursor is thrown for what is none
  int32_t limit = 50;
};

}  // namespace quarry::sql
