#include "engine/tile/evaluate.h"

#include <cstring>

#include "engine/graph/number.h"

namespace quarry::tile {

using lower::Arena;
using lower::Expr;
using lower::Kind;

int64_t evaluate_index(const Arena& arena, ExprId id, const Point& point) {
  const Expr& expr = arena[id];
  switch (expr.kind) {
    case Kind::Integer:
      return expr.x;
    case Kind::Range:
      return point.ranges[static_cast<size_t>(expr.x)];
    case Kind::Sum: {
      int64_t sum = expr.x;
      for (const lower::Term& term : arena.terms(id)) sum += term.coefficient * evaluate_index(arena, term.atom, point);
      return sum;
    }
    case Kind::Div:
      return lower::floor_div(evaluate_index(arena, expr.a, point), expr.x);
    case Kind::Mod:
      return lower::floor_mod(evaluate_index(arena, expr.a, point), expr.x);
    case Kind::Position: {
      const uint64_t bits = evaluate_value(arena, expr.a, point);
      const int64_t at = graph::to_integer(arena[expr.a].dtype, bits) - expr.x;
      return at >= 0 && at < expr.y ? at : 0;
    }
    default:
      *point.failure = "an index of a kind that is not one";
      return 0;
  }
}

bool evaluate_condition(const Arena& arena, ExprId id, const Point& point) {
  const Expr& expr = arena[id];
  if (expr.kind == Kind::Between) {
    const int64_t at = evaluate_index(arena, expr.a, point);
    return expr.x <= at && at < expr.y;
  }
  if (expr.kind == Kind::Within) {
    const int64_t at = graph::to_integer(arena[expr.a].dtype, evaluate_value(arena, expr.a, point));
    return expr.x <= at && at < expr.y;
  }
  for (const lower::Term& term : arena.terms(id)) {
    if (!evaluate_condition(arena, term.atom, point)) return false;
  }
  return true;
}

uint64_t evaluate_value(const Arena& arena, ExprId id, const Point& point) {
  const Expr& expr = arena[id];
  switch (expr.kind) {
    case Kind::Literal:
      return static_cast<uint64_t>(expr.x);
    case Kind::Load: {
      if (expr.x == kAccumulator) return point.accumulator;
      const auto argument = static_cast<size_t>(expr.x + 1);
      const int64_t at = evaluate_index(arena, expr.a, point);
      if (at < 0 || at >= (*point.declared)[argument].elements) {
        *point.failure = "element " + std::to_string(at) + " lies outside of " + (*point.declared)[argument].name;
        return 0;
      }
      return load_bits(expr.dtype, point.arguments[argument].data(), at);
    }
    case Kind::FromIndex:
      return graph::from_integer(expr.dtype, evaluate_index(arena, expr.a, point));
    case Kind::Cast:
      return graph::cast_bits(arena[expr.a].dtype, expr.dtype, evaluate_value(arena, expr.a, point));
    case Kind::Choose: {
      const bool one = evaluate_value(arena, expr.a, point) & graph::bit_mask(arena[expr.a].dtype);
      return evaluate_value(arena, one ? expr.b : expr.c, point);
    }
    case Kind::Guard:
      return evaluate_condition(arena, expr.a, point) ? evaluate_value(arena, expr.b, point) : 0;
    default:
      *point.failure = "the interpreter does not know " + lower::to_string(arena, id);
      return 0;
  }
}

uint64_t load_bits(graph::DType dtype, const std::byte* array, int64_t index) {
  uint64_t bits = 0;
  const auto bytes = static_cast<size_t>(graph::byte_size(dtype));
  std::memcpy(&bits, array + index * static_cast<int64_t>(bytes), bytes);
  return bits;
}

void store_bits(graph::DType dtype, std::byte* array, int64_t index, uint64_t bits) {
  const auto bytes = static_cast<size_t>(graph::byte_size(dtype));
  std::memcpy(array + index * static_cast<int64_t>(bytes), &bits, bytes);
}

}  // namespace quarry::tile
