#include "engine/run/byte_source.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "tests/run/graphs.h"

using namespace quarry;
using namespace quarry::run;
using namespace quarry::test;

namespace {

// A file of these bytes without a name, closed with its last owner.
std::shared_ptr<std::FILE> file_of(const std::vector<int32_t>& numbers) {
  std::shared_ptr<std::FILE> file(std::tmpfile(), [](std::FILE* f) { std::fclose(f); });
  REQUIRE(std::fwrite(numbers.data(), sizeof(int32_t), numbers.size(), file.get()) == numbers.size());
  REQUIRE(std::fflush(file.get()) == 0);
  return file;
}

Program doubling(int64_t length) {
  graph::Builder b;
  const int64_t shape[] = {length};
  const auto x = b.input("x", graph::DType::I32, shape);
  b.output("y", b.binary(graph::Op::Add, x, x));
  Program program;
  program.graph = normal(b);
  program.keep = {{"y", KeepMode::Last}};
  return program;
}

}  // namespace

TEST_CASE("a tensor inside a file is read from its offset, in pieces when it is large") {
  const int64_t length = 3'000'001;  // three pieces, the last one not full
  std::vector<int32_t> numbers(static_cast<size_t>(length) + 2);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int32_t>(i);
  const auto file = file_of(numbers);
  const auto bytes = static_cast<uint64_t>(length) * sizeof(int32_t);
  // Loaded only, and given back by a carry that stands still, so that the interpreter need not run three million
  // additions.
  graph::Builder b;
  const int64_t shape[] = {length};
  const auto x = b.input("x", graph::DType::I32, shape);
  b.output("same", x);
  Program program;
  program.graph = normal(b);
  program.carry = {{"x", "same"}};
  const auto device = interpreter();
  auto run = prepare(*device, program, kPlenty).value();
  REQUIRE(run->set_input("x", file_source(fileno(file.get()), 8, bytes, file)).ok());
  REQUIRE(run->advance(0, 1, {}).value());
  const auto loaded = values<int32_t>(run->carried("x"));
  CHECK(std::equal(loaded.begin(), loaded.end(), numbers.begin() + 2));
}

TEST_CASE("a file that ends before its tensor is a problem when it is read, and the input counts as not given") {
  const auto file = file_of({1, 2, 3});
  const auto device = interpreter();
  auto run = prepare(*device, doubling(4), kPlenty).value();
  CHECK(run->set_input("x", file_source(fileno(file.get()), 0, 16, file)).problem().code == "input_truncated");
  CHECK(run->advance(0, 1, {}).problem().code == "missing_input");
}

TEST_CASE("a fed file that ends early ends the run, whose values are then refused") {
  const auto file = file_of({1, 2, 3, 4, 5});
  const auto device = interpreter();
  Program program = doubling(2);
  program.steps = 3;
  program.feed = {{"x", 3, false}};
  auto run = prepare(*device, program, 768).value();  // no room for the whole feed: its slices are read step by step
  REQUIRE(run->set_input("x", file_source(fileno(file.get()), 0, 24, file)).ok());
  CHECK(run->advance(0, 3, {}).problem().code == "input_truncated");
  CHECK(run->kept("y").problem().code == "run_stopped");
  auto roomy = prepare(*device, program, kPlenty).value();  // the whole feed is read at once
  CHECK(roomy->set_input("x", file_source(fileno(file.get()), 0, 24, file)).problem().code == "input_truncated");
  CHECK(roomy->advance(0, 3, {}).problem().code == "missing_input");
}

TEST_CASE("reading past the end of a source is refused, not wrapped") {
  const auto memory = source(std::vector<int32_t>{1, 2});
  std::byte out[4];
  CHECK(memory->read(4, out).ok());
  CHECK(memory->read(5, out).problem().code == "input_truncated");
  CHECK(memory->read(UINT64_MAX, out).problem().code == "input_truncated");
}
