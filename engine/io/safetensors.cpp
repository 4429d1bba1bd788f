#include "engine/io/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/text.h"
#include "common/uint128.h"
#include "engine/io/header_parser.h"

namespace quarry::io {
namespace {

using graph::DType;

constexpr uint64_t kLengthBytes = 8;

struct Spelling {
  const char* name;
  DType dtype;
};
constexpr std::array<Spelling, graph::kDTypes> kSpellings{{{"BOOL", DType::Bool},
                                                           {"I8", DType::I8},
                                                           {"U8", DType::U8},
                                                           {"I32", DType::I32},
                                                           {"I64", DType::I64},
                                                           {"F16", DType::F16},
                                                           {"BF16", DType::BF16},
                                                           {"F32", DType::F32},
                                                           {"F64", DType::F64}}};

std::optional<DType> parse_spelling(std::string_view name) {
  for (const Spelling& spelling : kSpellings)
    if (name == spelling.name) return spelling.dtype;
  return std::nullopt;
}

std::string_view spelling_of(DType dtype) {
  for (const Spelling& spelling : kSpellings)
    if (dtype == spelling.dtype) return spelling.name;
  return {};
}

uint64_t read_length(std::span<const std::byte> first_eight) {
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<uint64_t>(first_eight[static_cast<size_t>(i)]);
  return length;
}

Problem bad_tensor(const char* code, const DeclaredTensor& tensor, std::string_view field, std::string detail) {
  return {code, std::move(detail), json_pointer(json_pointer("", tensor.name), field),
          "Write the file again with a safetensors library."};
}

// nullopt when the size does not fit 64 bits: no file holds such a tensor.
std::optional<uint64_t> tensor_bytes(const DeclaredTensor& tensor, DType dtype) {
  UInt128 bytes = static_cast<UInt128>(graph::byte_size(dtype));
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end()) return 0;
  for (const int64_t size : tensor.shape) {
    bytes *= static_cast<UInt128>(size);
    if (bytes > UINT64_MAX) return std::nullopt;
  }
  return static_cast<uint64_t>(bytes);
}

Result<TensorEntry> check_tensor(const DeclaredTensor& tensor, uint64_t data_start, uint64_t data_bytes) {
  const std::optional<DType> dtype = parse_spelling(tensor.dtype);
  if (!dtype) {
    Problem problem = bad_tensor("unsupported_dtype", tensor, "dtype",
                                 "the element type " + quote(tensor.dtype) + " is not supported");
    problem.action = "Convert the tensor to BOOL, I8, U8, I32, I64, F16, BF16, F32 or F64.";
    return problem;
  }
  if (tensor.begin > tensor.end)
    return bad_tensor("safetensors_header", tensor, "data_offsets", "the data ends before it begins");
  if (tensor.end > data_bytes)
    return bad_tensor("safetensors_truncated", tensor, "data_offsets",
                      "the data ends at byte " + std::to_string(tensor.end) + " but the file has " +
                          std::to_string(data_bytes) + " bytes of data");
  const std::optional<uint64_t> bytes = tensor_bytes(tensor, *dtype);
  if (!bytes || *bytes != tensor.end - tensor.begin)
    return bad_tensor("safetensors_header", tensor, "data_offsets",
                      "the shape and dtype need " + (bytes ? std::to_string(*bytes) : "more than 2^64") +
                          " bytes but the offsets span " + std::to_string(tensor.end - tensor.begin));
  return TensorEntry{*dtype, tensor.shape, data_start + tensor.begin, *bytes};
}

// The format allows no byte of data that belongs to two tensors or to none: what is hashed and stored is what is used.
Status check_layout(std::vector<DeclaredTensor>& tensors, uint64_t data_bytes) {
  std::sort(tensors.begin(), tensors.end(), [](const DeclaredTensor& a, const DeclaredTensor& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t end = 0;
  for (const DeclaredTensor& tensor : tensors) {
    if (tensor.begin < end)
      return bad_tensor("safetensors_overlap", tensor, "data_offsets", "the data overlaps that of another tensor");
    if (tensor.begin > end)
      return bad_tensor("safetensors_header", tensor, "data_offsets",
                        "the " + std::to_string(tensor.begin - end) + " bytes before this tensor belong to none");
    end = tensor.end;
  }
  if (end != data_bytes)
    return Problem{"safetensors_header",
                   "the last " + std::to_string(data_bytes - end) + " bytes of the file belong to no tensor", "",
                   "Write the file again with a safetensors library."};
  return {};
}

}  // namespace

Result<uint64_t> header_bytes(std::span<const std::byte> first_eight, uint64_t file_bytes) {
  if (first_eight.size() < kLengthBytes || file_bytes < kLengthBytes)
    return Problem{"safetensors_truncated", "the file is shorter than the 8 bytes that give the header's length", "",
                   "Upload a safetensors file."};
  const uint64_t length = read_length(first_eight);
  if (length > kMaxHeaderBytes)
    return Problem{
        "safetensors_header",
        "the header claims " + std::to_string(length) + " bytes; the limit is " + std::to_string(kMaxHeaderBytes), "",
        "Check that this is a safetensors file; split a file of very many tensors."};
  if (length > file_bytes - kLengthBytes)
    return Problem{
        "safetensors_truncated",
        "the header claims " + std::to_string(length) + " bytes but the file has " + std::to_string(file_bytes), "",
        "Upload the whole file."};
  return kLengthBytes + length;
}

Result<std::map<std::string, TensorEntry>> parse_header(std::span<const std::byte> head, uint64_t file_bytes) {
  QUARRY_ASSIGN(const uint64_t end_of_header, header_bytes(head, file_bytes));
  if (head.size() < end_of_header)
    return Problem{
        "safetensors_truncated",
        "only " + std::to_string(head.size()) + " of the header's " + std::to_string(end_of_header) + " bytes are here",
        "", "Upload the whole file."};
  const std::string_view text(reinterpret_cast<const char*>(head.data()) + kLengthBytes, end_of_header - kLengthBytes);
  QUARRY_ASSIGN(std::vector<DeclaredTensor> tensors, parse_header_text(text));
  const uint64_t data_bytes = file_bytes - end_of_header;
  std::map<std::string, TensorEntry> entries;
  for (const DeclaredTensor& tensor : tensors) {
    QUARRY_ASSIGN(TensorEntry entry, check_tensor(tensor, end_of_header, data_bytes));
    entries.emplace(tensor.name, std::move(entry));
  }
  QUARRY_TRY(check_layout(tensors, data_bytes));
  return entries;
}

std::vector<std::byte> write_header(std::span<const NamedTensor> tensors,
                                    const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", spelling_of(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes}}};
    offset += tensor.bytes;
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes,
              ' ');  // data starts aligned for readers that map it
  std::vector<std::byte> head(kLengthBytes + text.size());
  for (size_t i = 0; i < kLengthBytes; ++i) head[i] = static_cast<std::byte>(text.size() >> (8 * i));
  std::memcpy(head.data() + kLengthBytes, text.data(), text.size());
  return head;
}

}  // namespace quarry::io
