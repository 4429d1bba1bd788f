// A step as launches that a driver repeats by itself: with the order that its memory demands and no other, copies by
// row, and a last launch that counts step and slot on.
#pragma once

#include <memory>

#include "engine/device/compiled/module_cache.h"
#include "engine/device/device.h"
#include "engine/device/driver.h"

namespace quarry::device {

class Recorder {
 public:
  /// Compiles the launches that every step has. `counters` holds a StepCounters.
  static Result<std::unique_ptr<Recorder>> make(Driver& driver, ModuleCache& modules, std::shared_ptr<Buffer> counters);

  /// The step's executables are CompiledExecutables of this driver.
  Result<std::shared_ptr<Recording>> record(const BoundStep& step) const;
  Status replay(Recording& recording, size_t part) const;

 private:
  explicit Recorder(Driver& driver) : driver_(driver) {}

  Driver& driver_;
  std::shared_ptr<Buffer> counters_;
  std::shared_ptr<Entry> copy_row_, count_on_;
};

}  // namespace quarry::device
