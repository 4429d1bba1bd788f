// What is known of a device before anything runs on it.
#pragma once

#include <cstdint>
#include <string>

namespace quarry::device {

struct Properties {
  std::string name;                   ///< "interpreter", "pthread-AMD EPYC", ...
  std::string backend;                ///< "interpreter", "opencl", "cuda", "hip"
  std::string driver;                 ///< vendor and version of driver and compiler: part of every binary's cache key
  uint64_t memory_bytes = 0;          ///< what all runs together may have
  uint64_t max_allocation_bytes = 0;  ///< no value of a run may be larger
  uint32_t compute_units = 0;
  bool is_gpu = false;
  std::string card;  ///< a GPU's PCI address, "0000:3b:00.0": the same through each backend; empty if not known
};

}  // namespace quarry::device
