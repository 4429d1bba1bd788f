#include <catch2/catch.hpp>

#include "common/cbor.h"
#include "engine/graph/graph.h"
#include "tests/graph/random_graph.h"

using namespace quarry;
using namespace quarry::graph;
using namespace quarry::graph::testing;

namespace {

Graph parsed(std::string_view text) {
  auto graph = parse_json(text);
  if (!graph.ok()) FAIL(graph.problem().detail);
  return std::move(graph).value();
}

std::string id_of(std::string_view text) {
  return normalise(parsed(text)).id_text();
}

/// One INPUT x of f32[2] and whatever nodes follow; the output is the last node.
std::string id_with(const std::string& nodes, int output) {
  return id_of(R"({"version": 1, "nodes": [{"op": "INPUT", "name": "x", "dtype": "f32", "shape": [2]})" + nodes +
               R"(], "outputs": {"y": )" + std::to_string(output) + "}}");
}

}  // namespace

TEST_CASE("the id is that of the worked example in docs/graph-format.md") {
  // Built here from the words of the document alone, with no help from normalise().
  CborWriter cbor;
  cbor.array(3);
  cbor.text("INPUT");
  cbor.map(3);
  cbor.text("name"), cbor.text("x");
  cbor.text("dtype"), cbor.text("f32");
  cbor.text("shape"), cbor.array(1), cbor.unsigned_integer(2);
  cbor.array(0);
  const Digest input = sha256(cbor.data());
  CHECK(to_hex(input) == "9278301236ed972a7a36fda390a39ef5e33bcb7cfcbe2b8cc162a9d6c2d4adde");
  cbor.clear();
  cbor.array(3);
  cbor.text("ADD");
  cbor.map(0);
  cbor.array(2), cbor.bytes(input), cbor.bytes(input);
  const Digest sum = sha256(cbor.data());
  CHECK(to_hex(sum) == "cafcd764ca28d6e3f90b61bcb2c333e55f43ceeeebbe2a4aca43d306a32a9ce7");
  cbor.clear();
  cbor.array(3);
  cbor.text("quarry-graph");
  cbor.unsigned_integer(1);
  cbor.map(1);
  cbor.text("y"), cbor.bytes(sum);
  const Digest id = sha256(cbor.data());
  CHECK(to_hex(id) == "917b38c3747d6a6181ac88d39b95329780c113846f4db1f2a574740f040180fa");
  CHECK(id_with(R"(, {"op": "ADD", "src": [0, 0]})", 1) == "graph_" + to_hex(id));
}

TEST_CASE("order, repeats, labels and dead nodes do not change the id, nor a byte of the normal form") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Graph graph = random_graph(seed, 40);
    const NormalGraph normal = normalise(graph);
    const NormalGraph other = normalise(respell(graph, seed + 1));
    REQUIRE(normal.id == other.id);
    REQUIRE(write_cbor(normal.graph) == write_cbor(other.graph));
    REQUIRE(normal.graph.size() <= graph.size());
  }
}

TEST_CASE("the normal form of a normal form is itself") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const NormalGraph once = normalise(random_graph(seed, 40));
    const NormalGraph twice = normalise(once.graph);
    REQUIRE(once.id == twice.id);
    REQUIRE(write_cbor(once.graph) == write_cbor(twice.graph));
  }
}

TEST_CASE("repeated nodes are merged and dead nodes dropped") {
  const auto normal = normalise(parsed(R"({"version": 1, "nodes": [
    {"op": "INPUT", "name": "x", "dtype": "f32", "shape": [2]},
    {"op": "EXP", "src": [0]}, {"op": "EXP", "src": [0]}, {"op": "LOG", "src": [0]},
    {"op": "ADD", "src": [1, 2]}], "outputs": {"y": 4}})"));
  REQUIRE(normal.graph.size() == 3);
  CHECK(normal.graph[2].operands[0] == normal.graph[2].operands[1]);
  CHECK(normal.graph.find_output("y") == 2);
}

