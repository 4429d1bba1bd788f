// The forms of index_maps.h hold exactly where elements are found: against following each element through movement.
#include <catch2/catch.hpp>
#include <random>

#include "engine/meter/index_maps.h"
#include "tests/meter/evaluate.h"
#include "tests/meter/graphs.h"
#include "tests/meter/hostile.h"

namespace quarry::testing {
namespace {

using meter::FormId;

int64_t value_of(const meter::IndexForms& forms, FormId form, const std::vector<int64_t>& point) {
  int64_t value = forms.offset(form);
  for (const meter::FormTerm& term : forms.terms(form)) {
    const meter::Atom& atom = forms.atom(term.atom);
    const int64_t base = atom.is_axis ? point[atom.base] : value_of(forms, atom.base, point);
    value += term.coefficient * (base / atom.low % atom.size);
  }
  return value;
}

/// x seen through a row of movement; few elements, odd extents.
NodeId moved_about(Pen& pen, std::mt19937_64& random, NodeId x) {
  const auto below = [&](uint64_t count) { return static_cast<int64_t>(random() % count); };
  for (int64_t left = 1 + below(8); left > 0; --left) {
    Shape shape = pen.size_of(x);
    const auto axis = static_cast<size_t>(below(shape.size()));
    std::vector<Pair> pairs;
    for (int64_t size : shape) pairs.push_back({0, size});
    switch (below(6)) {
      case 0: {  // a split or a join
        const int64_t d = 2 + below(4);
        if (shape[axis] % d == 0 && shape.size() < 5) {
          shape[axis] /= d;
          shape.insert(shape.begin() + static_cast<ptrdiff_t>(axis) + 1, d);
        } else if (axis + 1 < shape.size()) {
          shape[axis] *= shape[axis + 1];
          shape.erase(shape.begin() + static_cast<ptrdiff_t>(axis) + 1);
        }
        x = pen.as(x, shape);
        break;
      }
      case 1: {
        Shape axes(shape.size());
        for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
        std::ranges::shuffle(axes, random);
        x = pen.turned(x, axes);
        break;
      }
      case 2: {
        Shape steps(shape.size(), 1);
        steps[axis] = below(2) == 0 ? -1 : 1 + below(3);
        x = pen.strided(x, steps);
        break;
      }
      case 3:
        pairs[axis] = {below(2), shape[axis]};
        if (pairs[axis].before < pairs[axis].after) x = pen.cut(x, pairs);
        break;
      case 4:
        for (Pair& pair : pairs) pair = {0, 0};
        pairs[axis] = {below(2), below(3)};
        x = pen.padded(x, pairs);
        break;
      default: {
        if (shape.size() > 4) break;
        shape.insert(shape.begin() + static_cast<ptrdiff_t>(axis), 1);
        const NodeId wide = pen.as(x, shape);
        shape[axis] = 2 + below(2);
        x = pen.to(wide, shape);
      }
    }
    int64_t elements = 1;
    for (int64_t size : pen.size_of(x)) elements *= size;
    if (elements > 3'000) break;
  }
  return x;
}

TEST_CASE("forms give the element that movement shows, at each point that no PAD hides") {
  std::mt19937_64 random(20'261'130);
  for (int round = 0; round < 1'500; ++round) {
    Pen pen;
    const Shape start{2 + static_cast<int64_t>(random() % 5), 3 + static_cast<int64_t>(random() % 6)};
    pen.output("y", moved_about(pen, random, pen.in("x", start, DType::I32)));
    const graph::Graph graph = pen.done();
    const NodeId x = graph.find_input("x"), y = graph.find_output("y");
    Values numbers;
    for (int64_t i = 0; i < graph.elements(x); ++i) numbers.push_back(1 + i);  // 0 is a PAD's
    const Values shown = evaluate(graph, {{x, numbers}})[y];

    meter::IndexForms forms;
    meter::IndexMaps maps(graph, forms);
    meter::MapId map = maps.identity(y);
    for (NodeId id = y; id != x; id = graph[id].operands[0]) map = maps.through(map, id);
    const FormId position = forms.flattened(maps.coordinates(map), graph.shape(x));
    size_t at = 0;
    bool agrees = true;
    for_each_position(graph.shape(y), [&](const std::vector<int64_t>& point) {
      const int64_t number = shown[at++];
      if (number != 0) agrees = agrees && value_of(forms, position, point) == number - 1;
    });
    INFO("round " << round << "\n" << graph::write_json(graph));
    REQUIRE(agrees);
    REQUIRE_FALSE(forms.is_too_long());
  }
}

}  // namespace
}  // namespace quarry::testing
