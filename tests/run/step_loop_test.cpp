#include <catch2/catch.hpp>
#include <cmath>

#include "engine/meter/meter.h"
#include "engine/run/run.h"
#include "tests/run/graphs.h"
#include "tests/run/small_allocations.h"

using namespace quarry;
using namespace quarry::run;
using namespace quarry::test;
using graph::DType;
using graph::Op;

namespace {

struct Outcome {
  std::vector<uint32_t> w, before, losses;  // bits: a NaN equals itself
  bool operator==(const Outcome&) const = default;
};

void set_batches(Run& run) {
  REQUIRE(run.set_input("x", source(batches())).ok());
}

Outcome outcome(Run& run) {
  return {values<uint32_t>(run.carried("w")), values<uint32_t>(run.carried("before")),
          values<uint32_t>(run.kept("loss"))};
}

Outcome in_one_go(device::Device& device, int64_t steps, uint64_t memory = kPlenty) {
  auto run = prepare(device, training_program(steps), memory).value();
  set_batches(*run);
  REQUIRE(run->set_input("w", source(kStart)).ok());
  REQUIRE(run->set_input("before", source(kStart)).ok());
  REQUIRE(run->advance(0, steps, {}).value());
  return outcome(*run);
}

// y = x + 1, carried, on a vector of this length.
Program counter(int64_t length, int64_t steps) {
  graph::Builder b;
  const int64_t shape[] = {length};
  b.output("y", b.binary(Op::Add, b.input("x", DType::I32, shape), b.constant_f64(DType::I32, shape, 1)));
  Program program;
  program.graph = normal(b);
  program.steps = steps;
  program.carry = {{"x", "y"}};
  program.keep = {{"y", KeepMode::Last}};
  return program;
}

}  // namespace

#define ON_EACH_DEVICE(device) \
  for (const auto& [selector, device] : devices_here()) DYNAMIC_SECTION("on " << selector)

TEST_CASE("a run in segments, each resumed from the carried state, gives the bits of a run in one go") {
  ON_EACH_DEVICE(device) {
    const Outcome whole = in_one_go(*device, 10);
    CHECK(whole.losses.size() == 10);
    Outcome joined;
    joined.w.resize(kStart.size());
    std::memcpy(joined.w.data(), kStart.data(), sizeof(float) * kStart.size());
    joined.before = joined.w;
    for (const auto& [from, count] : std::vector<std::pair<int64_t, int64_t>>{{0, 3}, {3, 4}, {7, 1}, {8, 2}}) {
      auto run = prepare(*device, training_program(10), kPlenty).value();  // another box knows only the carried state
      set_batches(*run);
      REQUIRE(run->set_input("w", source(joined.w)).ok());
      REQUIRE(run->set_input("before", source(joined.before)).ok());
      REQUIRE(run->advance(from, count, {}).value());
      const Outcome part = outcome(*run);
      joined.w = part.w;
      joined.before = part.before;
      joined.losses.insert(joined.losses.end(), part.losses.begin(), part.losses.end());
    }
    CHECK(joined == whole);
  }
}

TEST_CASE("one run that advances in parts gives the bits of a run in one go") {
  ON_EACH_DEVICE(device) {
    auto run = prepare(*device, training_program(10), kPlenty).value();
    set_batches(*run);
    REQUIRE(run->set_input("w", source(kStart)).ok());
    REQUIRE(run->set_input("before", source(kStart)).ok());
    for (const int64_t from : {0, 5}) REQUIRE(run->advance(from, 5, {}).value());
    CHECK(outcome(*run) == in_one_go(*device, 10));
  }
}

TEST_CASE("carries are assigned together: a carried input's old value reaches the input it is carried into") {
  ON_EACH_DEVICE(device) {
    auto run = prepare(*device, training_program(2), kPlenty).value();
    set_batches(*run);
    REQUIRE(run->set_input("w", source(kStart)).ok());
    REQUIRE(run->set_input("before", source(kStart)).ok());
    REQUIRE(run->advance(0, 1, {}).value());
    const auto after_first = values<float>(run->carried("w"));
    CHECK(values<float>(run->carried("before")) == kStart);
    CHECK(values<float>(run->kept("w_next")) == after_first);
    REQUIRE(run->advance(1, 1, {}).value());
    CHECK(values<float>(run->carried("before")) == after_first);
  }
}

