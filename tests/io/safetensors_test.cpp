#include "engine/io/safetensors.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "common/text.h"

using namespace quarry;
using namespace quarry::io;
using graph::DType;

namespace {

std::vector<std::byte> file_head(const std::string& header, uint64_t claimed) {
  std::vector<std::byte> head(8 + header.size());
  for (size_t i = 0; i < 8; ++i) head[i] = static_cast<std::byte>(claimed >> (8 * i));
  if (!header.empty()) std::memcpy(head.data() + 8, header.data(), header.size());
  return head;
}

// Parses a file with this header and `data_bytes` bytes of data after it.
Result<std::map<std::string, TensorEntry>> parse(const std::string& header, uint64_t data_bytes) {
  const auto head = file_head(header, header.size());
  return parse_header(head, head.size() + data_bytes);
}

Problem refusal(const std::string& header, uint64_t data_bytes) {
  const auto parsed = parse(header, data_bytes);
  REQUIRE_FALSE(parsed.ok());
  CHECK_FALSE(parsed.problem().detail.empty());
  return parsed.problem();
}

std::string one_tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"x":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

}  // namespace

TEST_CASE("a written header is read back with offsets from the start of the file") {
  const std::vector<NamedTensor> tensors{{"weights", DType::F32, {2, 3}, 24},
                                         {"half", DType::BF16, {5}, 10},
                                         {"nothing", DType::I64, {0, 7}, 0},
                                         {"a \"quoted\"/name~", DType::Bool, {}, 1}};
  const auto head = write_header(tensors);
  CHECK(head.size() % 8 == 0);
  REQUIRE(header_bytes(std::span(head).first(8), head.size() + 35).value() == head.size());
  const auto parsed = parse_header(head, head.size() + 35);
  REQUIRE(parsed.ok());
  REQUIRE(parsed->size() == 4);
  CHECK(parsed->at("weights").dtype == DType::F32);
  CHECK(parsed->at("weights").shape == std::vector<int64_t>{2, 3});
  CHECK(parsed->at("weights").offset == head.size());
  CHECK(parsed->at("half").offset == head.size() + 24);
  CHECK(parsed->at("nothing").bytes == 0);
  CHECK(parsed->at("a \"quoted\"/name~").offset == head.size() + 34);
}

TEST_CASE("every dtype of version 1 is known by its safetensors name") {
  const std::vector<std::pair<std::string, DType>> names{
      {"BOOL", DType::Bool}, {"I8", DType::I8},     {"U8", DType::U8},   {"I32", DType::I32}, {"I64", DType::I64},
      {"F16", DType::F16},   {"BF16", DType::BF16}, {"F32", DType::F32}, {"F64", DType::F64}};
  for (const auto& [name, dtype] : names) {
    const auto bytes = static_cast<uint64_t>(graph::byte_size(dtype));
    const auto parsed = parse(one_tensor(name, "[1]", "[0," + std::to_string(bytes) + "]"), bytes);
    REQUIRE(parsed.ok());
    CHECK(parsed->at("x").dtype == dtype);
  }
}

TEST_CASE("metadata of strings, padding and an empty file are accepted") {
  CHECK(parse(R"({"__metadata__":{"format":"pt","by":"me"},"x":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}   )", 1)
            .ok());
  CHECK(parse("{}", 0)->empty());
  CHECK(parse(R"({"__metadata__":{}})", 0)->empty());
}

