// What is known of a device before anything runs on it.
#pragma once

#include <cstdint>
#include <string>

namespace quarry::device {

struct Properties {
  std::string name;           ///< "interpreter", "pthread-AMD EPYC", ...
  std::string backend;        ///< "interpreter", "opencl"
  std::string driver;         ///< vendor and version of driver and compiler: part of every binary's cache key
  uint64_t memory_bytes = 0;  ///< what one run may have: its values lie in one allocation
  uint64_t max_allocation_bytes = 0;
  uint32_t compute_units = 0;
  bool is_gpu = false;
};

}  // namespace quarry::device
