// Idioms are sound: whatever is matched in random graphs has the meaning that idioms.h gives it, element by element.
#include <catch2/catch.hpp>
#include <random>

#include "engine/graph/idioms.h"
#include "tests/meter/evaluate.h"
#include "tests/meter/graphs.h"

namespace quarry::testing {
namespace {

using graph::Graph;

class Scribbler : public Pen {
 public:
  explicit Scribbler(uint64_t seed) : random_(seed) {}

  int64_t up_to(int64_t most) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(most + 1)); }
  bool sometimes() { return up_to(2) == 0; }

  Shape any_shape() {
    Shape shape(static_cast<size_t>(1 + up_to(2)));
    for (int64_t& size : shape) size = 1 + up_to(4);
    return shape;
  }

  /// One random movement that keeps the value small.
  NodeId moved(NodeId node) {
    Shape shape = size_of(node);
    if (shape.empty()) return as(node, {1});
    const auto axis = static_cast<size_t>(up_to(static_cast<int64_t>(shape.size()) - 1));
    if (shape[axis] == 0) return sometimes() ? padded(node, std::vector<Pair>(shape.size(), Pair{1, 0})) : node;
    std::vector<Pair> none(shape.size(), Pair{0, 0}), all;
    for (int64_t size : shape) all.push_back({0, size});
    Shape ones(shape.size(), 1);
    switch (up_to(8)) {
      case 0: {
        Shape axes(shape.size());
        for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
        std::shuffle(axes.begin(), axes.end(), random_);
        return turned(node, axes);
      }
      case 1:
        if (shape[axis] == 1) shape[axis] = 1 + up_to(4);
        return to(node, shape);
      case 2: {
        const int64_t first = up_to(shape[axis] - 1);
        all[axis] = {first, first + 1 + up_to(shape[axis] - first - 1)};
        return cut(node, all);
      }
      case 3:
        ones[axis] = sometimes() ? -1 : 1 + up_to(1);
        return strided(node, ones);
      case 4:
        none[axis] = sometimes() ? Pair{up_to(1), up_to(1)} : Pair{0, 0};
        return padded(node, none);
      case 5: {  // merge an axis into the next
        if (axis + 1 == shape.size()) return node;
        shape[axis] *= shape[axis + 1];
        shape.erase(shape.begin() + static_cast<int64_t>(axis) + 1);
        return as(node, shape);
      }
      default: {  // split an axis
        if (shape.size() > 3) return node;
        for (int64_t part : {2, 3}) {
          if (shape[axis] % part != 0) continue;
          shape[axis] /= part;
          shape.insert(shape.begin() + static_cast<int64_t>(axis) + up_to(1), part);
          return as(node, shape);
        }
        shape.insert(shape.begin() + static_cast<int64_t>(axis), 1);
        return as(node, shape);
      }
    }
  }

  NodeId wander(NodeId node, int64_t most_steps) {
    for (int64_t i = up_to(most_steps); i > 0; --i) node = moved(node);
    return node;
  }

  /// CMPEQ of a wandering IOTA and an index spread over some of its axes, then moved on.
  NodeId mask() {
    const Shape first = any_shape();
    const NodeId iota = wander(counting(first, static_cast<int>(up_to(static_cast<int64_t>(first.size()) - 1))), 5);
    Shape small = size_of(iota);
    for (int64_t& size : small) size = sometimes() ? size : 1;
    const NodeId index = to(in("index", small, DType::I32), size_of(iota));
    return wander(sometimes() ? equal(iota, index) : equal(index, iota), 4);
  }

  /// Sizes at which arithmetic on shapes goes wrong first.
  Shape odd_shape() {
    constexpr int64_t kSizes[] = {0, 1, 2, 3, 7, 1 << 10, (1 << 20) - 1, int64_t{1} << 31, (int64_t{1} << 40) - 3};
    Shape shape(static_cast<size_t>(up_to(3)));
    for (int64_t& size : shape) size = kSizes[up_to(sometimes() ? 8 : 5)];
    return shape;
  }

  /// An INPUT of one element spread over a shape.
  NodeId spread(const std::string& name, const Shape& shape, DType dtype) {
    return to(in(name, Shape(shape.size(), 1), dtype), shape);
  }

  Values any_values(int64_t count) {
    Values values(static_cast<size_t>(count));
    for (int64_t& value : values) value = up_to(7) - 1;
    return values;
  }

 private:
  std::mt19937_64 random_;
};

/// What the index says at each position of the mask: the mask's movement with the comparison's value replaced by the
/// index.
Values index_at_mask(const Graph& graph, const std::vector<Values>& values, NodeId mask, NodeId comparison,
                     NodeId index, std::map<NodeId, Values> given) {
  given[comparison] = values[index];
  return evaluate(graph, given)[mask];
}

TEST_CASE("every gather that is matched gathers") {
  int matched = 0;
  for (uint64_t seed = 0; seed < 4'000; ++seed) {
    Scribbler pen(seed);
    const NodeId mask = pen.mask();
    const Shape shape = pen.size_of(mask);
    const NodeId table = pen.in("table", shape, DType::I32);
    const int64_t axis = pen.up_to(static_cast<int64_t>(shape.size()) - 1);
    const Graph graph = pen.done(pen.sum(pen.sometimes() ? pen.mul(mask, table) : pen.mul(table, mask), {axis}));
    const auto gather = graph::match_gather(graph, graph.find_output("y"));
    if (!gather) continue;
    ++matched;
    REQUIRE(gather->axis == axis);
    std::map<NodeId, Values> given;
    for (NodeId input : graph.inputs()) given[input] = pen.any_values(graph.elements(input));
    const auto values = evaluate(graph, given);
    const Values index = index_at_mask(graph, values, gather->mask, gather->comparison, gather->index, given);
    for_each_position(shape, [&](std::vector<int64_t> at) {
      const int64_t position = index[static_cast<size_t>(flat_position(shape, at))] - gather->offset;
      at[static_cast<size_t>(axis)] = position;
      const bool is_inside = position >= 0 && position < shape[static_cast<size_t>(axis)];
      const int64_t expected = is_inside ? values[gather->table][static_cast<size_t>(flat_position(shape, at))] : 0;
      at[static_cast<size_t>(axis)] = 0;
      const NodeId sum = graph.find_output("y");
      REQUIRE(values[sum][static_cast<size_t>(flat_position(graph.shape(sum), at))] == expected);
    });
  }
  INFO(matched << " of 4,000 were gathers");
  CHECK(matched > 400);
}

