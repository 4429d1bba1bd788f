// What a graph's text may not say: each refusal with its code and the place it points to.
#include <catch2/catch.hpp>

#include "engine/graph/graph.h"
#include "engine/graph/limits.h"

using namespace quarry;
using namespace quarry::graph;

namespace {

void expect(const std::string& text, std::string_view code, std::string_view pointer) {
  INFO(text.substr(0, 500));
  const auto graph = parse_json(text);
  REQUIRE_FALSE(graph.ok());
  INFO(graph.problem().detail);
  CHECK(graph.problem().code == code);
  CHECK(graph.problem().pointer == pointer);
  CHECK_FALSE(graph.problem().detail.empty());
}

/// Four nodes that later ones may use: 0 is f32 [2, 3], 1 is i32 [2, 3], 2 is bool [2, 3], 3 is f32 [1, 3].
std::string with_node(const std::string& node) {
  return R"({"version": 1, "nodes": [
    {"op": "INPUT", "name": "x", "dtype": "f32", "shape": [2, 3]}, {"op": "INPUT", "name": "i", "dtype": "i32", "shape": [2, 3]},
    {"op": "INPUT", "name": "b", "dtype": "bool", "shape": [2, 3]}, {"op": "INPUT", "name": "r", "dtype": "f32", "shape": [1, 3]},
    )" + node +
         R"(], "outputs": {"y": 4}})";
}

void expect_node(const std::string& node, std::string_view code, const std::string& place) {
  expect(with_node(node), code, "/nodes/4" + place);
}

std::string with_value(const std::string& dtype, const std::string& value) {
  return R"({"op": "CONST", "dtype": ")" + dtype + R"(", "shape": [], "value": )" + value + "}";
}

std::string detail_of(const std::string& text) {
  return parse_json(text).problem().detail;
}

}  // namespace

TEST_CASE("the nodes that the refusals below build on are fine") {
  CHECK(parse_json(with_node(R"({"op": "ADD", "src": [0, 0]})")).ok());
}

TEST_CASE("what is not JSON is refused with the byte where it breaks") {
  for (const char* text : {"", " ", "{", "nul", "{\"version\": 1,}", "{'version': 1}", "{\"version\": NaN}",
                           "{\"version\" 1}", "\"\xff\"", "1e999", "{\"\\ud800\": 1}", "// c\n{}"})
    expect(text, "malformed_json", "");
  CHECK(detail_of("{\"version\": 1,}").starts_with("byte 15: "));
  expect(with_node(R"({"op": "STEP"})") + " x", "malformed_json", "");
}

TEST_CASE("a document of another shape is refused where it differs") {
  expect("[]", "wrong_type", "");
  expect("1", "wrong_type", "");
  expect("null", "wrong_type", "");
  expect("\"graph\"", "wrong_type", "");
  expect(R"({"version": "1"})", "wrong_type", "/version");
  expect(R"({"version": 1.0})", "wrong_type", "/version");
  expect(R"({"version": [1]})", "wrong_type", "/version");
  expect(R"({"nodes": {}})", "wrong_type", "/nodes");
  expect(R"({"nodes": 3})", "wrong_type", "/nodes");
  expect(R"({"nodes": [[]]})", "wrong_type", "/nodes/0");
  expect(R"({"nodes": [{"op": "STEP"}, null]})", "wrong_type", "/nodes/1");
  expect(R"({"outputs": []})", "wrong_type", "/outputs");
  expect(R"({"outputs": {"y": "0"}})", "wrong_type", "/outputs/y");
  expect(R"({"outputs": {"a/b~c": 0.5}})", "wrong_type", "/outputs/a~1b~0c");
  expect(R"({"outputs": {"y": {}}})", "wrong_type", "/outputs/y");
}

TEST_CASE("nesting is refused at the first level that does not belong, however deep it goes on") {
  expect(std::string(1'000'000, '['), "wrong_type", "");
  expect(R"({"nodes": [{"src": )" + std::string(1'000'000, '['), "wrong_type", "/nodes/0/src/0");
  expect(R"({"nodes": [{"pads": )" + std::string(1'000'000, '['), "wrong_type", "/nodes/0/pads/0/0");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"nodes\":";
  expect(objects, "wrong_type", "/nodes");
}

TEST_CASE("another version is refused") {
  expect(R"({"version": 2})", "unsupported_version", "/version");
  expect(R"({"version": 0})", "unsupported_version", "/version");
  expect(R"({"version": -1})", "unsupported_version", "/version");
}

