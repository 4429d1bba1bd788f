// Finds CUDA and HIP devices and opens one by its selector.
#include "engine/device/gpu/gpu.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "engine/device/gpu/compilers.h"
#include "engine/device/gpu/driver.h"
#include "engine/device/select.h"

namespace quarry::device {

namespace {

using gpu::Library;
using gpu::Vendor;

constexpr uint64_t kDriversShare = 16;  // of the memory, for contexts, code and other programs: one part in so many
constexpr int kLeastCapability = 7;     // Volta; clang 19 and NVRTC 12 compile for nothing much older

struct Card {
  DeviceInfo info;
  int major = 0, minor = 0;  // compute capability
};

// "gfx1100" of the n-th GPU, from the kernel: the library tells it only in a struct that changed between versions.
std::string amd_architecture(int number) {
  std::map<int, std::string> found;  // by node
  std::error_code error;
  for (const auto& node : std::filesystem::directory_iterator("/sys/class/kfd/kfd/topology/nodes", error)) {
    std::ifstream file(node.path() / "properties");
    std::string word;
    unsigned version = 0;
    while (file >> word)
      if (word == "gfx_target_version") file >> version;
    if (version == 0) continue;  // a processor
    char text[32];
    std::snprintf(text, sizeof text, "gfx%u%x%x", version / 10'000, version / 100 % 100, version % 100);
    found[std::atoi(node.path().filename().c_str())] = text;
  }
  for (const auto& [node, text] : found)
    if (number-- == 0) return text;
  return "";
}

std::string card_of(const Library& library, gpu::DeviceNumber device) {
  char text[64] = {};
  unsigned domain = 0, bus = 0, slot = 0, function = 0;
  if (library.call.device_address(text, sizeof text, device) != 0 ||
      std::sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3)
    return "";
  return pci_address(domain, bus, slot, function);
}

Card describe(const Library& library, const Vendor& vendor, int number) {
  Card card;
  card.info.selector = std::string(vendor.backend) + ":" + std::to_string(number);
  gpu::DeviceNumber device = -1;
  char name[256] = {};
  size_t memory = 0;
  int units = 0;
  const gpu::EntryPoints& call = library.call;
  const gpu::Attributes& attributes = vendor.attributes;
  if (call.device_at(&device, number) != 0 || call.device_name(name, sizeof name - 1, device) != 0 ||
      call.device_memory(&memory, device) != 0 ||
      call.device_attribute(&units, attributes.compute_units, device) != 0 ||
      call.device_attribute(&card.major, attributes.capability_major, device) != 0 ||
      call.device_attribute(&card.minor, attributes.capability_minor, device) != 0) {
    card.info.left_out = "the driver does not describe it";
    return card;
  }
  Properties& properties = card.info.properties;
  properties.name = name;
  properties.backend = vendor.backend;
  properties.driver =
      std::string(vendor.maker == gpu::Maker::Nvidia ? "CUDA" : "HIP") + " driver " + std::to_string(library.version);
  properties.memory_bytes = memory - memory / kDriversShare;
  properties.max_allocation_bytes = properties.memory_bytes;
  properties.compute_units = static_cast<uint32_t>(std::max(1, units));
  properties.is_gpu = true;
  properties.card = card_of(library, device);
  if (vendor.maker == gpu::Maker::Nvidia && card.major < kLeastCapability)
    card.info.left_out = "its compute capability is " + std::to_string(card.major) + "." + std::to_string(card.minor) +
                         "; 7.0 is the oldest that works";
  return card;
}

std::vector<Card> find_cards(const Library& library, const Vendor& vendor) {
  int count = 0;
  if (library.call.device_count(&count) != 0) count = 0;
  std::vector<Card> cards;
  for (int number = 0; number < count; ++number) cards.push_back(describe(library, vendor, number));
  return cards;
}

Result<std::unique_ptr<gpu::TextCompiler>> compiler_for(const Vendor& vendor, const Card& card, int number) {
  return vendor.maker == gpu::Maker::Nvidia ? gpu::cuda_compiler(card.major, card.minor)
                                            : gpu::hip_compiler(amd_architecture(number));
}

}  // namespace

std::vector<DeviceInfo> survey_gpus(const Vendor& vendor) {
  const auto library = gpu::load_library(vendor);
  if (!library.ok()) return {{vendor.backend, {}, library.problem().detail}};
  std::vector<DeviceInfo> devices;
  for (const Card& card : find_cards(**library, vendor)) {
    const int number = static_cast<int>(devices.size());
    devices.push_back(card.info);
    if (!devices.back().left_out.empty()) continue;
    if (const auto compiler = compiler_for(vendor, card, number); !compiler.ok())
      devices.back().left_out = compiler.problem().detail;
  }
  if (devices.empty()) devices.push_back({vendor.backend, {}, "the driver finds no device"});
  return devices;
}

Result<std::unique_ptr<Driver>> open_gpu_driver(const Vendor& vendor, std::string_view selector,
                                                const OpenOptions& options) {
  QUARRY_ASSIGN(auto library, gpu::load_library(vendor));
  const std::vector<Card> cards = find_cards(*library, vendor);
  std::vector<DeviceInfo> devices;
  for (const Card& card : cards) devices.push_back(card.info);
  QUARRY_ASSIGN(const size_t place, select_device(devices, selector, "The driver finds no device."));
  if (!devices[place].left_out.empty())
    return Problem{"device_error", devices[place].selector + ": " + devices[place].left_out, "", ""};
  // The driver keeps what it has assembled, by default under $HOME, which a worker may not have.
  if (!options.cache_directory.empty()) setenv("CUDA_CACHE_PATH", (options.cache_directory + "/cuda").c_str(), 0);
  const int number = static_cast<int>(place);
  QUARRY_ASSIGN(auto compiler, compiler_for(vendor, cards[place], number));
  return gpu::GpuDriver::open(std::move(library), vendor, number, devices[place].properties, std::move(compiler));
}

}  // namespace quarry::device
