// Runs a generated program on a driver: what the tests of this folder compare with the interpreter.
#pragma once

#include <memory>
#include <vector>

#include "engine/codegen/codegen.h"
#include "engine/device/driver.h"

namespace quarry::test {

using Bytes = std::vector<std::byte>;

/// The result's bytes. Throws std::runtime_error with the problem's words and the source.
Bytes run_program(device::Driver& driver, const codegen::Program& program, const std::vector<Bytes>& reads,
                  size_t result_bytes);

/// Texts in C++ of one of the GPUs' dialects, run on this machine: compiled for it by clang with a prelude that stands
/// for the GPU's. The items of a group run in turn, each until it waits for the others.
std::unique_ptr<device::Driver> host_driver();

}  // namespace quarry::test
