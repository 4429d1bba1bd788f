// The first OpenCL device there is, for tests that speak to the driver themselves.
#pragma once

#include <catch2/catch.hpp>

#include "engine/device/opencl/handle.h"

namespace quarry::test {

struct FirstDevice {
  FirstDevice() {
    cl_platform_id platform = nullptr;
    REQUIRE(clGetPlatformIDs(1, &platform, nullptr) == CL_SUCCESS);
    REQUIRE(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &id, nullptr) == CL_SUCCESS);
    context = device::opencl::Context(clCreateContext(nullptr, 1, &id, nullptr, nullptr, nullptr));
  }
  cl_device_id id = nullptr;
  device::opencl::Context context;
};

}  // namespace quarry::test
