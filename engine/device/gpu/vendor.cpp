#include "engine/device/gpu/vendor.h"

#include <dlfcn.h>

#include <string_view>

namespace quarry::device::gpu {

namespace {

enum class Column { Cuda, Hip };

// Fills the table; returns the symbols of required functions that the library lacks.
std::string find_all(void* library, Maker maker, EntryPoints& table) {
  std::string missing;
  const auto find = [&](auto& function, Need need, const char* cuda_symbol, const char* hip_symbol) {
    const char* symbol = maker == Maker::Nvidia ? cuda_symbol : hip_symbol;
    if (symbol == std::string_view("none")) return;
    void* found = dlsym(library, symbol);
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
    if (found == nullptr && need == Need::Required) missing += (missing.empty() ? "" : ", ") + std::string(symbol);
  };
#define QUARRY_ROW(name, need, cuda_symbol, hip_symbol, ...) find(table.name, Need::need, #cuda_symbol, #hip_symbol);
  QUARRY_GPU_ENTRY_POINTS(QUARRY_ROW)
#undef QUARRY_ROW
  return missing;
}

Problem broken(const std::string& detail) {
  return {"driver_broken", detail, "", "Install the vendor's driver again, or a newer one."};
}

}  // namespace

const Vendor& cuda() {
  // clang-19 writes PTX 8.3, which the drivers of CUDA 12.3 are the first to read.
  static const Vendor vendor{.maker = Maker::Nvidia,
                             .backend = "cuda",
                             .libraries = {"libcuda.so.1"},
                             .least_version = 12'030,
                             .least_version_text = "CUDA 12.3 (driver 545)",
                             .dialect = codegen::Dialect::Cuda,
                             .attributes = {16, 1, 8, 10, 75, 76}};
  return vendor;
}

const Vendor& hip() {
  // The numbers of attributes are those of ROCm 5 and later.
  static const Vendor vendor{.maker = Maker::Amd,
                             .backend = "hip",
                             .libraries = {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"},
                             .least_version = 50'000'000,
                             .least_version_text = "ROCm 5.0",
                             .dialect = codegen::Dialect::Hip,
                             .attributes = {63, 56, 74, 87, 23, 61}};
  return vendor;
}

Result<std::shared_ptr<const Library>> load_library(const Vendor& vendor) {
  void* opened = nullptr;
  std::string reason;
  for (const std::string& name : vendor.libraries) {
    if (opened = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL); opened != nullptr) break;
    const char* text = dlerror();
    if (reason.empty()) reason = text != nullptr ? text : name;
  }
  if (opened == nullptr) return Problem{"driver_missing", reason, "", "Install the vendor's driver."};
  auto library = std::make_shared<Library>();
  if (const std::string missing = find_all(opened, vendor.maker, library->call); !missing.empty())
    return broken("the driver's library has no " + missing);
  if (const Error error = library->call.init(0); error != 0 && error != kNoDevice)
    return broken(problem_of(*library, "the driver's start", error).detail);
  if (const Error error = library->call.driver_version(&library->version); error != 0)
    return broken(problem_of(*library, "the driver's version", error).detail);
  if (library->version < vendor.least_version)
    return Problem{"driver_too_old",
                   "the driver's version is " + std::to_string(library->version) + "; " + vendor.least_version_text +
                       " is the oldest that works",
                   "", "Install a newer driver."};
  return std::shared_ptr<const Library>(std::move(library));
}

Problem problem_of(const Library& library, const char* call, Error error) {
  const char* text = nullptr;
  if (library.call.error_text == nullptr || library.call.error_text(error, &text) != 0) text = nullptr;
  return {error == kOutOfMemory ? "out_of_memory" : "device_error",
          std::string(call) + " failed: " + (text != nullptr ? text : "error") + " (" + std::to_string(error) + ")", "",
          ""};
}

}  // namespace quarry::device::gpu