TEST_CASE("missing parts of a graph are named") {
  expect("{}", "missing_field", "");
  expect(R"({"nodes": [{"op": "STEP"}], "outputs": {"y": 0}})", "missing_field", "");
  expect(R"({"version": 1, "outputs": {}})", "missing_field", "");
  expect(R"({"version": 1, "nodes": []})", "missing_field", "");
  expect(R"({"version": 1, "nodes": [], "outputs": {}})", "no_outputs", "/outputs");
}

TEST_CASE("unknown and repeated fields are refused, with the nearest known one") {
  expect(R"({"version": 1, "node": []})", "unknown_field", "/node");
  CHECK_THAT(detail_of(R"({"node": []})"), Catch::Contains("did you mean \"nodes\"?"));
  expect(R"({"version": 1, "version": 1})", "duplicate_field", "/version");
  expect_node(R"({"op": "EXP", "scr": [0]})", "unknown_field", "/scr");
  CHECK_THAT(detail_of(with_node(R"({"op": "EXP", "scr": [0]})")), Catch::Contains("did you mean \"src\"?"));
  CHECK_THAT(detail_of(with_node(R"({"op": "EXP", "colour": 1})")), Catch::Contains("known are op, src"));
  expect_node(R"({"op": "EXP", "src": [0], "src": [0]})", "duplicate_field", "/src");
  expect_node(R"({"op": "EXP", "src": [0], "axes": [0]})", "unknown_field", "/axes");
  expect_node(R"({"op": "STEP", "src": []})", "unknown_field", "/src");
}

TEST_CASE("missing fields of a node are named") {
  expect_node(R"({"src": [0]})", "missing_field", "");
  expect_node(R"({"op": "EXP"})", "missing_field", "");
  expect_node(R"({"op": "CAST", "src": [0]})", "missing_field", "");
  expect_node(R"({"op": "CONST", "dtype": "f32", "shape": []})", "missing_field", "");
  CHECK_THAT(detail_of(with_node(R"({"op": "CAST", "src": [0]})")), Catch::Contains("CAST needs `dtype`"));
}

TEST_CASE("unknown ops and dtypes are refused, with the nearest known one; reserved names say so") {
  expect_node(R"({"op": "MATMUL", "src": [0, 1]})", "unknown_op", "/op");
  expect_node(R"({"op": "exp", "src": [0]})", "unknown_op", "/op");
  CHECK_THAT(detail_of(with_node(R"({"op": "REDUCE_SUMM"})")), Catch::Contains("did you mean \"REDUCE_SUM\"?"));
  expect_node(R"({"op": "CAST", "src": [0], "dtype": "float32"})", "unknown_dtype", "/dtype");
  expect_node(R"({"op": "CAST", "src": [0], "dtype": "f8e4m3"})", "reserved", "/dtype");
  expect_node(R"({"op": "CAST", "src": [0], "dtype": "f8e5m2"})", "reserved", "/dtype");
  expect_node(R"({"op": "INPUT", "name": "z", "dtype": "f32", "shape": [2, "n"]})", "reserved", "/shape/1");
}

TEST_CASE("fields of the wrong type are refused") {
  expect_node(R"({"op": 7})", "wrong_type", "/op");
  expect_node(R"({"op": "EXP", "src": 0})", "wrong_type", "/src");
  expect_node(R"({"op": "EXP", "src": ["0"]})", "wrong_type", "/src/0");
  expect_node(R"({"op": "ADD", "src": [0, null]})", "wrong_type", "/src/1");
  expect_node(R"({"op": "ADD", "src": [0, 1.0]})", "wrong_type", "/src/1");
  expect_node(R"({"op": "PAD", "src": [0], "pads": [[1]]})", "wrong_type", "/pads/0/1");
  expect_node(R"({"op": "PAD", "src": [0], "pads": [[1, 2, 3]]})", "wrong_type", "/pads/0/2");
  expect_node(R"({"op": "PAD", "src": [0], "pads": [1, 2]})", "wrong_type", "/pads/0");
  expect_node(R"({"op": "SHRINK", "src": [0], "bounds": [[0, 1], [0, 1.5]]})", "wrong_type", "/bounds/1/1");
  expect_node(R"({"op": "IOTA", "dtype": "i32", "shape": [2], "axis": "0"})", "wrong_type", "/axis");
  expect_node(R"({"op": "INPUT", "name": 1})", "wrong_type", "/name");
  expect_node(R"({"op": "INPUT", "shape": [18446744073709551616]})", "wrong_type", "/shape/0");
  expect_node(R"({"op": "INPUT", "shape": [9223372036854775808]})", "wrong_type", "/shape/0");
  expect_node(R"({"op": "STEP", "label": 1})", "wrong_type", "/label");
  expect_node(R"({"op": "CONST", "value": true})", "wrong_type", "/value");
  expect_node(R"({"op": "CONST", "value": [1]})", "wrong_type", "/value");
}

