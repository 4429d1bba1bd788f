#include "tests/tensor/evaluate.h"

#include <cstring>
#include <stdexcept>

#include "engine/device/device.h"
#include "engine/run/byte_source.h"

namespace quarry::test {

using graph::DType;
using tensor::Tensor;

namespace {

constexpr uint64_t kPlenty = uint64_t{1} << 32;

void require(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.problem().detail);
}

std::vector<std::byte> bytes_of(const Elements& elements, DType dtype) {
  const auto size = static_cast<size_t>(graph::byte_size(dtype));
  std::vector<std::byte> bytes(elements.size() * size);
  for (size_t i = 0; i < elements.size(); ++i) {
    const uint64_t bits = graph::from_double(dtype, elements[i]);
    std::memcpy(bytes.data() + i * size, &bits, size);
  }
  return bytes;
}

Elements elements_of(const std::vector<std::byte>& bytes, DType dtype) {
  const auto size = static_cast<size_t>(graph::byte_size(dtype));
  Elements elements(bytes.size() / size);
  for (size_t i = 0; i < elements.size(); ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * size, size);
    elements[i] = graph::to_double(dtype, bits);
  }
  return elements;
}

}  // namespace

struct Evaluator::State {
  std::unique_ptr<device::Device> device;
  tensor::Built built;
  std::vector<Tensor> outputs;
  std::unique_ptr<run::Run> run;
};

Evaluator::Evaluator(const std::vector<Tensor>& outputs) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.device = device::open_device("interpreter", {}).value();
  state.outputs = outputs;
  std::vector<std::pair<std::string, Tensor>> named;
  run::Program program;
  for (size_t i = 0; i < outputs.size(); ++i) {
    named.emplace_back("out" + std::to_string(i), outputs[i]);
    program.keep.push_back({named.back().first, run::KeepMode::Last});
  }
  state.built = tensor::build(named);
  program.graph = std::make_shared<const graph::NormalGraph>(graph::normalise(state.built.graph));
  auto prepared = run::prepare(*state.device, std::move(program), kPlenty);
  if (!prepared.ok()) throw std::runtime_error(prepared.problem().detail);
  state.run = std::move(prepared).value();
}

Evaluator::~Evaluator() = default;

std::vector<Elements> Evaluator::operator()(const std::vector<std::pair<Tensor, Elements>>& inputs, uint64_t seed) {
  State& state = *state_;
  require(state.run->reset(seed));
  for (const tensor::BuiltInput& input : state.built.inputs) {
    for (const auto& [tensor, elements] : inputs) {
      if (&tensor.node() != &input.tensor.node()) continue;
      require(state.run->set_input(input.name, run::memory_source(bytes_of(elements, tensor.dtype()))));
    }
  }
  const auto advanced = state.run->advance(0, 1, {});
  if (!advanced.ok()) throw std::runtime_error(advanced.problem().detail);
  std::vector<Elements> results;
  for (size_t i = 0; i < state.outputs.size(); ++i) {
    const auto kept = state.run->kept("out" + std::to_string(i));
    if (!kept.ok()) throw std::runtime_error(kept.problem().detail);
    results.push_back(elements_of(*kept, state.outputs[i].dtype()));
  }
  return results;
}

std::vector<Elements> evaluate(const std::vector<Tensor>& outputs,
                               const std::vector<std::pair<Tensor, Elements>>& inputs) {
  return Evaluator(outputs)(inputs);
}

}  // namespace quarry::test
