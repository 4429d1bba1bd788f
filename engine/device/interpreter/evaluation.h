// A kernel as the interpreter runs it: its reduces one after the other, each into an array, then its result.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "common/result.h"
#include "engine/device/device.h"
#include "engine/device/interpreter/expression.h"

namespace quarry::device::interpreter {

class Evaluation final : public Executable {
 public:
  /// "compile_failed" when the kernel's reads do not suffice to compute its result.
  static Result<std::unique_ptr<Evaluation>> plan(const lower::Kernel& kernel);

  /// Fills the result's array from those of the kernel's reads, which it must not overlap. "out_of_memory" when a
  /// reduce inside the kernel does not fit the host.
  Status run(std::byte* result, std::span<const std::byte* const> reads, const LaunchScalars& scalars) const;

  const lower::Kernel& kernel() const { return kernel_; }

 private:
  /// How one array is computed. A reduce has its operand, a gather table and index, anything else itself as expression.
  struct Stage {
    graph::NodeId node;
    Expression expression;
    std::optional<View> reduction;  ///< of a reduce: its operand as [result..., reduced...]
    std::optional<graph::Gather> gather;
    std::optional<Expression> index;  ///< of a gather
  };
  explicit Evaluation(const lower::Kernel& kernel) : kernel_(kernel) {}
  Stage stage_of(graph::NodeId node, std::vector<bool> loaded) const;
  void fill(const Stage& stage, std::byte* array, const Arrays& arrays, const LaunchScalars& scalars) const;
  void fill_elementwise(const Stage& stage, std::byte* array, const Arrays& arrays, const LaunchScalars& scalars) const;
  void fill_reduce(const Stage& stage, std::byte* array, const Arrays& arrays, const LaunchScalars& scalars) const;
  void fill_gather(const Stage& stage, std::byte* array, const Arrays& arrays, const LaunchScalars& scalars) const;

  lower::Kernel kernel_;
  std::vector<Stage> stages_;  ///< the kernel's result last
};

}  // namespace quarry::device::interpreter