TEST_CASE("operands must stand before their users, and there must be as many as the op takes") {
  expect_node(R"({"op": "EXP", "src": [4]})", "forward_reference", "/src/0");
  expect_node(R"({"op": "ADD", "src": [0, 5]})", "forward_reference", "/src/1");
  expect_node(R"({"op": "ADD", "src": [0, -1]})", "forward_reference", "/src/1");
  expect_node(R"({"op": "ADD", "src": [0, 4294967296]})", "forward_reference", "/src/1");
  expect_node(R"({"op": "ADD", "src": [0]})", "wrong_operand_count", "/src");
  expect_node(R"({"op": "EXP", "src": [0, 0]})", "wrong_operand_count", "/src");
  expect_node(R"({"op": "EXP", "src": []})", "wrong_operand_count", "/src");
  expect_node(R"({"op": "EXP", "src": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]})", "limit_exceeded", "/src");
}

TEST_CASE("binary ops need equal dtypes and shapes: there is no broadcasting") {
  expect_node(R"({"op": "ADD", "src": [0, 1]})", "dtype_mismatch", "/src");
  expect_node(R"({"op": "MUL", "src": [0, 3]})", "shape_mismatch", "/src");
  expect_node(R"({"op": "DIV", "src": [2, 2]})", "dtype_refused", "");
}

TEST_CASE("EXP and LOG are refused on integers and bool") {
  for (const char* op : {"EXP", "LOG"})
    for (const char* operand : {"1", "2"})
      expect_node(R"({"op": ")" + std::string(op) + R"(", "src": [)" + operand + "]}", "dtype_refused", "");
}

TEST_CASE("a reduce needs axes of its operand, each once") {
  expect_node(R"({"op": "REDUCE_SUM", "src": [0], "axes": []})", "invalid_axes", "/axes");
  expect_node(R"({"op": "REDUCE_SUM", "src": [0], "axes": [2]})", "invalid_axes", "/axes/0");
  expect_node(R"({"op": "REDUCE_MAX", "src": [0], "axes": [0, -1]})", "invalid_axes", "/axes/1");
  expect_node(R"({"op": "REDUCE_MAX", "src": [0], "axes": [1, 1]})", "invalid_axes", "/axes/1");
}

TEST_CASE("movement ops are held to the shape of their operand") {
  expect_node(R"({"op": "RESHAPE", "src": [0], "shape": [5]})", "shape_mismatch", "/shape");
  expect_node(R"({"op": "RESHAPE", "src": [0], "shape": []})", "shape_mismatch", "/shape");
  expect_node(R"({"op": "RESHAPE", "src": [0], "shape": [0]})", "shape_mismatch", "/shape");
  expect_node(R"({"op": "RESHAPE", "src": [0], "shape": [-2, -3]})", "invalid_shape", "/shape");
  expect_node(R"({"op": "PERMUTE", "src": [0], "axes": [0]})", "rank_mismatch", "/axes");
  expect_node(R"({"op": "PERMUTE", "src": [0], "axes": [0, 0]})", "invalid_axes", "/axes/1");
  expect_node(R"({"op": "PERMUTE", "src": [0], "axes": [1, 2]})", "invalid_axes", "/axes/1");
  expect_node(R"({"op": "EXPAND", "src": [3], "shape": [4]})", "rank_mismatch", "/shape");
  expect_node(R"({"op": "EXPAND", "src": [3], "shape": [4, 6]})", "shape_mismatch", "/shape/1");
  expect_node(R"({"op": "EXPAND", "src": [0], "shape": [1, 3]})", "shape_mismatch", "/shape/0");
  expect_node(R"({"op": "EXPAND", "src": [3], "shape": [-1, 3]})", "invalid_shape", "/shape");
  expect_node(R"({"op": "PAD", "src": [0], "pads": [[1, 1]]})", "rank_mismatch", "/pads");
  expect_node(R"({"op": "PAD", "src": [0], "pads": [[0, 0], [1, -1]]})", "invalid_pads", "/pads/1");
  expect_node(R"({"op": "PAD", "src": [0], "pads": [[0, 0], [9223372036854775807, 9223372036854775807]]})",
              "limit_exceeded", "/pads/1");
  expect_node(R"({"op": "SHRINK", "src": [0], "bounds": [[0, 2], [0, 3], [0, 1]]})", "rank_mismatch", "/bounds");
  expect_node(R"({"op": "SHRINK", "src": [0], "bounds": [[0, 3], [0, 3]]})", "invalid_bounds", "/bounds/0");
  expect_node(R"({"op": "SHRINK", "src": [0], "bounds": [[0, 2], [2, 1]]})", "invalid_bounds", "/bounds/1");
  expect_node(R"({"op": "SHRINK", "src": [0], "bounds": [[-1, 2], [0, 3]]})", "invalid_bounds", "/bounds/0");
  expect_node(R"({"op": "STRIDE", "src": [0], "strides": [1]})", "rank_mismatch", "/strides");
  expect_node(R"({"op": "STRIDE", "src": [0], "strides": [1, 0]})", "invalid_strides", "/strides/1");
  expect_node(R"({"op": "STRIDE", "src": [0], "strides": [-9223372036854775808, 1]})", "invalid_strides", "/strides/0");
}

