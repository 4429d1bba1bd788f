// The fed inputs of a run. A feed that fits in what the plan left over lies on the device as a whole, and each step
// copies its row there; the slices of a larger one are copied in, one each step.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/device/device.h"
#include "engine/graph/graph.h"
#include "engine/run/run.h"

namespace quarry::run {

/// A stranger's bool may be any byte; the engine's is 0 or 1.
void normalise(graph::DType dtype, std::span<std::byte> bytes);

class Feeds {
 public:
  /// Takes at most `spare_bytes` of device memory.
  static Result<Feeds> make(device::Device& device, const graph::Graph& graph, const Program& program,
                            uint64_t spare_bytes);

  bool feeds(graph::NodeId input) const { return find(input) != nullptr; }
  /// Slices of a fed input.
  int64_t count(graph::NodeId input) const { return find(input)->count; }
  /// `source` has all slices; those of a feed that lies on the device are copied there now.
  Status set_source(graph::NodeId input, std::shared_ptr<ByteSource> source);
  /// What a step does to have its slice of `input` in `slice`; for copy_in() where it does nothing.
  void bind(graph::NodeId input, int parity, device::BufferRange slice, std::vector<device::BoundCopy>& copies);
  /// Copies the slices of a step to where bind() said, of those feeds that are not on the device.
  Status copy_in(int64_t step, int parity);

  /// Forgets all slices, here and on the device.
  Status clear();
  uint64_t bytes() const;

 private:
  struct Feed {
    graph::NodeId input = graph::kNoNode;
    graph::DType dtype = graph::DType::F32;
    int64_t count = 0;
    uint64_t slice_bytes = 0, row_bytes = 0;
    device::BufferRange slices[2];  // by parity
    std::shared_ptr<device::Buffer> rows;
    std::shared_ptr<ByteSource> source;
  };
  const Feed* find(graph::NodeId input) const;
  Status load_rows(const Feed& feed);

  device::Device* device_ = nullptr;
  std::vector<Feed> feeds_;
  std::vector<std::byte> staging_;
};

}  // namespace quarry::run
