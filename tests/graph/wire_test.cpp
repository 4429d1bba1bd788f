#include <catch2/catch.hpp>

#include "common/cbor.h"
#include "engine/graph/graph.h"
#include "engine/graph/limits.h"
#include "tests/graph/random_graph.h"

using namespace quarry;
using namespace quarry::graph;
using namespace quarry::graph::testing;

namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

std::vector<std::byte> bytes(std::string_view text) {
  const auto span = std::as_bytes(std::span(text));
  return {span.begin(), span.end()};
}

void expect_refused(const std::vector<std::byte>& cbor, std::string_view code, std::string_view pointer = "") {
  const auto graph = parse_cbor(cbor);
  REQUIRE_FALSE(graph.ok());
  INFO(graph.problem().detail);
  CHECK(graph.problem().code == code);
  CHECK(graph.problem().pointer == pointer);
}

/// A graph of one CONST whose value is the given CBOR item.
std::vector<std::byte> with_value(std::string_view dtype, std::vector<std::byte> value) {
  CborWriter w;
  w.map(3);
  w.text("nodes"), w.array(1), w.map(4);
  w.text("op"), w.text("CONST"), w.text("dtype"), w.text(dtype), w.text("shape"), w.array(0), w.text("value");
  CborWriter rest;
  rest.text("outputs"), rest.map(1), rest.text("y"), rest.unsigned_integer(0);
  rest.text("version"), rest.unsigned_integer(1);
  std::vector<std::byte> out(w.data().begin(), w.data().end());
  out.insert(out.end(), value.begin(), value.end());
  out.insert(out.end(), rest.data().begin(), rest.data().end());
  return out;
}

uint64_t json_bits(std::string_view dtype, std::string_view value) {
  const auto graph = parse_json(R"({"version": 1, "nodes": [{"op": "CONST", "dtype": ")" + std::string(dtype) +
                                R"(", "shape": [], "value": )" + std::string(value) + R"(}], "outputs": {"y": 0}})");
  if (!graph.ok()) FAIL(graph.problem().detail);
  return graph->const_bits(0);
}

}  // namespace

TEST_CASE("random graphs survive JSON and CBOR, node for node and label for label") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Graph graph = respell(random_graph(seed, 40), seed);
    const std::string json = write_json(graph);
    const auto cbor = write_cbor(graph);
    const auto from_json = parse_json(json);
    const auto from_cbor = parse_cbor(cbor);
    REQUIRE(from_json.ok());
    REQUIRE(from_cbor.ok());
    REQUIRE(write_json(*from_json) == json);
    REQUIRE(write_json(*from_cbor) == json);
    REQUIRE(write_cbor(*from_json) == cbor);
    REQUIRE(write_cbor(*from_cbor) == cbor);
    REQUIRE(normalise(*from_json).id == normalise(graph).id);
  }
}

TEST_CASE("every bit pattern of a narrow CONST survives JSON and CBOR") {
  for (DType dtype : {DType::Bool, DType::I8, DType::U8, DType::F16, DType::BF16}) {
    Builder b;
    const uint64_t count = dtype == DType::Bool ? 2 : byte_size(dtype) == 1 ? 256 : 65536;
    for (uint64_t bits = 0; bits < count; ++bits) b.constant(dtype, {}, bits);
    b.output("y", 0);
    const Graph graph = std::move(b.finish()).value();
    const auto from_json = parse_json(write_json(graph));
    const auto from_cbor = parse_cbor(write_cbor(graph));
    REQUIRE(from_json.ok());
    REQUIRE(from_cbor.ok());
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (from_json->const_bits(id) != graph.const_bits(id)) FAIL("JSON lost " << name(dtype) << " " << id);
      if (from_cbor->const_bits(id) != graph.const_bits(id)) FAIL("CBOR lost " << name(dtype) << " " << id);
    }
  }
}

TEST_CASE("random bit patterns of a wide CONST survive JSON and CBOR") {
  Random random(3);
  for (DType dtype : {DType::I32, DType::I64, DType::F32, DType::F64}) {
    Builder b;
    std::vector<uint64_t> patterns = {
        0, 1, uint64_t{1} << 31, uint64_t{1} << 63, ~uint64_t{0}, uint64_t{1} << 53, (uint64_t{1} << 53) + 1};
    for (int i = 0; i < 20'000; ++i) patterns.push_back(random() >> pick(random, 0, 63));
    for (uint64_t& bits : patterns) b.constant(dtype, {}, bits &= byte_size(dtype) == 4 ? 0xffffffff : ~uint64_t{0});
    b.output("y", 0);
    const Graph graph = std::move(b.finish()).value();
    const auto from_json = std::move(parse_json(write_json(graph))).value();
    const auto from_cbor = std::move(parse_cbor(write_cbor(graph))).value();
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (from_json.const_bits(id) != patterns[id] || from_cbor.const_bits(id) != patterns[id])
        FAIL("lost " << name(dtype) << " " << patterns[id]);
    }
  }
}

