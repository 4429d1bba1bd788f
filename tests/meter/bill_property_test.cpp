// What restructuring does to a bill (docs/metering.md, What does not change a bill), over random graphs.
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "tests/meter/graphs.h"

namespace quarry::testing {
namespace {

using meter::StepCount;

/// One value computed from earlier ones; all have the same shape, so that any two can meet.
struct Line {
  int kind;
  size_t x, y;  ///< earlier lines
};
constexpr int kKinds = 14;
constexpr int kWidening = 11;

struct Recipe {
  Shape shape;
  size_t inputs;
  std::vector<Line> lines;  ///< the first `inputs` are INPUTs
  std::set<size_t> outputs;

  static Recipe random(uint64_t seed, size_t inputs) {
    std::mt19937_64 engine(seed);
    const auto up_to = [&](size_t most) { return engine() % (most + 1); };
    constexpr int64_t kSides[] = {3, 16, 300, 4'096};
    Recipe recipe{{kSides[up_to(3)], kSides[up_to(3)]}, inputs, std::vector<Line>(inputs), {}};
    const size_t lines = inputs + 2 + up_to(30);
    while (recipe.lines.size() < lines) {
      // Mostly recent values, so that graphs are deep.
      const auto earlier = [&] {
        const size_t count = recipe.lines.size();
        return count - 1 - std::min({up_to(count - 1), up_to(count - 1), up_to(count - 1)});
      };
      recipe.lines.push_back({static_cast<int>(up_to(kKinds - 1)), earlier(), earlier()});
    }
    for (size_t i = 0; i < 3; ++i) recipe.outputs.insert(inputs + up_to(lines - inputs - 1));
    recipe.outputs.insert(lines - 1);
    return recipe;
  }
};

NodeId mirrored(Pen& pen, NodeId x) {
  return pen.strided(x, {1, -1});
}

NodeId moved_up(Pen& pen, NodeId x) {
  const Shape shape = pen.size_of(x);
  return pen.padded(pen.cut(x, {{1, shape[0]}, {0, shape[1]}}), {{0, 1}, {0, 0}});
}

NodeId written(Pen& pen, const Line& line, NodeId x, NodeId y) {
  const Shape shape = pen.size_of(x);
  switch (line.kind) {
    case 0:
      return pen.add(x, y);
    case 1:
      return pen.sub(x, y);
    case 2:
      return pen.mul(x, y);
    case 3:
      return pen.max(x, y);
    case 4:
      return pen.div(x, y);
    case 5:
      return pen.exp(x);
    case 6:
      return pen.log(pen.add(x, pen.like(x, 1)));
    case 7:
      return pen.mul(moved_up(pen, x), y);
    case 8:
      return pen.add(mirrored(pen, x), y);
    case 9:
      return pen.to(pen.sum(pen.mul(x, y), {1}), shape);
    case 10:
      return pen.to(pen.greatest(x, {0}), shape);
    case 11:
      return pen.cast(pen.cast(x, DType::BF16), DType::F32);
    case 12:
      return pen.select(pen.equal(x, y), x, y);
    default:
      return pen.pow(x, pen.like(x, 2));
  }
}

std::string input_name(size_t line) {
  return "v" + std::to_string(line);
}

/// Writes the lines [first, last) that `wanted` needs; earlier ones become INPUTs.
class Part {
 public:
  Part(const Recipe& recipe, size_t first, size_t last) : recipe_(recipe), nodes_(last, graph::kNoNode) {
    for (size_t i = 0; i < last; ++i) {
      if (i < first || i < recipe.inputs) continue;
      const Line& line = recipe.lines[i];
      nodes_[i] = written(pen, line, node(line.x), node(line.y));
    }
  }
  NodeId node(size_t line) {
    if (nodes_[line] == graph::kNoNode) nodes_[line] = pen.in(input_name(line), recipe_.shape);
    return nodes_[line];
  }
  Pen pen;

