#include "tests/lower/evaluate.h"

#include <catch2/catch.hpp>

namespace quarry::test {

using lower::Arena;
using lower::Expr;
using lower::ExprId;
using lower::Kind;

int64_t evaluate_index(const Arena& arena, ExprId id, const Point& point) {
  const Expr& expr = arena[id];
  int64_t value = expr.x;
  switch (expr.kind) {
    case Kind::Range:
      value = point.at(static_cast<size_t>(expr.x));
      break;
    case Kind::Sum:
      for (const lower::Term& term : arena.terms(id))
        value += term.coefficient * evaluate_index(arena, term.atom, point);
      break;
    case Kind::Div:
      value = lower::floor_div(evaluate_index(arena, expr.a, point), expr.x);
      break;
    case Kind::Mod:
      value = lower::floor_mod(evaluate_index(arena, expr.a, point), expr.x);
      break;
    default:
      break;
  }
  if (value < expr.low || value > expr.high) FAIL("outside its interval: " << to_string(arena, id) << " = " << value);
  return value;
}

bool evaluate_condition(const Arena& arena, ExprId id, const Point& point) {
  const Expr& expr = arena[id];
  if (expr.kind == Kind::Between) {
    const int64_t value = evaluate_index(arena, expr.a, point);
    return value >= expr.x && value < expr.y;
  }
  for (const lower::Term& term : arena.terms(id)) {
    if (!evaluate_condition(arena, term.atom, point)) return false;
  }
  return true;
}

int64_t evaluate_value(const Arena& arena, ExprId id, const Point& point, const std::vector<int64_t>& read) {
  const Expr& expr = arena[id];
  if (expr.kind == Kind::Literal) return expr.x;
  if (expr.kind == Kind::Guard)
    return evaluate_condition(arena, expr.a, point) ? evaluate_value(arena, expr.b, point, read) : 0;
  if (expr.kind != Kind::Load) FAIL("not a movement: " << to_string(arena, id));
  if (expr.b != lower::kNoExpr && !evaluate_condition(arena, expr.b, point)) return 0;
  const int64_t index = evaluate_index(arena, expr.a, point);
  if (index < 0 || index >= static_cast<int64_t>(read.size())) FAIL("loads outside: " << to_string(arena, id));
  return read[static_cast<size_t>(index)];
}

}  // namespace quarry::test