TEST_CASE("tensors may be listed in any order") {
  const auto parsed = parse(
      R"({"b":{"data_offsets":[4,8],"dtype":"F32","shape":[1]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      8);
  REQUIRE(parsed.ok());
  CHECK(parsed->at("b").offset == parsed->at("a").offset + 4);
}

TEST_CASE("a file that ends early is refused as truncated") {
  const auto empty = file_head("", 0);
  CHECK(header_bytes(std::span(empty).first(4), 4).problem().code == "safetensors_truncated");
  CHECK(header_bytes(file_head("", 100), 50).problem().code == "safetensors_truncated");
  const auto head = file_head("{}", 2);
  CHECK(parse_header(std::span(head).first(9), 10).problem().code == "safetensors_truncated");
  const Problem problem = refusal(one_tensor("F32", "[4]", "[0,16]"), 12);
  CHECK(problem.code == "safetensors_truncated");
  CHECK(problem.pointer == "/x/data_offsets");
}

TEST_CASE("a header over the limit or of absurd length is refused before it is read") {
  CHECK(header_bytes(file_head("", kMaxHeaderBytes + 1), UINT64_MAX).problem().code == "safetensors_header");
  CHECK(header_bytes(file_head("", UINT64_MAX), UINT64_MAX).problem().code == "safetensors_header");
}

TEST_CASE("offsets that overlap are refused") {
  const Problem problem = refusal(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
      12);
  CHECK(problem.code == "safetensors_overlap");
  CHECK(problem.pointer == "/b/data_offsets");
  CHECK(
      refusal(
          R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
          2)
          .code == "safetensors_overlap");
}

TEST_CASE("bytes that belong to no tensor are refused, between tensors and at the end") {
  CHECK(
      refusal(
          R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
          5)
          .code == "safetensors_header");
  CHECK(refusal(one_tensor("U8", "[2]", "[1,3]"), 3).code == "safetensors_header");
  CHECK(refusal(one_tensor("U8", "[2]", "[0,2]"), 3).code == "safetensors_header");
}

TEST_CASE("offsets that disagree with shape and dtype are refused") {
  for (const char* offsets : {"[0,8]", "[0,0]", "[4,0]"}) {
    const Problem problem = refusal(one_tensor("F32", "[4]", offsets), 16);
    CHECK(problem.code == "safetensors_header");
    CHECK(problem.pointer == "/x/data_offsets");
  }
  CHECK(refusal(one_tensor("F32", "[4294967296,4294967296,4294967296]", "[0,0]"), 0).code == "safetensors_header");
  CHECK(parse(one_tensor("F32", "[4294967296,4294967296,4294967296,0]", "[0,0]"), 0).ok());
}

TEST_CASE("element types outside version 1 are refused by name") {
  for (const char* dtype : {"F8_E4M3", "U16", "f32", "", "C64"}) {
    const Problem problem = refusal(one_tensor(dtype, "[1]", "[0,4]"), 4);
    CHECK(problem.code == "unsupported_dtype");
    CHECK(problem.pointer == "/x/dtype");
  }
}

TEST_CASE("a header that is not the one form of safetensors is refused") {
  const std::vector<std::string> headers{
      "",
      "{",
      "[]",
      "null",
      "{}{}",
      "\xff{}",
      R"({"x":1})",
      R"({"x":[]})",
      R"({"x":{}})",
      R"({"x":null})",
      R"({"x":{"dtype":"U8","shape":[1]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":{"a":0}}})",
      R"({"x":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1e0]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551616]}})",
      R"({"x":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})",
      R"({"x":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      R"({"x":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})",
      R"({"__metadata__":{"a":{}}})",
      R"({"__metadata__":{"a":1}})",
      R"({"__metadata__":[]})",
      R"({"__metadata__":{"a":"1","a":"2"}})",
      R"({"__metadata__":{},"__metadata__":{}})"};
  for (const std::string& header : headers) {
    INFO(header);
    CHECK(refusal(header, 1).code == "safetensors_header");
  }
}

TEST_CASE("deep nesting is refused at its second level, whatever its depth") {
  CHECK(refusal("{\"x\":" + std::string(1'000'000, '['), 1).code == "safetensors_header");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"x\":";
  CHECK(refusal(objects, 1).code == "safetensors_header");
}

TEST_CASE("a hostile name is shortened in messages without splitting a character") {
  std::string name(63, 'a');
  for (int i = 0; i < 1000; ++i) name += "\xc3\xa9";
  const Problem problem = refusal("{\"" + name + "\":1}", 1);
  CHECK(problem.pointer.size() < 80);
  CHECK(is_utf8(problem.pointer));
  CHECK(is_utf8(problem.detail));
}