TEST_CASE("every row update that is matched writes those rows and no others") {
  int matched = 0;
  for (uint64_t seed = 0; seed < 3'000; ++seed) {
    Scribbler pen(seed);
    const NodeId mask = pen.mask();
    const Shape shape = pen.size_of(mask);
    const NodeId updated = pen.select(mask, pen.in("new", shape, DType::I32), pen.in("old", shape, DType::I32));
    const Graph graph = pen.done(updated);
    const auto zero_or_one = graph::zero_or_one_values(graph);
    const auto update = graph::match_row_update(graph, zero_or_one, updated);
    const auto select = graph::match_select(graph, zero_or_one, updated);
    REQUIRE(select);
    if (!update) continue;
    ++matched;
    std::map<NodeId, Values> given;
    for (NodeId input : graph.inputs()) given[input] = pen.any_values(graph.elements(input));
    for (NodeId input : {update->old_value, update->new_value}) {
      for (int64_t& value : given[input]) value += 1;  // 0 and above: integer POW of small exponents only
    }
    const auto values = evaluate(graph, given);
    const Values index = index_at_mask(graph, values, select->condition, update->comparison, update->index, given);
    size_t here = 0;
    for_each_position(shape, [&](const std::vector<int64_t>& at) {
      const bool is_written = at[static_cast<size_t>(update->axis)] + update->offset == index[here];
      REQUIRE(values[updated][here] == values[is_written ? update->new_value : update->old_value][here]);
      ++here;
    });
  }
  CHECK(matched > 300);
}

TEST_CASE("every value that is said to be 0 or 1 is") {
  int proved = 0;
  for (uint64_t seed = 0; seed < 1'000; ++seed) {
    Scribbler pen(seed);
    std::vector<NodeId> nodes{pen.in("x", {2, 3}, DType::I32), pen.full({2, 3}, 1, DType::I32),
                              pen.full({2, 3}, 0, DType::I32), pen.counting({2, 3}, 0), pen.counting({2, 3}, 1)};
    const auto any = [&] { return nodes[static_cast<size_t>(pen.up_to(static_cast<int64_t>(nodes.size()) - 1))]; };
    for (int i = 0; i < 12; ++i) {
      constexpr Op kOps[] = {Op::CmpEq, Op::Mul, Op::Max, Op::Sub, Op::CmpEq};
      nodes.push_back(pen.binary(kOps[pen.up_to(4)], any(), any()));
    }
    for (size_t i = 0; i < nodes.size(); ++i) pen.output("y" + std::to_string(i), nodes[i]);
    const Graph graph = pen.done();
    const auto zero_or_one = graph::zero_or_one_values(graph);
    const auto values = evaluate(graph, {{nodes[0], pen.any_values(6)}});
    for (NodeId node : nodes) {
      if (!zero_or_one[node]) continue;
      ++proved;
      for (int64_t value : values[node]) REQUIRE((value == 0 || value == 1));
    }
  }
  CHECK(proved > 5'000);
}

TEST_CASE("graphs of empty, huge and odd shapes are counted or refused, never worse") {
  int counted_graphs = 0;
  for (uint64_t seed = 0; seed < 5'000; ++seed) {
    Scribbler pen(seed);
    NodeId iota = pen.spread("start", pen.odd_shape(), DType::I32);
    if (!pen.failed() && !pen.size_of(iota).empty()) {
      iota = pen.counting(pen.size_of(iota),
                          static_cast<int>(pen.up_to(static_cast<int64_t>(pen.size_of(iota).size()) - 1)));
    }
    for (int i = 0; i < 6 && !pen.failed(); ++i) iota = pen.moved(iota);
    if (pen.failed()) continue;
    NodeId mask = pen.equal(iota, pen.spread("index", pen.size_of(iota), DType::I32));
    for (int i = 0; i < 3 && !pen.failed(); ++i) mask = pen.moved(mask);
    if (pen.failed()) continue;
    const Shape shape = pen.size_of(mask);
    const NodeId table = pen.spread("table", shape, DType::I32);
    Shape axes;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (pen.sometimes()) axes.push_back(static_cast<int64_t>(axis));
    }
    const NodeId chosen = pen.select(mask, table, pen.spread("old", shape, DType::I32));
    pen.output("y", pen.sum(pen.add(pen.mul(mask, table), chosen), axes));
    if (!axes.empty()) pen.output("gathered", pen.sum(pen.mul(mask, table), axes));
    const auto graph = pen.finish();
    if (!graph.ok()) continue;
    const auto count = meter::count(graph::normalise(graph.value()), {.carry = {{"old", "y"}}, .feed = {"index"}});
    counted_graphs += count.ok() ? 1 : 0;
    CHECK((count.ok() || count.problem().code == "count_overflow" || count.problem().code == "value_too_large"));
  }
  CHECK(counted_graphs > 500);
}

}  // namespace
}  // namespace quarry::testing