TEST_CASE("IOTA is i32 or i64 along one of its axes and never counts past its dtype") {
  expect_node(R"({"op": "IOTA", "dtype": "f32", "shape": [2], "axis": 0})", "dtype_refused", "/dtype");
  expect_node(R"({"op": "IOTA", "dtype": "i32", "shape": [2], "axis": 1})", "invalid_axes", "/axis");
  expect_node(R"({"op": "IOTA", "dtype": "i32", "shape": [2], "axis": -1})", "invalid_axes", "/axis");
  expect_node(R"({"op": "IOTA", "dtype": "i32", "shape": [2], "axis": 4294967296})", "invalid_axes", "/axis");
  expect_node(R"({"op": "IOTA", "dtype": "i32", "shape": [], "axis": 0})", "invalid_axes", "/axis");
  expect_node(R"({"op": "IOTA", "dtype": "i32", "shape": [2147483649], "axis": 0})", "invalid_value", "/dtype");
}

TEST_CASE("RAND is f32 or i32 with a stream of 32 bits") {
  expect_node(R"({"op": "RAND", "dtype": "f64", "shape": [2], "stream": 0})", "dtype_refused", "/dtype");
  expect_node(R"({"op": "RAND", "dtype": "f32", "shape": [2], "stream": -1})", "invalid_value", "/stream");
  expect_node(R"({"op": "RAND", "dtype": "f32", "shape": [2], "stream": 4294967296})", "invalid_value", "/stream");
}

TEST_CASE("a CONST's value must be one of its dtype") {
  for (const char* value : {"128",
                            "-129",
                            "1.5",
                            "\"128\"",
                            "\"nan\"",
                            "\"inf\"",
                            "\"0x100\"",
                            "\"\"",
                            "\"0x\"",
                            "\"0xg\"",
                            "\"0x 1\"",
                            "\"+1\"",
                            "\"1.5\"",
                            "\"1e3\"",
                            "\" 1\"",
                            "\"--1\"",
                            "\"0x11111111111111111\"",
                            "1e300",
                            "18446744073709551615",
                            "18446744073709551616",
                            "\"99999999999999999999\""})
    expect_node(with_value("i8", value), "invalid_value", "/value");
  expect_node(with_value("bool", "2"), "invalid_value", "/value");
  expect_node(with_value("bool", "-1"), "invalid_value", "/value");
  expect_node(with_value("u8", "-1"), "invalid_value", "/value");
  expect_node(with_value("u8", "256"), "invalid_value", "/value");
  expect_node(with_value("i32", "2147483648"), "invalid_value", "/value");
  expect_node(with_value("i64", "9223372036854775808"), "invalid_value", "/value");
  expect_node(with_value("i64", "\"-9223372036854775809\""), "invalid_value", "/value");
  expect_node(with_value("f16", "65520"), "invalid_value", "/value");
  expect_node(with_value("f32", "-1e39"), "invalid_value", "/value");
  expect_node(with_value("f64", "\"1" + std::string(400, '0') + "\""), "invalid_value", "/value");
  expect_node(with_value("f16", "\"0x10000\""), "invalid_value", "/value");
  expect_node(with_value("f32", "\"NaN\""), "invalid_value", "/value");
  expect_node(with_value("f32", "\"-nan\""), "invalid_value", "/value");
  expect_node(with_value("f32", "\"1.5\""), "invalid_value", "/value");
}

