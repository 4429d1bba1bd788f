#include "tests/fuzz/graph_properties.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quarry::graph::check_parsed(quarry::graph::parse_json({reinterpret_cast<const char*>(data), size}));
  return 0;
}
