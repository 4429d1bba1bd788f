// The launches that compute one stored value.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/codegen/codegen.h"
#include "engine/device/compiled/tile_launch.h"
#include "engine/device/device.h"
#include "engine/device/driver.h"

namespace quarry::device {

class CompiledExecutable final : public Executable {
 public:
  struct Launch {
    codegen::Entry shape;
    std::shared_ptr<Entry> entry;
  };
  uint64_t scratch_bytes() const override { return scratch; }

  /// In the order of codegen::Entry. `counters` holds a StepCounters.
  std::vector<Argument> arguments(const codegen::Entry& shape, const BufferRange& result,
                                  std::span<const BufferRange> reads, const BufferRange& scratch_range,
                                  Buffer* counters) const;

  std::string name;  ///< for messages: what it computes, and where its text is kept
  std::vector<Launch> launches;
  std::optional<TileLaunch> tile;  ///< if set, instead of the launches
  uint64_t scratch = 0;            ///< the parts of a split reduction
  int64_t result_element_bytes = 1, scratch_element_bytes = 1;
  std::vector<int64_t> read_element_bytes;
};

inline bool reads_counters(const codegen::Entry& shape) {
  return shape.reads_step || shape.reads_seed;
}

}  // namespace quarry::device
