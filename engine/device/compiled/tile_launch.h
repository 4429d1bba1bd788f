// A kernel by a template instead of the loops: chosen for a loop nest, compiled, bound to buffers, launched.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/device/driver.h"
#include "engine/lower/loop_nest.h"
#include "engine/tile/print_cuda.h"

namespace quarry::device {

class TileLaunch {
 public:
  /// Nothing if no template takes the nest, or the driver runs no tile programs. Deterministic.
  static std::optional<TileLaunch> choose(const lower::LoopNest& nest, const Capabilities& capabilities,
                                          uint64_t most_scratch_bytes);

  const std::string& text() const { return kernel_.text; }
  uint64_t scratch_bytes() const { return static_cast<uint64_t>(kernel_.workspace_bytes); }
  /// Before the first launch. `module` is of text().
  Status load(Driver& driver, Module& module);
  /// What computes the result, one call after the other.
  struct Bound {
    std::vector<BoundCall> calls;
    std::shared_ptr<Buffer> views;     ///< must outlive the calls
    std::shared_ptr<Buffer> counters;  ///< of a split contraction, else null; each call leaves them zeroed
    double microseconds = 0;           ///< that all of them are predicted to take
  };
  Result<Bound> bind(Driver& driver, const BufferRange& result, std::span<const BufferRange> reads,
                     const BufferRange& scratch);

 private:
  /// The descriptions of all views, in device memory.
  Result<std::shared_ptr<Buffer>> views(Driver& driver, const BufferRange& result, std::span<const BufferRange> reads);

  tile::CudaKernel kernel_;
  std::vector<tile::TensorMap> maps_;
  std::vector<graph::DType> dtypes_;  ///< of the program's arguments
  uint64_t blocks_ = 1, pieces_ = 1;
  double microseconds_ = 0;
  std::shared_ptr<Entry> entry_;
  std::shared_ptr<Buffer> counters_;
  /// By the descriptions' bytes, which hold the addresses: a step's buffers alternate, and come again.
  std::map<std::vector<std::byte>, std::shared_ptr<Buffer>> views_;
};

}  // namespace quarry::device
