// What differs between the vendors whose drivers share one shape: the names of libraries and functions, the numbers of
// attributes, the dialect and the compilers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/codegen/codegen.h"
#include "engine/device/gpu/entry_points.h"

namespace quarry::device::gpu {

enum class Maker : uint8_t { Nvidia, Amd };

struct Attributes {
  int compute_units, items_per_group, shared_bytes, subgroup, capability_major, capability_minor;
};

struct Vendor {
  Maker maker;
  const char* backend;                 ///< "cuda": the first part of its selectors
  std::vector<std::string> libraries;  ///< names of the driver's library; the first that is found is taken
  int least_version;                   ///< of the driver
  const char* least_version_text;
  codegen::Dialect dialect;
  Attributes attributes;
};
const Vendor& cuda();
const Vendor& hip();

/// A loaded driver library. Never unloaded: drivers keep threads that run in it.
struct Library {
  EntryPoints call;
  int version = 0;
};

/// "driver_missing", "driver_broken" (a required function is missing, or it fails to start), "driver_too_old": the
/// detail says which library, function or version.
Result<std::shared_ptr<const Library>> load_library(const Vendor& vendor);

/// "cuLaunchKernel failed: CUDA_ERROR_ILLEGAL_ADDRESS (700)"; out of memory has its own code.
Problem problem_of(const Library& library, const char* call, Error error);

}  // namespace quarry::device::gpu
