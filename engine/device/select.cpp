#include "engine/device/select.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "common/text.h"

namespace quarry::device {

namespace {

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

std::optional<size_t> find(const std::vector<DeviceInfo>& devices, std::string_view which) {
  if (const auto number = parse_number<size_t>(which))
    return *number < devices.size() ? std::optional(*number) : std::nullopt;
  for (size_t i = 0; i < devices.size(); ++i) {
    if (lower_case(devices[i].properties.name).find(lower_case(which)) != std::string::npos) return i;
  }
  return std::nullopt;
}

}  // namespace

Result<size_t> select_device(const std::vector<DeviceInfo>& devices, std::string_view selector, const char* none) {
  const size_t colon = selector.find(':');
  if (colon == std::string_view::npos) {
    if (!devices.empty()) return size_t{0};
  } else if (const auto place = find(devices, selector.substr(colon + 1))) {
    return *place;
  }
  std::string known;
  for (const DeviceInfo& one : devices)
    known += (known.empty() ? "" : ", ") + one.selector + " (" + one.properties.name + ")";
  return Problem{"unknown_device", "there is no device '" + std::string(selector) + "'", "",
                 known.empty() ? none : "Use one of: " + known + "."};
}

std::string pci_address(unsigned domain, unsigned bus, unsigned device, unsigned function) {
  char text[32];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", domain, bus, device, function);
  return text;
}

}  // namespace quarry::device