TEST_CASE("one output carried into two inputs, and two inputs that swap") {
  ON_EACH_DEVICE(device) {
    graph::Builder b;
    const int64_t shape[] = {2};
    const auto a = b.input("a", DType::F32, shape), c = b.input("c", DType::F32, shape);
    const auto sum = b.binary(Op::Add, a, c);
    b.output("sum", sum);
    b.output("p_now", b.input("p", DType::F32, shape));
    b.output("q_now", b.input("q", DType::F32, shape));
    Program program;
    program.graph = normal(b);
    program.steps = 3;
    program.carry = {{"a", "sum"}, {"c", "sum"}, {"p", "q_now"}, {"q", "p_now"}};
    program.keep = {{"sum", KeepMode::Each}};
    auto run = prepare(*device, program, kPlenty).value();
    for (const auto& [name, start] : std::vector<std::pair<std::string, float>>{{"a", 1}, {"c", 2}, {"p", 3}, {"q", 4}})
      REQUIRE(run->set_input(name, source(std::vector<float>{start, -start})).ok());
    REQUIRE(run->advance(0, 3, {}).value());
    CHECK(values<float>(run->kept("sum")) == std::vector<float>{3, -3, 6, -6, 12, -12});
    CHECK(values<float>(run->carried("a")) == std::vector<float>{12, -12});
    CHECK(values<float>(run->carried("c")) == std::vector<float>{12, -12});
    CHECK(values<float>(run->carried("p")) == std::vector<float>{4, -4});
    CHECK(values<float>(run->carried("q")) == std::vector<float>{3, -3});
  }
}

TEST_CASE("a row update of a carried input is done in place") {
  ON_EACH_DEVICE(device) {
    graph::Builder b;
    const int64_t shape[] = {4, 2}, one[] = {1, 1};
    const auto old_value = b.input("cache", DType::F32, shape);
    const auto row = b.expand(b.reshape(b.step(), one), shape);
    const auto is_row = b.cast(b.binary(Op::CmpEq, b.iota(DType::I32, shape, 0), row), DType::F32);
    const auto fresh = b.expand(b.reshape(b.cast(b.step(), DType::F32), one), shape);
    const auto not_row = b.binary(Op::Sub, b.constant_f64(DType::F32, shape, 1), is_row);
    b.output("cache_next", b.binary(Op::Mul, b.binary(Op::Pow, fresh, is_row), b.binary(Op::Pow, old_value, not_row)));
    Program program;
    program.graph = normal(b);
    program.first_step = 1;
    program.steps = 2;
    program.carry = {{"cache", "cache_next"}};
    program.keep = {{"cache_next", KeepMode::Last}};
    auto run = prepare(*device, program, kPlenty).value();
    CHECK(run->timings().arena_bytes == 256);  // one copy of the cache
    const float inf = INFINITY;
    REQUIRE(run->set_input("cache", source(std::vector<float>{inf, 9, 9, 9, 9, 9, -9, inf})).ok());
    REQUIRE(run->advance(1, 2, {}).value());
    const std::vector<float> expected{inf, 9, 1, 1, 2, 2, -9, inf};
    CHECK(values<float>(run->carried("cache")) == expected);
    CHECK(values<float>(run->kept("cache_next")) == expected);
  }
}

TEST_CASE("a fed tensor is read slice by slice, from the step's number on, wrapping when asked") {
  ON_EACH_DEVICE(device) {
    graph::Builder b;
    const int64_t shape[] = {2};
    const auto x = b.input("x", DType::I32, shape);
    b.output("twice", b.binary(Op::Add, x, x));
    b.output("same", x);
    Program program;
    program.graph = normal(b);
    program.first_step = 2;
    program.steps = 4;
    program.feed = {{"x", 3, true}};
    program.keep = {{"twice", KeepMode::Each}, {"same", KeepMode::Each}};
    auto run = prepare(*device, program, kPlenty).value();
    REQUIRE(run->set_input("x", source(std::vector<int32_t>{0, 1, 10, 11, 20, 21})).ok());
    REQUIRE(run->advance(2, 4, {}).value());
    CHECK(values<int32_t>(run->kept("twice")) == std::vector<int32_t>{40, 42, 0, 2, 20, 22, 40, 42});
    CHECK(values<int32_t>(run->kept("same")) == std::vector<int32_t>{20, 21, 0, 1, 10, 11, 20, 21});
  }
}

TEST_CASE("every kept value arrives, whether the rings on the device have room for many or for none") {
  const auto device = interpreter();
  const uint64_t least = [&] {
    uint64_t bytes = 0;
    while (!prepare(*device, training_program(5), bytes).ok()) bytes += 256;
    return bytes;
  }();
  const Outcome expected = in_one_go(*device, 3000);
  REQUIRE(expected.losses.size() == 3000);
  CHECK(in_one_go(*device, 3000, least) == expected);
  CHECK(in_one_go(*device, 3000, least + 768) == expected);
}

TEST_CASE(
    "a run takes no more device memory than its bound, scratch and kept values included, and gives the same bits") {
  Program program = training_program(40);
  meter::Usage usage{program.carry, {"x"}};
  const uint64_t bound = meter::count(*program.graph, usage)->memory_bound_bytes;
  ON_EACH_DEVICE(device) {
    auto run = prepare(*device, program, bound);
    REQUIRE(run.ok());
    CHECK((*run)->timings().arena_bytes <= bound);
    CHECK(in_one_go(*device, 40, bound) == in_one_go(*device, 40));
  }
}

