#include "engine/run/kept_outputs.h"

#include <algorithm>
#include <new>

#include "common/text.h"
#include "engine/meter/memory_layout.h"

namespace quarry::run {
namespace {

// A ring of 1,024 losses is flushed well under ten times a second by steps of 100 us; 4 MiB is copied out in a
// millisecond.
constexpr uint64_t kMaxSlots = 1024;
constexpr uint64_t kMaxRingBytes = 4 << 20;

}  // namespace

Result<KeptOutputs> KeptOutputs::make(device::Device& device, const std::map<std::string, uint64_t>& value_bytes,
                                      uint64_t spare_bytes) {
  KeptOutputs outputs;
  outputs.device_ = &device;
  const uint64_t room = std::min(spare_bytes, device.properties().max_allocation_bytes);
  const uint64_t share = value_bytes.empty() ? 0 : std::min(kMaxRingBytes, room / value_bytes.size());
  outputs.slots_ = value_bytes.empty() ? 0 : kMaxSlots;
  for (const auto& [name, bytes] : value_bytes)
    if (bytes > 0) outputs.slots_ = std::min(outputs.slots_, share / meter::aligned(bytes));
  for (const auto& [name, bytes] : value_bytes) {
    Kept& kept = outputs.kept_[name];
    kept.bytes = bytes;
    kept.slot_bytes = meter::aligned(bytes);
    kept.offset = outputs.ring_bytes_;
    outputs.ring_bytes_ += outputs.slots_ * kept.slot_bytes;
    outputs.staging_.resize(std::max<size_t>(outputs.staging_.size(), outputs.slots_ * kept.slot_bytes));
  }
  if (outputs.ring_bytes_ > 0) {
    QUARRY_ASSIGN(outputs.rings_, device.allocate(outputs.ring_bytes_));
  }
  return outputs;
}

Status KeptOutputs::reserve(int64_t steps) {
  for (auto& [name, kept] : kept_) {
    const uint64_t room = kept.values.max_size() - kept.values.size();
    try {
      if (kept.bytes != 0 && static_cast<uint64_t>(steps) > room / kept.bytes) throw std::bad_alloc();
      kept.values.reserve(kept.values.size() + static_cast<uint64_t>(steps) * kept.bytes);
    } catch (const std::bad_alloc&) {
      return Problem{"out_of_memory",
                     "output " + quote(name) + " of " + std::to_string(kept.bytes) + " bytes cannot be kept for " +
                         std::to_string(steps) + " steps on this host",
                     "", "Keep only its last value, or run fewer steps."};
    }
  }
  return {};
}

std::optional<device::BoundCopy> KeptOutputs::copy(const std::string& output, device::BufferRange from) const {
  const Kept& kept = kept_.at(output);
  if (slots_ == 0 || kept.bytes == 0) return std::nullopt;
  return device::BoundCopy{.to = {rings_.get(), kept.offset, kept.bytes}, .from = from, .to_stride = kept.slot_bytes};
}

Status KeptOutputs::fetch(const std::string& output, device::BufferRange from) {
  Kept& kept = kept_.at(output);
  if (kept.bytes == 0 || slots_ > 0) return {};
  const size_t end = kept.values.size();
  kept.values.resize(end + kept.bytes);
  return device_->copy_out(std::span(kept.values).subspan(end), from);
}

Status KeptOutputs::flush() {
  for (auto& [name, kept] : kept_) QUARRY_TRY(flush(kept));
  used_ = 0;
  return {};
}

Status KeptOutputs::flush(Kept& kept) {
  if (used_ == 0 || kept.bytes == 0) return {};
  const std::span<std::byte> fetched = std::span(staging_).first(used_ * kept.slot_bytes);
  QUARRY_TRY(device_->copy_out(fetched, {rings_.get(), kept.offset, fetched.size()}));
  for (uint64_t i = 0; i < used_; ++i) {
    const auto value = fetched.subspan(i * kept.slot_bytes, kept.bytes);
    kept.values.insert(kept.values.end(), value.begin(), value.end());
  }
  return {};
}

const std::vector<std::byte>* KeptOutputs::values(const std::string& output) const {
  const auto kept = kept_.find(output);
  return kept == kept_.end() ? nullptr : &kept->second.values;
}

Status KeptOutputs::clear() {
  for (auto& [name, kept] : kept_) kept.values.clear();
  used_ = 0;
  return rings_ ? device_->zero({rings_.get(), 0, ring_bytes_}) : Status();
}

}  // namespace quarry::run
