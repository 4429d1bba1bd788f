#include "engine/device/compiled/pieces.h"

#include <algorithm>

namespace quarry::device {

namespace {

// What one compute unit surely does in 250 ms.
constexpr double kProcessorFlopsPerLaunchAndUnit = 1e9, kGpuFlopsPerLaunchAndUnit = 5e9;

}  // namespace

double share_of_one_launch(const codegen::Entry& entry, const Properties& properties) {
  const double each = properties.is_gpu ? kGpuFlopsPerLaunchAndUnit : kProcessorFlopsPerLaunchAndUnit;
  return entry.flops / (each * std::max(1u, properties.compute_units));
}

std::vector<Groups> pieces_of(const codegen::Entry& entry, const Properties& properties) {
  const uint64_t units = std::max(1u, properties.compute_units);
  const uint64_t groups = entry.work_items / entry.local;
  // A processor's work-items are few and long: a piece must still keep every unit busy.
  const uint64_t most = properties.is_gpu ? groups : std::max<uint64_t>(1, groups / (4 * units));
  const uint64_t wanted = std::clamp<uint64_t>(
      static_cast<uint64_t>(std::min(share_of_one_launch(entry, properties), 1e9)), 1, std::max<uint64_t>(1, most));
  const uint64_t share = (groups + wanted - 1) / wanted;
  std::vector<Groups> pieces;
  for (uint64_t first = 0; first < groups; first += share)
    pieces.push_back({first, std::min(share, groups - first), entry.local});
  return pieces;
}

}  // namespace quarry::device
