// Small programs that several tests of this folder run.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/device.h"
#include "engine/graph/graph.h"
#include "engine/run/byte_source.h"
#include "engine/run/run.h"
#include "tests/support/devices.h"

namespace quarry::test {

inline std::shared_ptr<const graph::NormalGraph> normal(graph::Builder& builder) {
  auto graph = builder.finish();
  if (!graph) throw std::runtime_error(graph.problem().detail);
  return std::make_shared<const graph::NormalGraph>(graph::normalise(*graph));
}

template <class T>
std::shared_ptr<run::ByteSource> source(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return run::memory_source(std::move(bytes));
}

template <class T>
std::vector<T> values(const Result<std::vector<std::byte>>& bytes) {
  if (!bytes) throw std::runtime_error(bytes.problem().detail);
  std::vector<T> out(bytes->size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), bytes->data(), bytes->size());
  return out;
}

inline std::unique_ptr<device::Device> interpreter() {
  return device::open_device("interpreter", {}).value();
}

/// Every device present, by selector; opened once for all tests.
inline const std::map<std::string, std::unique_ptr<device::Device>>& devices_here() {
  static const auto devices = [] {
    std::map<std::string, std::unique_ptr<device::Device>> opened;
    for (const std::string& selector : device_selectors())
      opened.emplace(selector, device::open_device(selector, {}).value());
    return opened;
  }();
  return devices;
}

/// A step of gradient descent that has all a step can have: w carried, v carried from an input that is itself carried
/// (last step's w), a fed batch, random numbers, the step number, and a loss. Shapes are small; every value is f32.
inline std::shared_ptr<const graph::NormalGraph> training_step() {
  using graph::DType;
  using graph::Op;
  graph::Builder b;
  const int64_t w_shape[] = {3, 2}, x_shape[] = {4, 3}, wide[] = {4, 3, 2}, scalar_in_three[] = {1, 1, 1},
                flat[] = {3, 2};
  const int64_t last[] = {4, 3, 1}, front[] = {1, 3, 2};
  const auto w = b.input("w", DType::F32, w_shape), x = b.input("x", DType::F32, x_shape);
  const auto before = b.input("before", DType::F32, w_shape);
  const int64_t sum_first[] = {0}, all[] = {0, 1, 2};
  const auto product = b.binary(Op::Mul, b.expand(b.reshape(x, last), wide), b.expand(b.reshape(w, front), wide));
  const auto gradient = b.reshape(b.reduce(Op::ReduceSum, product, sum_first), flat);
  const auto loss = b.reshape(b.reduce(Op::ReduceSum, product, all), {});
  const auto step = b.cast(b.step(), DType::F32);
  const auto scale = b.expand(b.reshape(step, std::span(scalar_in_three).first(2)), flat);
  const auto noise = b.binary(Op::Mul, b.rand(DType::F32, flat, 5), b.constant_f64(DType::F32, flat, 0.125));
  const auto moved = b.binary(Op::Sub, w, b.binary(Op::Mul, gradient, b.constant_f64(DType::F32, flat, 0.01)));
  const auto pulled = b.binary(Op::Add, moved, b.binary(Op::Mul, before, noise));
  b.output("w_next", b.binary(Op::Add, pulled, b.binary(Op::Mul, scale, noise)));
  b.output("w_now", w);
  b.output("loss", loss);
  return normal(b);
}

inline run::Program training_program(int64_t steps) {
  run::Program program;
  program.graph = training_step();
  program.seed = 42;
  program.steps = steps;
  program.carry = {{"w", "w_next"}, {"before", "w_now"}};
  program.feed = {{"x", 3, true}};
  program.keep = {{"loss", run::KeepMode::Each}, {"w_next", run::KeepMode::Last}};
  return program;
}

inline std::vector<float> batches() {
  std::vector<float> x(3 * 4 * 3);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) * 0.25f - 0.5f;
  return x;
}
inline const std::vector<float> kStart{1, -2, 3, 0.5f, 0.25f, -1};

inline constexpr uint64_t kPlenty = uint64_t{1} << 30;

}  // namespace quarry::test