TEST_CASE("a run whose values need not lie in one allocation gives the bits of one whose values do") {
  ON_EACH_DEVICE(device) {
    SmallAllocations small(*device, 256);  // each value of the step has an allocation of its own
    CHECK(in_one_go(small, 10) == in_one_go(*device, 10));
    CHECK(small.allocations() > 8);
  }
}

TEST_CASE("a value larger than the device's largest allocation is refused with both sizes") {
  const auto device = interpreter();
  SmallAllocations small(*device, 1 << 20);
  CHECK(prepare(small, counter(1 << 18, 1), kPlenty).ok());  // two copies of a mebibyte
  const auto run = prepare(small, counter((1 << 18) + 1, 1), kPlenty);
  REQUIRE_FALSE(run.ok());
  CHECK(run.problem().code == "out_of_memory");
  CHECK(run.problem().detail.find("1048580") != std::string::npos);
  CHECK(run.problem().detail.find("1048576") != std::string::npos);
}

TEST_CASE("the parts of split reductions stay within the memory bound, however large or small it is") {
  for (const int64_t length : {int64_t{1} << 12, int64_t{1} << 23}) {
    graph::Builder b;
    const int64_t shape[] = {length, 2}, axis[] = {0}, x_shape[] = {1, 2};
    const auto x = b.expand(b.input("x", DType::F64, x_shape), shape);
    b.output("y", b.reduce(Op::ReduceSum, b.binary(Op::Mul, x, x), axis));
    Program program;
    program.graph = normal(b);
    program.keep = {{"y", KeepMode::Last}};
    const uint64_t bound = meter::count(*program.graph, {})->memory_bound_bytes;
    for (const auto& [selector, device] : devices_here()) {
      if (selector == "interpreter") continue;  // one sum of 2^24 products is seconds there
      INFO("on " << selector << ", " << length);
      auto run = prepare(*device, program, bound);
      REQUIRE(run.ok());
      CHECK((*run)->timings().arena_bytes <= bound);
      REQUIRE((*run)->set_input("x", source(std::vector<double>{1, 2})).ok());
      REQUIRE((*run)->advance(0, 1, {}).value());
      CHECK(values<double>((*run)->kept("y")) ==
            std::vector<double>{static_cast<double>(length), static_cast<double>(4 * length)});
    }
  }
}

TEST_CASE("a plan over the memory limit is refused before anything runs") {
  const auto device = interpreter();
  const auto run = prepare(*device, counter(1 << 20, 1), (8 << 20) - 1);  // both copies of the carried value
  REQUIRE_FALSE(run.ok());
  CHECK(run.problem().code == "memory_bound_exceeded");
  CHECK(prepare(*device, counter(1 << 20, 1), 8 << 20).ok());
}

TEST_CASE("a size that no machine has is refused, not wrapped") {
  graph::Builder b;
  const int64_t shape[] = {int64_t{1} << 40};
  graph::NodeId sum = b.input("x0", DType::F64, shape);
  for (int i = 1; i < 300; ++i) sum = b.binary(Op::Add, sum, b.input("x" + std::to_string(i), DType::F64, shape));
  b.output("y", sum);
  Program program;
  program.graph = normal(b);
  const auto device = interpreter();
  CHECK(prepare(*device, program, UINT64_MAX).problem().code == "out_of_memory");
  CHECK(prepare(*device, program, kPlenty).problem().code == "memory_bound_exceeded");
}

TEST_CASE("an observer sees the last step and may stop the run between launches") {
  const auto device = interpreter();
  auto run = prepare(*device, counter(4, 1000), kPlenty).value();
  REQUIRE(run->set_input("x", source(std::vector<int32_t>{0, 1, 2, 3})).ok());
  int64_t last = -1;
  REQUIRE(run->advance(0, 500,
                       [&](const StepReport& report) {
                         CHECK(report.steps_total == 500);
                         CHECK(report.step + 1 == report.steps_done);
                         CHECK(report.steps_done >= last);
                         last = report.steps_done;
                         return true;
                       })
              .value());
  CHECK(last == 500);
  CHECK_FALSE(run->advance(500, 500, [](const StepReport&) { return false; }).value());
  CHECK(run->carried("x").problem().code == "run_stopped");
  CHECK(run->advance(500, 1, {}).problem().code == "run_stopped");
}