 private:
  const Recipe& recipe_;
  std::vector<NodeId> nodes_;
};

graph::Graph whole(const Recipe& recipe) {
  Part part(recipe, 0, recipe.lines.size());
  for (size_t line : recipe.outputs) part.pen.output(input_name(line), part.node(line));
  return part.pen.done();
}

Int128 total(const StepCount& step, bool with_job_constant) {
  return static_cast<Int128>(meter::metered(step, 1, with_job_constant)->count);
}

/// F without what finds elements: that depends on which values are stored, as bytes do.
UInt128 arithmetic(const StepCount& step) {
  return step.weighted_total().count - step.index_work;
}

bool same(const StepCount& a, const StepCount& b) {
  return a.flops == b.flops && a.weighted == b.weighted && a.bytes == b.bytes && a.stored_values == b.stored_values &&
         a.memory_bound_bytes == b.memory_bound_bytes;
}

TEST_CASE("the order of nodes, dead nodes and repeated nodes do not change a bill") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Recipe recipe = Recipe::random(seed, 2);
    std::mt19937_64 engine(seed);
    Pen pen;
    // Written depth first from a random output, each line up to twice, with dead lines in between.
    std::vector<std::vector<NodeId>> nodes(recipe.lines.size());
    for (size_t i = 0; i < recipe.inputs; ++i) nodes[i] = {pen.in(input_name(i), recipe.shape)};
    const auto any = [&](size_t line) { return nodes[line][engine() % nodes[line].size()]; };
    std::vector<size_t> pending(recipe.outputs.rbegin(), recipe.outputs.rend());
    std::shuffle(pending.begin(), pending.end(), engine);
    while (!pending.empty()) {
      const size_t at = pending.back();
      const Line& line = recipe.lines[at];
      if (at >= recipe.inputs && nodes[at].empty() && (nodes[line.x].empty() || nodes[line.y].empty())) {
        pending.push_back(nodes[line.y].empty() ? line.y : line.x);
        continue;
      }
      pending.pop_back();
      if (at < recipe.inputs || nodes[at].size() > 1) continue;
      nodes[at].push_back(written(pen, line, any(line.x), any(line.y)));
      if (engine() % 3 == 0) nodes[at].push_back(written(pen, line, any(line.x), any(line.y)));
      if (engine() % 3 == 0) pen.exp(pen.exp(any(at)));
    }
    for (size_t line : recipe.outputs) pen.output(input_name(line), any(line));
    const graph::Graph other = pen.done();
    REQUIRE(graph::normalise(other).id == graph::normalise(whole(recipe)).id);
    CHECK(same(counted(other), counted(whole(recipe))));
  }
}

TEST_CASE("a graph split into two jobs costs at least as much as one") {
  for (uint64_t seed = 0; seed < 2'000; ++seed) {
    const Recipe recipe = Recipe::random(seed, 2);
    const size_t cut = recipe.inputs + 1 + seed % (recipe.lines.size() - recipe.inputs - 1);
    Part first(recipe, 0, cut);
    Part second(recipe, cut, recipe.lines.size());
    std::set<size_t> crossing;
    for (size_t i = cut; i < recipe.lines.size(); ++i) {
      for (size_t operand : {recipe.lines[i].x, recipe.lines[i].y}) {
        if (operand < cut && operand >= recipe.inputs) crossing.insert(operand);
      }
    }
    for (size_t line : recipe.outputs) {
      if (line < cut) crossing.insert(line);
      if (line >= cut) second.pen.output(input_name(line), second.node(line));
    }
    for (size_t line : crossing) first.pen.output(input_name(line), first.node(line));
    if (crossing.empty()) continue;
    const StepCount all = counted(whole(recipe));
    const StepCount early = counted(first.pen.done());
    const StepCount late = counted(second.pen.done());
    INFO("seed " << seed);
    CHECK(early.flops.count + late.flops.count >= all.flops.count);
    CHECK(arithmetic(early) + arithmetic(late) >= arithmetic(all));
    CHECK(total(early, true) + total(late, true) >= total(all, true));
  }
}

TEST_CASE("graphs joined in one job cost what they cost apart, less one job's constant") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Recipe left = Recipe::random(seed, 2);
    const Recipe right = Recipe::random(seed + 1'000'000, 2);
    const StepCount apart[] = {counted(whole(left)), counted(whole(right))};
    Pen pen;
    for (const auto& [recipe, name] : {std::pair(&left, "left "), std::pair(&right, "right ")}) {
      std::vector<NodeId> nodes;
      for (size_t i = 0; i < recipe->lines.size(); ++i) {
        const Line& line = recipe->lines[i];
        nodes.push_back(i < recipe->inputs ? pen.in(name + input_name(i), recipe->shape)
                                           : written(pen, line, nodes[line.x], nodes[line.y]));
      }
      for (size_t line : recipe->outputs) pen.output(name + input_name(line), nodes[line]);
    }
    const StepCount joined = counted(pen.done());
    CHECK(joined.flops.count == apart[0].flops.count + apart[1].flops.count);
    CHECK(joined.weighted_total().count == apart[0].weighted_total().count + apart[1].weighted_total().count);
    CHECK(joined.bytes == apart[0].bytes + apart[1].bytes);
    CHECK(joined.stored_values == apart[0].stored_values + apart[1].stored_values);
    CHECK(joined.memory_bound_bytes <= apart[0].memory_bound_bytes + apart[1].memory_bound_bytes);
  }
}

