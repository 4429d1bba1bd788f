// The whole input is the file. What is accepted must cover the file exactly, and must survive being written again.
#include <algorithm>

#include "common/text.h"
#include "engine/io/safetensors.h"
#include "tests/fuzz/require.h"

using namespace quarry;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto head_bytes = io::header_bytes(bytes, size);
  const auto parsed = io::parse_header(bytes, size);
  if (!parsed) {
    FUZZ_REQUIRE(!parsed.problem().code.empty() && !parsed.problem().detail.empty());
    FUZZ_REQUIRE(is_utf8(parsed.problem().detail) && is_utf8(parsed.problem().pointer));  // fit for an answer in JSON
    return 0;
  }
  FUZZ_REQUIRE(head_bytes.ok());
  std::vector<io::NamedTensor> tensors;
  uint64_t total = 0;
  for (const auto& [name, entry] : *parsed) {
    FUZZ_REQUIRE(entry.offset >= *head_bytes && entry.offset <= size && entry.bytes <= size - entry.offset);
    total += entry.bytes;
    tensors.push_back({name, entry.dtype, entry.shape, entry.bytes});
  }
  FUZZ_REQUIRE(*head_bytes + total == size);
  const auto written = io::write_header(tensors);
  const auto again = io::parse_header(written, written.size() + total);
  FUZZ_REQUIRE(again.ok() && again->size() == parsed->size());
  for (const auto& [name, entry] : *parsed) {
    const io::TensorEntry& same = again->at(name);
    FUZZ_REQUIRE(same.dtype == entry.dtype && same.shape == entry.shape && same.bytes == entry.bytes);
  }
  return 0;
}
