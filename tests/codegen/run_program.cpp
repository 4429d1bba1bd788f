#include "tests/codegen/run_program.h"

#include "engine/device/device.h"

#include <stdexcept>

namespace quarry::test {

using device::Argument;

namespace {

template <class T>
T require(Result<T> result, const codegen::Program& program) {
  if (!result.ok()) throw std::runtime_error(result.problem().detail + "\n" + program.source);
  return std::move(result).value();
}
void require(const Status& status, const codegen::Program& program) {
  if (!status.ok()) throw std::runtime_error(status.problem().detail + "\n" + program.source);
}

}  // namespace

Bytes run_program(device::Driver& driver, const codegen::Program& program, const std::vector<Bytes>& reads,
                  size_t result_bytes) {
  const auto built = require(driver.build(program.source), program);
  const auto result = require(driver.allocate(result_bytes), program);
  const auto scratch = require(driver.allocate(program.scratch_bytes), program);
  std::vector<std::shared_ptr<device::Buffer>> inputs;
  for (const Bytes& read : reads) {
    inputs.push_back(require(driver.allocate(read.size()), program));
    require(driver.copy_in({inputs.back().get(), 0, read.size()}, read), program);
  }
  const device::StepCounters step{.step = 3, .slot = 0, .seed = 17};
  const auto counters = require(driver.allocate(sizeof step), program);
  require(driver.copy_in({counters.get(), 0, sizeof step}, std::as_bytes(std::span(&step, 1))), program);
  for (const codegen::Entry& shape : program.entries) {
    const auto entry = require(built->entry(shape.name), program);
    std::vector<Argument> arguments;
    const auto add = [&](const std::shared_ptr<device::Buffer>& buffer) {
      arguments.push_back(Argument::address(buffer.get()));
      arguments.push_back(Argument::number(int64_t{0}));
    };
    add(shape.writes_scratch ? scratch : result);
    if (shape.reads_scratch) add(scratch);
    for (const auto& input : inputs) {
      if (!shape.reads_scratch) add(input);
    }
    if (shape.reads_step || shape.reads_seed) arguments.push_back(Argument::address(counters.get()));
    require(driver.launch(*entry, {0, shape.work_items / shape.local, shape.local}, arguments), program);
  }
  Bytes bytes(result_bytes);
  require(driver.copy_out(bytes, {result.get(), 0, result_bytes}), program);
  return bytes;
}

}  // namespace quarry::test