TEST_CASE("an observer sees every kernel compiled and may stop before each") {
  const auto device = interpreter();
  std::vector<std::pair<size_t, size_t>> seen;
  const auto run = prepare(*device, training_program(4), kPlenty, [&](size_t compiled, size_t of) {
                     seen.emplace_back(compiled, of);
                     return true;
                   }).value();
  const size_t kernels = run->timings().kernels;
  REQUIRE(kernels > 1);
  REQUIRE(seen.size() == kernels + 1);
  for (size_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == std::pair{i, kernels});

  for (size_t stop_at = 0; stop_at <= kernels; ++stop_at) {
    const auto stopped =
        prepare(*device, training_program(4), kPlenty, [&](size_t compiled, size_t) { return compiled < stop_at; });
    REQUIRE_FALSE(stopped.ok());
    CHECK(stopped.problem().code == "cancelled");
  }
}

TEST_CASE("an observer hears how far the first step has come") {
  const auto device = interpreter();
  auto run = prepare(*device, training_program(4), kPlenty).value();
  set_batches(*run);
  REQUIRE(run->set_input("w", source(kStart)).ok());
  REQUIRE(run->set_input("before", source(kStart)).ok());
  std::vector<StepReport> reports;
  REQUIRE(run->advance(0, 4, [&](const StepReport& report) { return reports.push_back(report), true; }).value());
  CHECK(reports.front().steps_done == 0);  // the first wait comes after the first launch
  CHECK(reports.front().launches_done == 1);
  CHECK(reports.back().steps_done == 4);
  CHECK(reports.back().launches_done == 0);
}

TEST_CASE("reset makes a run fresh for other inputs and another seed") {
  const auto device = interpreter();
  const Outcome expected = in_one_go(*device, 4);
  auto run = prepare(*device, training_program(4), kPlenty).value();
  const auto whole = [&] {
    set_batches(*run);
    REQUIRE(run->set_input("w", source(kStart)).ok());
    REQUIRE(run->set_input("before", source(kStart)).ok());
    REQUIRE(run->advance(0, 4, {}).value());
    return outcome(*run);
  };
  CHECK(whole() == expected);
  REQUIRE(run->reset(7).ok());
  CHECK(run->advance(0, 1, {}).problem().code == "missing_input");
  CHECK_FALSE(whole() == expected);
  REQUIRE(run->reset(42).ok());
  CHECK(whole() == expected);
}

TEST_CASE("inputs of the wrong size, unknown names and steps outside the program are refused with their names") {
  const auto device = interpreter();
  auto run = prepare(*device, training_program(4), kPlenty).value();
  CHECK(run->set_input("w", source(std::vector<float>(5))).problem().code == "shape_mismatch");
  CHECK(run->set_input("x", source(std::vector<float>(12))).problem().code == "shape_mismatch");
  CHECK(run->set_input("nothing", source(kStart)).problem().code == "unknown_input");
  CHECK(run->advance(0, 1, {}).problem().code == "missing_input");
  set_batches(*run);
  REQUIRE(run->set_input("w", source(kStart)).ok());
  REQUIRE(run->set_input("before", source(kStart)).ok());
  CHECK(run->advance(0, 5, {}).problem().code == "invalid_steps");
  CHECK(run->advance(-1, 1, {}).problem().code == "invalid_steps");
  CHECK(run->advance(0, INT64_MAX, {}).problem().code == "invalid_steps");
  CHECK(run->kept("w_next").problem().code == "no_steps_yet");
  REQUIRE(run->advance(0, 2, {}).value());
  CHECK(run->advance(0, 1, {}).problem().code == "invalid_steps");
  CHECK(run->kept("w_now").problem().code == "unknown_output");
  CHECK(run->carried("x").problem().code == "unknown_input");
}

TEST_CASE("values without elements are run, kept and carried as nothing") {
  ON_EACH_DEVICE(device) {
    auto run = prepare(*device, counter(0, 3), 256).value();
    REQUIRE(run->set_input("x", source(std::vector<int32_t>{})).ok());
    REQUIRE(run->advance(0, 3, {}).value());
    CHECK(run->kept("y")->empty());
    CHECK(run->carried("x")->empty());
  }
}

TEST_CASE("a stranger's bool of any byte is 0 or 1 on the device") {
  ON_EACH_DEVICE(device) {
    graph::Builder b;
    const int64_t shape[] = {4};
    const auto x = b.input("x", DType::Bool, shape);
    b.output("y", b.cast(x, DType::I32));
    b.output("z", x);
    Program program;
    program.graph = normal(b);
    program.keep = {{"y", KeepMode::Last}, {"z", KeepMode::Last}};
    auto run = prepare(*device, program, kPlenty).value();
    REQUIRE(run->set_input("x", source(std::vector<uint8_t>{0, 1, 2, 255})).ok());
    REQUIRE(run->advance(0, 1, {}).value());
    CHECK(values<int32_t>(run->kept("y")) == std::vector<int32_t>{0, 1, 1, 1});
    CHECK(values<uint8_t>(run->kept("z")) == std::vector<uint8_t>{0, 1, 1, 1});
  }
}
