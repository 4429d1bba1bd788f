// Checks a loop nest: run by tests after every pass.
#include "engine/lower/loop_nest.h"

namespace quarry::lower {

namespace {

class Verifier {
 public:
  explicit Verifier(const LoopNest& nest) : nest_(nest) {}

  std::string run() {
    if (nest_.value == kNoExpr) return nest_.result_elements == 0 ? "" : "no value";
    for (ExprId id :
         reachable(nest_.arena, std::vector<ExprId>{nest_.value, nest_.store_index, nest_.store_condition})) {
      check(id);
    }
    const Expr& store = nest_.arena[nest_.store_index];
    if (!is_index(store.kind)) fail(nest_.store_index, "a store index must be an index");
    if (store.low < 0 || store.high >= nest_.result_elements) fail(nest_.store_index, "stores outside the result");
    if (!is_condition(nest_.arena[nest_.store_condition].kind)) fail(nest_.store_condition, "not a condition");
    return problem_;
  }

 private:
  void fail(ExprId id, const std::string& why) {
    if (problem_.empty()) problem_ = why + ": " + to_string(nest_.arena, id);
  }
  bool index_at(ExprId id) const { return id != kNoExpr && is_index(nest_.arena[id].kind); }
  bool condition_at(ExprId id) const { return id != kNoExpr && is_condition(nest_.arena[id].kind); }
  bool value_at(ExprId id) const { return id != kNoExpr && !is_index(nest_.arena[id].kind) && !condition_at(id); }

  void check(ExprId id) {
    const Expr& expr = nest_.arena[id];
    for (ExprId operand : {expr.a, expr.b, expr.c}) {
      if (operand != kNoExpr && operand >= id) fail(id, "an operand must come before its user");
    }
    switch (expr.kind) {
      case Kind::Range:
        if (static_cast<size_t>(expr.x) >= nest_.axes.size() ||
            nest_.axes[static_cast<size_t>(expr.x)].extent != expr.y) {
          fail(id, "a range without its axis");
        }
        return;
      case Kind::Div:
      case Kind::Mod:
        if (!index_at(expr.a) || nest_.arena[expr.a].low < 0 || expr.x < 2)
          fail(id, "div and mod need a >= 0 and a divisor > 1");
        return;
      case Kind::Between:
      case Kind::FromIndex:
      case Kind::Random:
        if (!index_at(expr.a)) fail(id, "needs an index");
        return;
      case Kind::Load:
        check_load(id);
        return;
      case Kind::Guard:
        if (!condition_at(expr.a) || !value_at(expr.b)) fail(id, "needs a condition and a value");
        return;
      case Kind::Position:
      case Kind::Within:
      case Kind::Cast:
        if (!value_at(expr.a)) fail(id, "needs a value");
        return;
      case Kind::Choose:
        if (!value_at(expr.a) || !value_at(expr.b) || !value_at(expr.c)) fail(id, "needs three values");
        return;
      case Kind::Compute:
        if (!value_at(expr.a) || (graph::is_binary(expr.op) && !value_at(expr.b))) fail(id, "needs values");
        return;
      default:
        return;
    }
  }

  void check_load(ExprId id) {
    const Expr& load = nest_.arena[id];
    if (load.x < 0 || static_cast<size_t>(load.x) >= nest_.reads.size()) return fail(id, "no such read");
    if (nest_.reads[static_cast<size_t>(load.x)].dtype != load.dtype) fail(id, "a load must have its buffer's dtype");
    if (!index_at(load.a)) return fail(id, "a load needs an index");
    const bool inside =
        nest_.arena[load.a].low >= 0 && nest_.arena[load.a].high < nest_.reads[static_cast<size_t>(load.x)].elements;
    if (load.b == kNoExpr && !inside) fail(id, "an unguarded load may lie outside its buffer");
    if (load.b != kNoExpr && !condition_at(load.b)) fail(id, "needs a condition");
  }

  const LoopNest& nest_;
  std::string problem_;
};

}  // namespace

std::string verify(const LoopNest& nest) {
  return Verifier(nest).run();
}

}  // namespace quarry::lower
