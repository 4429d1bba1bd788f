// What a compiled device needs of a vendor's driver: memory, code and launches of one opened device or slice. A driver
// knows no graph and no loop nest; compiled/ turns kernels into text and launches, once for all drivers.
//
// Threading: one thread at a time per Driver. Work is queued in order; copy_in, copy, zero and launch return before
// they finish, copy_out and wait block. Failure: Problems with the codes of device.h. Everything that a driver hands
// out must not outlive it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/codegen/codegen.h"
#include "engine/device/memory.h"
#include "engine/device/properties.h"

namespace quarry::device {

struct Capabilities {
  Properties properties;
  codegen::Target target;
  std::string compiler;             ///< compiler and flags: with the properties and the text a binary's cache key
  bool records = false;             ///< record() and replay() are to be had
  const char* text_suffix = ".cl";  ///< of the files in which texts are kept beside their binaries
  bool runs_tile_programs = false;  ///< takes the texts of tile::print_cuda, and describes views in boxes
};

/// One kernel of a module, ready to be launched. Keeps its module.
class Entry {
 public:
  virtual ~Entry() = default;
};

/// Loaded code.
class Module {
 public:
  virtual ~Module() = default;
  virtual Result<std::shared_ptr<Entry>> entry(const std::string& name) = 0;
  /// What Driver::load takes in another process of the same capabilities. Empty where the driver keeps binaries itself.
  virtual std::vector<char> binary() const = 0;
};

/// One argument of a launch: the address of a buffer, or a number.
struct Argument {
  Buffer* buffer = nullptr;  ///< if not null, the argument is its address
  uint64_t bits = 0;         ///< the number; of an address the bytes past the buffer's beginning, 0 for OpenCL
  uint32_t bytes = 8;

  static Argument address(Buffer* buffer, uint64_t offset = 0) { return {buffer, offset, 8}; }
  template <class T>
  static Argument number(T value) {
    static_assert(sizeof value <= sizeof(uint64_t));
    Argument argument{nullptr, 0, sizeof value};
    std::memcpy(&argument.bits, &value, sizeof value);
    return argument;
  }
};

/// The groups of work-items that one launch runs: [first, first + count) of those that the text was written for.
struct Groups {
  uint64_t first = 0, count = 0;
  uint32_t items = 1;         ///< work-items in a group
  uint32_t shared_bytes = 0;  ///< of a group, beyond those that the text declares
};

/// A view of a buffer that hardware copies in boxes: element i is at `offset` + sum of strides * i, in bytes.
struct BoxView {
  BufferRange array;
  graph::DType dtype = graph::DType::F32;
  uint64_t offset = 0;
  std::vector<uint64_t> extents;  ///< innermost first
  std::vector<uint64_t> strides;  ///< of all axes but the innermost, whose elements touch
  std::vector<uint32_t> box;
  uint32_t swizzle_bytes = 0;  ///< 0, 64 or 128
};
using BoxDescription = std::array<std::byte, 128>;  ///< what kernels find in memory

/// A launch of a recording.
struct BoundCall {
  std::shared_ptr<Entry> entry;
  Groups groups;
  std::vector<Argument> arguments;  ///< their buffers must outlive the recording
  std::vector<size_t> after;        ///< earlier calls of the recording that must have ended before it begins
};

/// Launches that the driver can repeat with one call.
class RecordedCalls {
 public:
  virtual ~RecordedCalls() = default;
};

class Driver {
 public:
  virtual ~Driver() = default;
  virtual const Capabilities& capabilities() const = 0;
  virtual Result<std::shared_ptr<Buffer>> allocate(uint64_t bytes) = 0;
  virtual Status copy_in(BufferRange to, std::span<const std::byte> from) = 0;  ///< `from` may be reused on return
  virtual Status copy_out(std::span<std::byte> to, BufferRange from) = 0;
  virtual Status copy(BufferRange to, BufferRange from) = 0;
  virtual Status zero(BufferRange range) = 0;
  /// "compile_failed" carries the compiler's log.
  virtual Result<std::shared_ptr<Module>> build(const std::string& text) = 0;
  /// Refuses bytes that are no binary of Module::binary() for these capabilities.
  virtual Result<std::shared_ptr<Module>> load(std::span<const char> binary) = 0;
  virtual Status launch(Entry& entry, const Groups& groups, std::span<const Argument> arguments) = 0;
  virtual Status wait() = 0;
  /// Where runs_tile_programs. The description holds for as long as the buffer lives.
  virtual Result<BoxDescription> describe(const BoxView&) {
    return Problem{"device_error", "this driver does not describe views in boxes", "", ""};
  }
  virtual Result<std::shared_ptr<RecordedCalls>> record(std::span<const BoundCall>) { return records_nothing(); }
  virtual Status replay(RecordedCalls&) { return records_nothing(); }

 private:
  static Problem records_nothing() { return {"device_error", "this driver records nothing", "", ""}; }
};

}  // namespace quarry::device
