// Runs what tensors say on the interpreter, the engine's oracle.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/graph/number.h"
#include "engine/run/run.h"
#include "engine/tensor/build.h"

namespace quarry::test {

inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The elements of a tensor, row-major, as doubles; i64 beyond 2^53 is rounded.
using Elements = std::vector<double>;

/// A program of tensors, compiled once and evaluated for as many inputs as needed.
class Evaluator {
 public:
  explicit Evaluator(const std::vector<tensor::Tensor>& outputs);
  ~Evaluator();

  /// The outputs, for the values of the INPUTs by their tensors (converted to their dtypes). Always step 0.
  std::vector<Elements> operator()(const std::vector<std::pair<tensor::Tensor, Elements>>& inputs, uint64_t seed = 0);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of tensors without inputs, or with inputs that are only evaluated once.
std::vector<Elements> evaluate(const std::vector<tensor::Tensor>& outputs,
                               const std::vector<std::pair<tensor::Tensor, Elements>>& inputs = {});
inline Elements evaluate(const tensor::Tensor& output,
                         const std::vector<std::pair<tensor::Tensor, Elements>>& inputs = {}) {
  return evaluate(std::vector{output}, inputs).front();
}

}  // namespace quarry::test