TEST_CASE("a value may be a number, a special value, a decimal string or bits") {
  CHECK(json_bits("f32", "1.5") == 0x3fc00000);
  CHECK(json_bits("f32", "3") == 0x40400000);
  CHECK(json_bits("f32", "-0") == 0x80000000);
  CHECK(json_bits("f32", "-0.0") == 0x80000000);
  CHECK(json_bits("f32", "\"-0\"") == 0x80000000);
  CHECK(json_bits("f32", "\"nan\"") == 0x7fc00000);
  CHECK(json_bits("f16", "\"-inf\"") == 0xfc00);
  CHECK(json_bits("f16", "65519") == 0x7bff);
  CHECK(json_bits("f16", "2049") == 0x6800);
  CHECK(json_bits("f32", "\"0xff800001\"") == 0xff800001);
  CHECK(json_bits("f64", "0.1") == 0x3fb999999999999a);
  CHECK(json_bits("f64", "\"340282366920938463463374607431768211456\"") == 0x47f0000000000000);
  CHECK(json_bits("f64", "340282366920938463463374607431768211456") == 0x47f0000000000000);
  CHECK(json_bits("i64", "-9223372036854775808") == 0x8000000000000000);
  CHECK(json_bits("i64", "\"9223372036854775807\"") == 0x7fffffffffffffff);
  CHECK(json_bits("i64", "\"0xffffffffffffffff\"") == ~uint64_t{0});
  CHECK(json_bits("i8", "-1") == 0xff);
  CHECK(json_bits("i8", "-0") == 0);
  CHECK(json_bits("u8", "2e2") == 200);
  CHECK(json_bits("bool", "1") == 1);
}

TEST_CASE("the fields of a graph and of a node may come in any order") {
  const auto graph = parse_json(R"({"outputs": {"y": 1}, "nodes": [
    {"shape": [2], "label": "in", "dtype": "f32", "name": "x", "op": "INPUT"}, {"axes": [0], "src": [0], "op": "REDUCE_SUM"}],
    "version": 1})");
  REQUIRE(graph.ok());
  CHECK(graph->find_output("y") == 1);
  CHECK(graph->label(0) == "in");
}

TEST_CASE("names with quotes, slashes and letters of any script survive both forms") {
  Builder b;
  b.label_next("größe \"\\/");
  b.output("щ/~\"\\", b.input("入力 \"x\"", DType::F32, {}));
  const Graph graph = std::move(b.finish()).value();
  for (const auto& again : {parse_json(write_json(graph)), parse_cbor(write_cbor(graph))}) {
    REQUIRE(again.ok());
    CHECK(again->input_name(0) == graph.input_name(0));
    CHECK(again->outputs()[0].name == graph.outputs()[0].name);
    CHECK(again->label(0) == graph.label(0));
  }
}

TEST_CASE("CBOR is written as RFC 8949 says, section 4.2.1: shortest forms and sorted keys") {
  Builder b;
  b.output("bb", b.constant_f64(DType::F32, std::vector<int64_t>{300}, 1.5));
  b.output("a", 0);
  const std::string zero(1, '\0');
  CHECK(write_cbor(std::move(b.finish()).value()) == bytes("\xa3\x65nodes\x81\xa4\x62op\x65"
                                                           "CONST\x65"
                                                           "dtype\x63"
                                                           "f32\x65shape\x81\x19\x01\x2c\x65value\xf9\x3e" +
                                                           zero +
                                                           "\x67outputs\xa2\x61"
                                                           "a" +
                                                           zero +
                                                           "\x62"
                                                           "bb" +
                                                           zero + "\x67version\x01"));
}

