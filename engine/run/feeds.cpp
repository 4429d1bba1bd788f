#include "engine/run/feeds.h"

#include <algorithm>

#include "engine/meter/memory_layout.h"

namespace quarry::run {

namespace {

// A larger feed is copied in while steps run; and so is one of which a run surely needs but a part.
constexpr uint64_t kMostRowsBytes = uint64_t{64} << 20;
constexpr uint64_t kPieceBytes = 4 << 20;
constexpr uint64_t kRowAlignment = 4;  // of device::BoundCopy's strides

}  // namespace

void normalise(graph::DType dtype, std::span<std::byte> bytes) {
  if (dtype != graph::DType::Bool) return;
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(byte != std::byte{0});
}

Result<Feeds> Feeds::make(device::Device& device, const graph::Graph& graph, const Program& program,
                          uint64_t spare_bytes) {
  Feeds made;
  made.device_ = &device;
  uint64_t left = std::min(spare_bytes, kMostRowsBytes);
  for (const run::Feed& fed : program.feed) {
    Feed feed;
    feed.input = graph.find_input(fed.input);
    feed.dtype = graph[feed.input].dtype;
    feed.count = fed.count;
    feed.slice_bytes = meter::value_bytes(graph, feed.input);
    feed.row_bytes = (feed.slice_bytes + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
    const auto rows = static_cast<uint64_t>(feed.count);
    const bool all_needed = feed.count <= program.first_step + program.steps;
    if (feed.row_bytes > 0 && rows <= left / feed.row_bytes && all_needed) {
      const uint64_t bytes = meter::aligned(rows * feed.row_bytes);
      if (bytes <= std::min(left, device.properties().max_allocation_bytes)) {
        QUARRY_ASSIGN(feed.rows, device.allocate(bytes));
        left -= bytes;
      }
    }
    made.feeds_.push_back(std::move(feed));
  }
  return made;
}

const Feeds::Feed* Feeds::find(graph::NodeId input) const {
  const auto found = std::ranges::find(feeds_, input, &Feed::input);
  return found == feeds_.end() ? nullptr : &*found;
}

Status Feeds::set_source(graph::NodeId input, std::shared_ptr<ByteSource> source) {
  Feed& feed = *std::ranges::find(feeds_, input, &Feed::input);
  feed.source = std::move(source);
  staging_.resize(std::max<size_t>(staging_.size(), feed.row_bytes));
  return feed.rows ? load_rows(feed) : Status();
}

Status Feeds::load_rows(const Feed& feed) {
  const uint64_t rows_a_piece = std::max<uint64_t>(1, kPieceBytes / feed.row_bytes);
  staging_.resize(std::max<size_t>(staging_.size(), rows_a_piece * feed.row_bytes));
  const auto count = static_cast<uint64_t>(feed.count);
  for (uint64_t row = 0; row < count;) {
    const uint64_t rows = std::min(rows_a_piece, count - row);
    for (uint64_t i = 0; i < rows; ++i) {
      const std::span<std::byte> slice = std::span(staging_).subspan(i * feed.row_bytes, feed.slice_bytes);
      QUARRY_TRY(feed.source->read((row + i) * feed.slice_bytes, slice));
      normalise(feed.dtype, slice);
    }
    const std::span<std::byte> piece = std::span(staging_).first(rows * feed.row_bytes);
    QUARRY_TRY(device_->copy_in({feed.rows.get(), row * feed.row_bytes, piece.size()}, piece));
    row += rows;
  }
  return {};
}

void Feeds::bind(graph::NodeId input, int parity, device::BufferRange slice, std::vector<device::BoundCopy>& copies) {
  Feed& feed = *std::ranges::find(feeds_, input, &Feed::input);
  feed.slices[parity] = slice;
  if (feed.rows)
    copies.push_back(
        {.to = slice, .from = {feed.rows.get(), 0, slice.bytes}, .from_stride = feed.row_bytes, .rows = feed.count});
}

Status Feeds::copy_in(int64_t step, int parity) {
  for (const Feed& feed : feeds_) {
    const std::span<std::byte> slice = std::span(staging_).first(feed.slice_bytes);
    if (slice.empty() || feed.rows) continue;
    const auto number = static_cast<uint64_t>(step % feed.count);
    QUARRY_TRY(feed.source->read(number * slice.size(), slice));
    normalise(feed.dtype, slice);
    QUARRY_TRY(device_->copy_in(feed.slices[parity], slice));
  }
  return {};
}

Status Feeds::clear() {
  for (Feed& feed : feeds_) {
    feed.source.reset();
    if (feed.rows) QUARRY_TRY(device_->zero({feed.rows.get(), 0, feed.rows->bytes()}));
  }
  return {};
}

uint64_t Feeds::bytes() const {
  uint64_t sum = 0;
  for (const Feed& feed : feeds_) sum += feed.rows ? feed.rows->bytes() : 0;
  return sum;
}

}  // namespace quarry::run
