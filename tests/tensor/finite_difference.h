// Gradients against finite differences, in f64 on the interpreter.
//
//   check_gradient([](auto& x) { return tensor::matmul(x[0], x[1]); }, {{3, 5}, {5, 2}});
//
// draws random inputs of these shapes, makes one number of the result (its sum with random weights), and compares
// gradient() with the central difference of every element of every input.
#pragma once

#include <functional>
#include <random>
#include <vector>

#include "engine/tensor/gradient.h"
#include "tests/tensor/evaluate.h"

namespace quarry::test {

using Function = std::function<tensor::Tensor(const std::vector<tensor::Tensor>&)>;

/// Where inputs are drawn from: uniformly in [low, high), at least `apart` away from each of `kinks`, where the
/// function has no derivative. Elements of one input differ by more than the step of the difference (maxima need it).
struct Inputs {
  double low = -2, high = 2;
  std::vector<double> kinks = {};
  double apart = 0.01;
  double tolerance = 1e-6;  ///< relative to the greater of 1 and the gradient
  uint64_t seed = 1;
};

/// Fails the running test case (Catch2), naming input, element and both values, where a gradient is wrong.
void check_gradient(const Function& function, const std::vector<tensor::Shape>& shapes, const Inputs& inputs = {});
/// The same at given values.
void check_gradient_at(const Function& function, const std::vector<tensor::Shape>& shapes,
                       const std::vector<Elements>& values, double tolerance = 1e-6);

/// `count` numbers as `inputs` says.
Elements draw(size_t count, const Inputs& inputs, std::mt19937_64& random);

}  // namespace quarry::test