TEST_CASE("CBOR of any well-formed encoding is taken, not only the shortest") {
  CHECK(parse_cbor(with_value("f32", bytes({0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0}))).value().const_bits(0) == 0x3fc00000);
  CHECK(parse_cbor(with_value("f32", bytes({0xfa, 0x3f, 0xc0, 0, 0}))).value().const_bits(0) == 0x3fc00000);
  CHECK(parse_cbor(with_value("f32", bytes({0xf9, 0x3e, 0}))).value().const_bits(0) == 0x3fc00000);
  CHECK(parse_cbor(with_value("i8", bytes({0x3b, 0, 0, 0, 0, 0, 0, 0, 0}))).value().const_bits(0) == 0xff);
  CHECK(parse_cbor(with_value("f16", bytes({0x63, 'i', 'n', 'f'}))).value().const_bits(0) == 0x7c00);
  CHECK(parse_cbor(with_value("f16", bytes({0xf9, 0x00, 0x01}))).value().const_bits(0) == 1);
}

TEST_CASE("CBOR that JSON could not say is refused") {
  for (auto value : {bytes({0xf9, 0x7e, 0}), bytes({0xf9, 0x7c, 0}), bytes({0xfa, 0xff, 0x80, 0, 0})})
    expect_refused(with_value("f32", value), "invalid_value", "/nodes/0/value");
  expect_refused(with_value("f32", bytes({0x41, 0})), "wrong_type", "/nodes/0/value");
  expect_refused(with_value("f32", bytes({0xf6})), "wrong_type", "/nodes/0/value");
  expect_refused(with_value("f32", bytes({0xf5})), "wrong_type", "/nodes/0/value");
  expect_refused(with_value("f32", bytes({0xf7})), "malformed_cbor");
  expect_refused(with_value("f32", bytes({0xc2, 0x41, 1})), "malformed_cbor");
  expect_refused(bytes({0xa1, 0x01, 0x01}), "malformed_cbor");
}

TEST_CASE("a CBOR integer below -2^63 is refused, not wrapped") {
  expect_refused(with_value("i64", bytes({0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0})), "malformed_cbor");
  expect_refused(with_value("i64", bytes({0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})), "malformed_cbor");
  CHECK(parse_cbor(with_value("i64", bytes({0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})))
            .value()
            .const_bits(0) == uint64_t{1} << 63);
}

TEST_CASE("broken CBOR is refused with the byte where it breaks") {
  expect_refused({}, "malformed_cbor");
  expect_refused(bytes({0xa3, 0x65, 'n'}), "malformed_cbor");
  expect_refused(bytes({0xbf, 0xff}), "malformed_cbor");
  expect_refused(bytes({0xa1, 0x7f, 0x61, 'a', 0xff, 0}), "malformed_cbor");
  expect_refused(bytes({0xfc}), "malformed_cbor");
  expect_refused(bytes({0x62, 0xc3, 0x28}), "malformed_cbor");
  expect_refused(bytes({0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "malformed_cbor");
  const auto graph = parse_cbor(bytes({0xa1, 0xc0, 0x00}));
  CHECK(graph.problem().detail == "byte 1: tags are not taken");
  auto trailing = write_cbor(random_graph(1, 5));
  trailing.push_back(std::byte{0});
  expect_refused(trailing, "malformed_cbor");
}

TEST_CASE("CBOR cut at any byte is refused") {
  const auto whole = write_cbor(random_graph(5, 20));
  for (size_t length = 0; length < whole.size(); ++length)
    REQUIRE_FALSE(parse_cbor(std::span(whole).first(length)).ok());
}

TEST_CASE("deep nesting in CBOR is refused without recursion") {
  expect_refused(std::vector<std::byte>(10'000'000, std::byte{0x81}), "wrong_type");
  expect_refused(std::vector<std::byte>(10'000'000, std::byte{0x7f}), "malformed_cbor");
  auto pads = bytes("\xa1\x65nodes\x81\xa1\x64pads");
  pads.resize(10'000'000, std::byte{0x81});
  expect_refused(pads, "wrong_type", "/nodes/0/pads/0/0");
}

TEST_CASE("refusals of CBOR point to the same places as those of JSON") {
  CborWriter w;
  w.map(1), w.text("nodes"), w.array(2);
  w.map(1), w.text("op"), w.text("STEP");
  w.map(2), w.text("op"), w.text("EXP"), w.text("src"), w.array(1), w.unsigned_integer(0);
  const auto graph = parse_cbor(w.data());
  REQUIRE_FALSE(graph.ok());
  CHECK(graph.problem().code == "dtype_refused");
  CHECK(graph.problem().pointer == "/nodes/1");
}

TEST_CASE("a text of over 128 MiB is refused unread") {
  expect_refused(std::vector<std::byte>(kMaxTextBytes + 1), "limit_exceeded");
}