TEST_CASE("steps written out in one graph do the same work: flops and F are equal") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Recipe recipe = Recipe::random(seed, 1);
    const StepCount step = counted([&] {
      Part part(recipe, 0, recipe.lines.size());
      return part.pen.done(part.node(recipe.lines.size() - 1));
    }());
    constexpr unsigned kSteps = 3;
    Pen pen;
    NodeId carried = pen.in(input_name(0), recipe.shape);
    for (unsigned s = 0; s < kSteps; ++s) {
      std::vector<NodeId> nodes{carried};
      for (size_t i = 1; i < recipe.lines.size(); ++i) {
        const Line& line = recipe.lines[i];
        nodes.push_back(written(pen, line, nodes[line.x], nodes[line.y]));
      }
      carried = nodes.back();
    }
    const StepCount unrolled = counted(pen.done(carried));
    INFO("seed " << seed);
    CHECK(unrolled.flops.count == kSteps * step.flops.count);
    // A value that one step ends by widening may make a narrow contraction in the next: only then F is less.
    const bool widens = std::ranges::any_of(recipe.lines, [](const Line& line) { return line.kind == kWidening; });
    const UInt128 steps = kSteps * arithmetic(step);
    CHECK((widens ? arithmetic(unrolled) <= steps : arithmetic(unrolled) == steps));
  }
}

TEST_CASE("an unrolled training loop, with each step's weights as an output, costs at least its steps") {
  constexpr int64_t kRows = 256, kWide = 64, kNarrow = 10;
  const auto trained = [](Pen& pen, NodeId w, const std::string& x) {
    const NodeId batch = pen.in(x, {kRows, kWide});
    const NodeId gradient = pen.matmul(pen.turned(batch, {1, 0}), pen.exp(pen.matmul(batch, w)));
    return pen.sub(w, pen.mul(gradient, pen.like(gradient, 0.1)));
  };
  Pen once;
  const NodeId w = once.in("w", {kWide, kNarrow});
  once.output("w_next", trained(once, w, "x"));
  const StepCount step = counted(once.done(), {.carry = {{"w", "w_next"}}, .feed = {"x"}});
  Pen many;
  NodeId weights = many.in("w", {kWide, kNarrow});
  for (int i = 0; i < 5; ++i) {
    weights = trained(many, weights, "x" + std::to_string(i));
    many.output("w" + std::to_string(i), weights);
  }
  // What is fed each step is an INPUT there, loaded before the first step: its transfer is paid in both cases.
  const UInt128 fed = 5 * meter::kFlopsPerByte * step.copied_bytes;
  CHECK(total(counted(many.done()), true) >= static_cast<Int128>(meter::metered(step, 5, true)->count - fed));
}

TEST_CASE("unrolling gains no more than what is no longer stored between steps") {
  // x + 1, fifty times: as steps, each is stored; written out, they are one kernel on every device.
  constexpr unsigned kSteps = 50;
  Pen once;
  const NodeId x = once.in("x", {64, 64});
  once.output("next", once.add(x, once.like(x, 1)));
  const StepCount step = counted(once.done(), {.carry = {{"x", "next"}}});
  Pen many;
  NodeId value = many.in("x", {64, 64});
  for (unsigned i = 0; i < kSteps; ++i) value = many.add(value, many.like(value, 1));
  const StepCount unrolled = counted(many.done(value));
  CHECK(unrolled.flops.count == kSteps * step.flops.count);
  CHECK(unrolled.weighted_total().count == kSteps * step.weighted_total().count);
  CHECK(unrolled.stored_values == 1);
  CHECK(unrolled.bytes == step.bytes);
  const Int128 not_stored = kSteps - 1;
  const auto stored_once = static_cast<Int128>(meter::kFlopsPerByte * step.bytes + meter::kFlopsPerStoredValue);
  CHECK(total(step, false) * kSteps - total(unrolled, false) == not_stored * stored_once);
}

TEST_CASE(
    "a graph split in two may store less, and gains by it only where a hundred values are read from many places") {
  // Each value is read at its place and mirrored along either axis, so one graph stores it; two graphs that read it
  // from two places and from one compute it twice instead.
  const auto billed = [](int values, bool straight, bool mirrored) {
    Pen pen;
    NodeId sum = straight && mirrored ? graph::kNoNode : pen.in("so far", {16, 16});
    const auto gather = [&](NodeId value) { sum = sum == graph::kNoNode ? value : pen.add(sum, value); };
    for (int i = 0; i < values; ++i) {
      const NodeId v = pen.add(pen.in("x" + std::to_string(i), {16, 16}), pen.full({16, 16}, i));
      if (straight) gather(v);
      if (straight) gather(pen.strided(v, {-1, 1}));
      if (mirrored) gather(pen.strided(v, {-1, -1}));
    }
    return total(counted(pen.done(sum)), true);
  };
  for (int values : {1, 20, 100})
    CHECK(billed(values, true, false) + billed(values, false, true) >= billed(values, true, true));
  CHECK(billed(200, true, false) + billed(200, false, true) < billed(200, true, true));
}

}  // namespace
}  // namespace quarry::testing