TEST_CASE("names are 1 to 256 bytes of UTF-8 without control characters, each once") {
  const auto input = [](const std::string& name) {
    return R"({"op": "INPUT", "name": ")" + name + R"(", "dtype": "f32", "shape": []})";
  };
  CHECK(parse_json(with_node(input(std::string(256, 'n')))).ok());
  CHECK(parse_json(with_node(input("größe/…\\\""))).ok());
  expect_node(input(""), "invalid_name", "/name");
  expect_node(input(std::string(257, 'n')), "invalid_name", "/name");
  expect_node(input("a\\nb"), "invalid_name", "/name");
  expect_node(input("a\\u0000b"), "invalid_name", "/name");
  expect_node(input("\x7f"), "invalid_name", "/name");
  expect_node(input("x"), "duplicate_name", "/name");
  expect_node(R"({"op": "STEP", "label": ""})", "invalid_name", "/label");
  expect_node(R"({"op": "STEP", "label": ")" + std::string(257, 'l') + "\"}", "invalid_name", "/label");
}

TEST_CASE("an output must name a node that is there") {
  const auto outputs = [](const std::string& text) {
    return R"({"version": 1, "nodes": [{"op": "STEP"}], "outputs": {)" + text + "}}";
  };
  CHECK(parse_json(outputs(R"("y": 0)")).ok());
  expect(outputs(R"("y": 1)"), "unknown_node", "/outputs/y");
  expect(outputs(R"("y": -1)"), "unknown_node", "/outputs/y");
  expect(outputs(R"("y": 4294967295)"), "unknown_node", "/outputs/y");
  expect(outputs(R"("y": 4294967296)"), "unknown_node", "/outputs/y");
  expect(outputs(R"("y": 0, "y": 0)"), "duplicate_name", "/outputs/y");
  expect(outputs(R"("": 0)"), "invalid_name", "/outputs");
}

TEST_CASE("limits on rank, elements and outputs are kept") {
  std::string ones = "1";
  for (int i = 1; i < kMaxRank; ++i) ones += ", 1";
  CHECK(parse_json(with_node(R"({"op": "INPUT", "name": "z", "dtype": "f32", "shape": [)" + ones + "]}")).ok());
  expect_node(R"({"op": "INPUT", "name": "z", "dtype": "f32", "shape": [)" + ones + ", 1]}", "limit_exceeded",
              "/shape");
  std::string pairs = "[0, 0]";
  for (int i = 0; i < kMaxRank; ++i) pairs += ", [0, 0]";
  expect_node(R"({"op": "PAD", "src": [0], "pads": [)" + pairs + "]}", "limit_exceeded", "/pads");
  expect_node(R"({"op": "INPUT", "name": "z", "dtype": "f32", "shape": [1099511627777]})", "limit_exceeded", "");
  expect_node(R"({"op": "CONST", "dtype": "f32", "shape": [4294967296, 4294967296, 4], "value": 0})", "limit_exceeded",
              "");
  expect_node(R"({"op": "CONST", "dtype": "f32", "shape": [-1], "value": 0})", "invalid_shape", "/shape");
  std::string outputs;
  for (size_t i = 0; i <= kMaxOutputs; ++i) outputs += (i > 0 ? ", \"" : "\"") + std::to_string(i) + "\": 0";
  expect(R"({"outputs": {)" + outputs + "}}", "limit_exceeded", "/outputs/" + std::to_string(kMaxOutputs));
}

TEST_CASE("a text over 128 MiB is refused unread") {
  expect(std::string(kMaxTextBytes + 1, ' '), "limit_exceeded", "");
}

TEST_CASE("messages name the node by its label, and quote strangers' text cut and printable") {
  CHECK_THAT(detail_of(with_node(R"({"label": "loss", "op": "ADD", "src": [0, 3]})")),
             Catch::StartsWith("node 4 \"loss\": ADD needs"));
  CHECK_THAT(detail_of(with_node(R"({"op": "\u0007)" + std::string(100'000, 'A') + "\"}")),
             Catch::Contains("no op \"?AAAA") && Catch::Contains("AAA...\""));
  CHECK(detail_of(with_node(R"({"op": ")" + std::string(100'000, 'A') + "\"}")).size() < 500);
}
