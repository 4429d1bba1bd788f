#include "engine/tensor/axis_entries.h"

#include <algorithm>

namespace quarry::tensor {
namespace {

void require_count(size_t given, size_t count, const char* where, const char* what) {
  if (given <= 1 || given == count) return;
  throw TensorError(std::string(where) + ": " + std::to_string(given) + " entries for " + what + ", but there are " +
                    std::to_string(count) + " axes: give one for each, or one for all");
}

}  // namespace

Shape entries_of(const Shape& given, size_t count, int64_t otherwise, int64_t least, const char* where,
                 const char* what) {
  require_count(given.size(), count, where, what);
  const bool is_each = given.size() == count;
  Shape entries = is_each ? given : Shape(count, given.empty() ? otherwise : given[0]);
  for (int64_t entry : entries) {
    if (entry >= least && entry <= kMostEntry) continue;
    throw TensorError(std::string(where) + ": " + what + " is " + std::to_string(least) + " to 2^31, not " +
                      text(given));
  }
  return entries;
}

std::vector<Pair> entries_of(const std::vector<Pair>& given, size_t count, const char* where) {
  require_count(given.size(), count, where, "padding");
  for (const auto& [before, after] : given) {
    require_reachable(before, where, "padding");
    require_reachable(after, where, "padding");
  }
  if (given.size() == count) return given;
  return std::vector<Pair>(count, given.empty() ? Pair{0, 0} : given[0]);
}

std::vector<Pair> no_padding(const Tensor& x) {
  return std::vector<Pair>(x.shape().size(), Pair{0, 0});
}

std::vector<Pair> whole(const Tensor& x) {
  std::vector<Pair> ranges;
  for (int64_t size : x.shape()) ranges.push_back({0, size});
  return ranges;
}

Tensor fit(const Tensor& x, std::span<const int64_t> last_sizes) {
  std::vector<Pair> ranges = whole(x);
  std::vector<Pair> amounts = no_padding(x);
  const size_t lead = x.shape().size() - last_sizes.size();
  for (size_t i = 0; i < last_sizes.size(); ++i) {
    const int64_t size = x.shape()[lead + i];
    ranges[lead + i].after = std::min(size, last_sizes[i]);
    amounts[lead + i].after = std::max<int64_t>(last_sizes[i] - size, 0);
  }
  return pad(shrink(x, ranges), amounts);
}

Tensor spread(const Tensor& x, int64_t axis, int64_t step) {
  const auto at = static_cast<size_t>(axis);
  const int64_t size = x.shape()[at];
  if (step == 1 || size <= 1) return x;
  Shape apart = x.shape();
  apart.insert(apart.begin() + axis + 1, 1);
  const Tensor each_alone = reshape(x, apart);
  std::vector<Pair> amounts = no_padding(each_alone);
  amounts[at + 1].after = step - 1;
  Shape joined = x.shape();
  joined[at] = size * step;
  const Tensor filled = reshape(pad(each_alone, amounts), joined);
  std::vector<Pair> ranges = whole(filled);
  ranges[at].after = (size - 1) * step + 1;
  return shrink(filled, ranges);
}

void require_reachable(int64_t value, const char* where, const char* what) {
  if (value >= -kMostEntry && value <= kMostEntry) return;
  throw TensorError(std::string(where) + ": " + what + " is at most 2^31, not " + std::to_string(value));
}

int64_t count_of(std::span<const int64_t> sizes) {
  int64_t count = 1;
  for (int64_t size : sizes) {
    if (size == 0) return 0;
    if (__builtin_mul_overflow(count, size, &count)) count = INT64_MAX;
  }
  return count;
}

}  // namespace quarry::tensor
