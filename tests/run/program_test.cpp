#include "engine/run/program.h"

#include <catch2/catch.hpp>
#include <functional>

#include "tests/run/graphs.h"

using namespace quarry;
using namespace quarry::run;
using namespace quarry::test;
using graph::DType;

namespace {

graph::JobDocument job() {
  graph::JobDocument document;
  document.seed = 9;
  document.stage.steps = 30;
  document.stage.first_step = 5;
  document.stage.carry = {{"w", "w_next"}, {"before", "w_now"}};
  document.stage.feed["x"].wrap = true;
  return document;
}

std::string refusal(const std::function<void(Program&)>& spoil) {
  Program program = training_program(10);
  REQUIRE(validate(program).ok());
  spoil(program);
  const Status status = validate(program);
  REQUIRE_FALSE(status.ok());
  CHECK(status.problem().code == "invalid_program");
  return status.problem().detail;
}

}  // namespace

TEST_CASE("a job document becomes a program; without keep every output's last value is kept") {
  const auto program = make_program(job(), training_step(), {{"x", 3}});
  REQUIRE(program.ok());
  CHECK(program->seed == 9);
  CHECK(program->steps == 30);
  CHECK(program->first_step == 5);
  CHECK(program->carry.size() == 2);
  REQUIRE(program->feed.size() == 1);
  CHECK(program->feed[0].count == 3);
  CHECK(program->feed[0].wrap);
  REQUIRE(program->keep.size() == 3);
  for (const Keep& keep : program->keep) CHECK(keep.mode == KeepMode::Last);
}

TEST_CASE("keep modes of the document reach the program") {
  graph::JobDocument document = job();
  document.stage.keep = {{"loss", graph::KeepSpec::Each}, {"w_next", graph::KeepSpec::Last}};
  const auto program = make_program(document, training_step(), {{"x", 3}});
  REQUIRE(program.ok());
  REQUIRE(program->keep.size() == 2);
  CHECK(program->keep[0].mode == KeepMode::Each);
}

TEST_CASE("a feed whose length nobody gave is refused") {
  CHECK_FALSE(make_program(job(), training_step(), {}).ok());
}

TEST_CASE("a program that does not fit its graph is refused with the name that is wrong") {
  CHECK(refusal([](Program& p) { p.carry[0].first = "nobody"; }).find("\"nobody\"") != std::string::npos);
  CHECK(refusal([](Program& p) { p.carry[0].second = "nobody"; }).find("\"nobody\"") != std::string::npos);
  CHECK(refusal([](Program& p) { p.carry[0].second = "loss"; }).find("f32[3, 2]") != std::string::npos);
  CHECK(refusal([](Program& p) { p.carry.push_back({"x", "w_next"}); }).find("f32[4, 3]") != std::string::npos);
  CHECK(refusal([](Program& p) { p.carry.push_back(p.carry[0]); }).find("twice") != std::string::npos);
  CHECK(refusal([](Program& p) { p.feed.push_back({"w", 3, true}); }).find("\"w\"") != std::string::npos);
  CHECK(refusal([](Program& p) { p.feed[0].input = "nobody"; }).find("\"nobody\"") != std::string::npos);
  CHECK(refusal([](Program& p) { p.feed[0].count = 0; }).find("no slices") != std::string::npos);
  CHECK(refusal([](Program& p) { p.feed[0].wrap = false; }).find("slice 9") != std::string::npos);
  CHECK(refusal([](Program& p) { p.keep[0].output = "nobody"; }).find("\"nobody\"") != std::string::npos);
  CHECK(refusal([](Program& p) { p.keep.push_back(p.keep[0]); }).find("twice") != std::string::npos);
}

TEST_CASE("steps outside 1 to 2^31 - 1 and step numbers that would not fit are refused") {
  for (const int64_t steps : {int64_t{0}, int64_t{-1}, int64_t{1} << 31, int64_t{1'000'000'000'000'000'000}})
    CHECK(refusal([&](Program& p) { p.steps = steps; }).find("steps") != std::string::npos);
  for (const int64_t first : {int64_t{-1}, int64_t{1} << 31, INT64_MAX})
    CHECK(refusal([&](Program& p) { p.first_step = first; }).find("first_step") != std::string::npos);
}

TEST_CASE("tensors are checked against the input's dtype and shape before a byte is read") {
  const auto normal_graph = training_step();
  const graph::Graph& graph = normal_graph->graph;
  CHECK(check_input(graph, "w", DType::F32, {3, 2}).ok());
  CHECK(check_input(graph, "w", DType::F32, {2, 3}).problem().detail ==
        "the tensor for input \"w\" is f32[2, 3]; the graph needs f32[3, 2]");
  CHECK(check_input(graph, "w", DType::F64, {3, 2}).problem().code == "shape_mismatch");
  CHECK(check_input(graph, "nobody", DType::F32, {3, 2}).problem().code == "unknown_input");
  CHECK(feed_count(graph, "x", DType::F32, {7, 4, 3}).value() == 7);
  CHECK(feed_count(graph, "x", DType::F32, {4, 3}).problem().code == "shape_mismatch");
  CHECK(feed_count(graph, "x", DType::F32, {}).problem().code == "shape_mismatch");
  CHECK(feed_count(graph, "x", DType::BF16, {7, 4, 3}).problem().code == "shape_mismatch");
}
