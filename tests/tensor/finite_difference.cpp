#include "tests/tensor/finite_difference.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/tensor/arithmetic.h"

namespace quarry::test {

using graph::DType;
using tensor::Op;
using tensor::Shape;
using tensor::Tensor;

namespace {

// The error of a central difference is about step^2 for functions of moderate curvature, its rounding 1e-16 / step.
constexpr double kStep = 1e-5;

/// One number that every element of the result has its own part in.
Tensor weighted_sum(const Tensor& result) {
  Tensor weights = tensor::cast(tensor::iota(DType::I32, {result.elements()}, 0), DType::F64);
  // Different for neighbours, and not of one sign: (7 i mod 13) - 5.5, in the ops at hand.
  weights = weights * 7.0;
  const Tensor whole = tensor::cast(tensor::cast(weights / 13.0, DType::I32), DType::F64);
  weights = (weights - whole * 13.0 - 5.5) * 0.25;
  const Tensor flat = tensor::reshape(tensor::cast(result, DType::F64), {result.elements()});
  return tensor::reshape(tensor::reduce(Op::ReduceSum, flat * weights, {0}), {});
}

std::vector<std::pair<Tensor, Elements>> paired(const std::vector<Tensor>& inputs,
                                                const std::vector<Elements>& values) {
  std::vector<std::pair<Tensor, Elements>> pairs;
  for (size_t i = 0; i < inputs.size(); ++i) pairs.emplace_back(inputs[i], values[i]);
  return pairs;
}

bool is_close(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * std::max({1.0, std::abs(a), std::abs(b)});
}

}  // namespace

Elements draw(size_t count, const Inputs& inputs, std::mt19937_64& random) {
  Elements elements;
  std::uniform_real_distribution<double> uniform(inputs.low, inputs.high);
  const auto is_allowed = [&](double x) {
    for (double kink : inputs.kinks) {
      if (std::abs(x - kink) < inputs.apart) return false;
    }
    for (double other : elements) {
      if (std::abs(x - other) < 4 * kStep) return false;
    }
    return true;
  };
  while (elements.size() < count) {
    if (const double x = uniform(random); is_allowed(x)) elements.push_back(x);
  }
  return elements;
}

void check_gradient(const Function& function, const std::vector<Shape>& shapes, const Inputs& inputs) {
  std::mt19937_64 random(inputs.seed);
  std::vector<Elements> values;
  for (const Shape& shape : shapes) {
    size_t count = 1;
    for (int64_t size : shape) count *= static_cast<size_t>(size);
    values.push_back(draw(count, inputs, random));
  }
  check_gradient_at(function, shapes, values, inputs.tolerance);
}

void check_gradient_at(const Function& function, const std::vector<Shape>& shapes, const std::vector<Elements>& values,
                       double tolerance) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes) inputs.push_back(tensor::input("", DType::F64, shape));
  const Tensor loss = weighted_sum(function(inputs));
  Evaluator loss_at({loss});
  const std::vector<Elements> gradients = evaluate(tensor::gradient(loss, inputs), paired(inputs, values));
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t element = 0; element < values[i].size(); ++element) {
      std::vector<Elements> moved = values;
      moved[i][element] = values[i][element] + kStep;
      const double above = loss_at(paired(inputs, moved))[0][0];
      moved[i][element] = values[i][element] - kStep;
      const double below = loss_at(paired(inputs, moved))[0][0];
      const double difference = (above - below) / (2 * kStep);
      INFO("input " << i << " " << tensor::text(inputs[i]) << " element " << element << " = " << values[i][element]
                    << ": gradient " << gradients[i][element] << ", finite difference " << difference);
      REQUIRE(is_close(gradients[i][element], difference, tolerance));
    }
  }
}

}  // namespace quarry::test
