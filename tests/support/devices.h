// The devices that tests run on: all that are offered here, or those that QUARRY_TEST_DEVICES names
// ("cuda:0,opencl:0"), so that a card is tested through each of its drivers.
#pragma once

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "engine/device/device.h"

namespace quarry::test {

inline std::vector<std::string> device_selectors() {
  std::vector<std::string> selectors;
  if (const char* named = std::getenv("QUARRY_TEST_DEVICES")) {
    std::istringstream list(named);
    for (std::string selector; std::getline(list, selector, ',');) selectors.push_back(selector);
    return selectors;
  }
  for (const device::DeviceInfo& info : device::list_devices()) selectors.push_back(info.selector);
  return selectors;
}

}  // namespace quarry::test