TEST_CASE("nothing else is merged: operand order, no-op movement and names of inputs count") {
  const std::string exp = R"(, {"op": "EXP", "src": [0]})";
  CHECK(id_with(exp + R"(, {"op": "SUB", "src": [0, 1]})", 2) != id_with(exp + R"(, {"op": "SUB", "src": [1, 0]})", 2));
  CHECK(id_with(exp + R"(, {"op": "ADD", "src": [0, 1]})", 2) != id_with(exp + R"(, {"op": "ADD", "src": [1, 0]})", 2));
  CHECK(id_with(R"(, {"op": "RESHAPE", "src": [0], "shape": [2]})", 1) != id_with("", 0));
  CHECK(id_with(R"(, {"op": "CAST", "src": [0], "dtype": "f32"})", 1) != id_with("", 0));
  CHECK(
      id_of(
          R"({"version": 1, "nodes": [{"op": "INPUT", "name": "z", "dtype": "f32", "shape": [2]}], "outputs": {"y": 0}})") !=
      id_with("", 0));
}

TEST_CASE("every attribute changes the id") {
  const auto padded = [](const char* pads) {
    return id_with(R"(, {"op": "PAD", "src": [0], "pads": )" + std::string(pads) + "}", 1);
  };
  CHECK(padded("[[1, 0]]") != padded("[[0, 1]]"));
  const auto constant = [](const char* fields) {
    return id_with(R"(, {"op": "CONST", )" + std::string(fields) + "}", 1);
  };
  const std::string one = constant(R"("dtype": "f32", "shape": [], "value": 1)");
  CHECK(constant(R"("dtype": "f32", "shape": [1], "value": 1)") != one);
  CHECK(constant(R"("dtype": "f64", "shape": [], "value": 1)") != one);
  CHECK(constant(R"("dtype": "f32", "shape": [], "value": -1)") != one);
  CHECK(constant(R"("dtype": "f32", "shape": [], "value": 0)") !=
        constant(R"("dtype": "f32", "shape": [], "value": -0.0)"));
}

TEST_CASE("a value has one id however it is written") {
  const auto constant = [](const char* value) {
    return id_with(R"(, {"op": "CONST", "dtype": "f32", "shape": [], "value": )" + std::string(value) + "}", 1);
  };
  for (const char* spelling : {"1.0", "1e0", "\"1\"", "\"0x3f800000\"", "\"0x3F800000\""})
    CHECK(constant(spelling) == constant("1"));
  CHECK(constant("\"nan\"") == constant("\"0x7fc00000\""));
  CHECK(constant("-0") == constant("\"0x80000000\""));
  const auto reduced = [](const char* axes) {
    return id_of(R"({"version": 1, "nodes": [{"op": "INPUT", "name": "x", "dtype": "f32", "shape": [2, 3]},
      {"op": "REDUCE_SUM", "src": [0], "axes": )" +
                 std::string(axes) + R"(}], "outputs": {"y": 1}})");
  };
  CHECK(reduced("[0, 1]") == reduced("[1, 0]"));
}

TEST_CASE("two outputs may share a node, and their names are part of the id") {
  const auto text = [](const char* outputs) {
    return R"({"version": 1, "nodes": [{"op": "STEP"}], "outputs": )" + std::string(outputs) + "}";
  };
  CHECK(id_of(text(R"({"a": 0, "bb": 0})")) == id_of(text(R"({"bb": 0, "a": 0})")));
  CHECK(id_of(text(R"({"a": 0})")) != id_of(text(R"({"b": 0})")));
  CHECK(id_of(text(R"({"a": 0})")) != id_of(text(R"({"a": 0, "b": 0})")));
}

TEST_CASE("a chain of a million nodes is walked without recursion") {
  Builder b;
  NodeId x = b.input("x", DType::F32, {});
  while (b.size() < 1'000'000) x = b.unary(Op::Exp, x);
  b.output("y", x);
  const NormalGraph normal = normalise(std::move(b.finish()).value());
  CHECK(normal.graph.size() == 1'000'000);
}

TEST_CASE("sums over sums, 2^60 paths deep, are merged node by node") {
  Builder b;
  NodeId x = b.input("x", DType::F32, {});
  for (int i = 0; i < 60; ++i) x = b.binary(Op::Add, x, x);
  b.output("y", x);
  CHECK(normalise(std::move(b.finish()).value()).graph.size() == 61);
}

TEST_CASE("a graph id is written with its prefix and read back") {
  const auto normal = normalise(random_graph(1, 10));
  CHECK(parse_graph_id(normal.id_text()) == normal.id);
  for (const std::string text : {"", "graph_", "job_00", "graph_00"}) CHECK_FALSE(parse_graph_id(text));
  CHECK_FALSE(parse_graph_id("GRAPH_" + to_hex(normal.id)));
  CHECK_FALSE(parse_graph_id(normal.id_text() + "0"));
}
