#include "engine/device/compiled/tile_launch.h"

#include <algorithm>
#include <cmath>

#include "engine/templates/choose.h"
#include "engine/templates/classify.h"

namespace quarry::device {

namespace {

constexpr double kMostLaunchUs = 100'000;  // a cancel acts between launches
constexpr size_t kMostViews = 64;

BoxView view_of(const tile::TensorMap& map, const BufferRange& array) {
  const auto size = static_cast<uint64_t>(graph::byte_size(map.dtype));
  BoxView view{.array = array, .dtype = map.dtype, .offset = static_cast<uint64_t>(map.offset) * size};
  view.extents.assign(map.extents.begin(), map.extents.end());
  for (size_t i = 1; i < map.strides.size(); ++i) view.strides.push_back(static_cast<uint64_t>(map.strides[i]) * size);
  for (int64_t extent : map.box) view.box.push_back(static_cast<uint32_t>(extent));
  view.swizzle_bytes = map.swizzle == tile::Swizzle::B128 ? 128 : map.swizzle == tile::Swizzle::B64 ? 64 : 0;
  return view;
}

}  // namespace

std::optional<TileLaunch> TileLaunch::choose(const lower::LoopNest& nest, const Capabilities& capabilities,
                                             uint64_t most_scratch_bytes) {
  if (!capabilities.runs_tile_programs) return std::nullopt;
  const auto problem = templates::classify(nest);
  if (!problem) return std::nullopt;
  const templates::DeviceClass device{.units = capabilities.target.compute_units,
                                      .most_workspace = static_cast<int64_t>(most_scratch_bytes)};
  const auto choice = templates::choose(*problem, device);
  if (!choice) return std::nullopt;
  const auto program = templates::contraction(choice->swap ? templates::swapped(*problem) : *problem, choice->schedule);
  TileLaunch launch;
  launch.kernel_ = tile::print_cuda(*program);
  launch.maps_ = program->maps;
  for (const tile::Argument& argument : program->arguments) launch.dtypes_.push_back(argument.dtype);
  launch.blocks_ = static_cast<uint64_t>(choice->blocks);
  launch.microseconds_ = choice->microseconds;
  launch.pieces_ = static_cast<uint64_t>(std::ceil(std::max(1.0, choice->microseconds / kMostLaunchUs)));
  return launch;
}

Status TileLaunch::load(Driver& driver, Module& module) {
  QUARRY_ASSIGN(entry_, module.entry(kernel_.entry));
  if (kernel_.counter_bytes == 0) return {};
  const auto bytes = static_cast<uint64_t>(kernel_.counter_bytes);
  QUARRY_ASSIGN(counters_, driver.allocate(bytes));
  return driver.zero({counters_.get(), 0, bytes});
}

Result<std::shared_ptr<Buffer>> TileLaunch::views(Driver& driver, const BufferRange& result,
                                                  std::span<const BufferRange> reads) {
  std::vector<std::byte> bytes;
  for (const tile::TensorMap& map : maps_) {
    const BufferRange& array = map.argument == 0 ? result : reads[static_cast<size_t>(map.argument) - 1];
    QUARRY_ASSIGN(const BoxDescription description, driver.describe(view_of(map, array)));
    bytes.insert(bytes.end(), description.begin(), description.end());
  }
  if (const auto known = views_.find(bytes); known != views_.end()) return known->second;
  if (views_.size() >= kMostViews) {
    QUARRY_TRY(driver.wait());  // launches may still read them
    views_.clear();
  }
  QUARRY_ASSIGN(std::shared_ptr<Buffer> buffer, driver.allocate(bytes.size()));
  QUARRY_TRY(driver.copy_in({buffer.get(), 0, bytes.size()}, bytes));
  return views_.emplace(std::move(bytes), std::move(buffer)).first->second;
}

Result<TileLaunch::Bound> TileLaunch::bind(Driver& driver, const BufferRange& result,
                                           std::span<const BufferRange> reads, const BufferRange& scratch) {
  Bound bound{{}, nullptr, counters_, microseconds_};
  QUARRY_ASSIGN(bound.views, views(driver, result, reads));
  std::vector<Argument> arguments{Argument::address(bound.views.get())};
  for (int number : kernel_.buffers) {
    const auto at = static_cast<size_t>(number);
    const BufferRange& range = number == 0 ? result : reads[at - 1];
    arguments.push_back(Argument::address(range.buffer));
    arguments.push_back(Argument::number(static_cast<int64_t>(range.offset) / graph::byte_size(dtypes_[at])));
  }
  if (kernel_.workspace_bytes > 0) {
    arguments.push_back(Argument::address(scratch.buffer));
    arguments.push_back(Argument::number(static_cast<int64_t>(scratch.offset)));
    arguments.push_back(Argument::address(counters_.get()));
  }
  const size_t range_at = arguments.size();
  arguments.resize(range_at + 2);
  for (int32_t count : kernel_.counts) arguments.push_back(Argument::number(count));
  const auto tiles = static_cast<uint64_t>(kernel_.tiles), step = (tiles + pieces_ - 1) / pieces_;
  for (uint64_t first = 0; first < tiles; first += step) {
    const uint64_t end = std::min(tiles, first + step);
    arguments[range_at] = Argument::number(static_cast<int32_t>(first));
    arguments[range_at + 1] = Argument::number(static_cast<int32_t>(end));
    const Groups groups{0, std::min(blocks_, end - first), kernel_.threads, kernel_.shared_bytes};
    bound.calls.push_back({entry_, groups, arguments, {}});
  }
  return bound;
}

}  // namespace quarry::device
