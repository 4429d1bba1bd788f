#include "engine/codegen/analysis.h"

#include <algorithm>

namespace quarry::codegen {

using graph::DType;
using graph::Op;
using lower::Expr;
using lower::ExprId;
using lower::Kind;
using lower::LoopNest;

namespace {

constexpr double kGuardedLoad = 3;  // what a load costs more that must stay inside its buffer

double compute_cost(const Expr& expr) {
  if (expr.kind == Kind::Random) return 60;
  if (expr.kind != Kind::Compute) return 1;
  switch (expr.op) {
    case Op::Exp:
      return 14;
    case Op::Log:
      return 20;
    case Op::Pow:
      return 80;
    case Op::Div:
      return graph::is_float(expr.dtype) ? 8 : 40;
    default:
      return 1;
  }
}

}  // namespace

Analysis analyse(const LoopNest& nest) {
  Analysis analysis;
  analysis.store_step = steps(nest, nest.store_index);
  const Expr& root = nest.arena[nest.value];
  const bool is_product = root.kind == Kind::Compute && root.op == Op::Mul && graph::is_float(root.dtype);
  const ExprId fused = nest.reduce == Op::ReduceSum && is_product ? nest.value : lower::kNoExpr;  // part of the sum
  for (ExprId id : lower::reachable(nest.arena, std::vector<ExprId>{nest.value})) {
    const Expr& expr = nest.arena[id];
    if (lower::is_index(expr.kind) && expr.kind != Kind::Div && expr.kind != Kind::Mod && expr.kind != Kind::Position)
      continue;
    if (expr.kind == Kind::Literal || id == fused) continue;
    Item item{.cost = compute_cost(expr), .ranges = expr.ranges, .is_load = expr.kind == Kind::Load, .step = {}};
    if (item.is_load) {
      item.step = steps(nest, expr.a);
      item.bytes = static_cast<int64_t>(graph::byte_size(expr.dtype));
      item.guarded = expr.b != lower::kNoExpr;
    }
    if (item.is_load && expr.b != lower::kNoExpr) {
      item.ranges |= nest.arena[expr.b].ranges;
      item.cost += kGuardedLoad;
    }
    if (!lower::is_index(expr.kind) && !lower::is_condition(expr.kind)) {
      const bool narrow = expr.dtype == DType::F16 || expr.dtype == DType::BF16;  // computed in f32
      analysis.widest_bytes =
          std::max(analysis.widest_bytes, narrow ? 4 : static_cast<int>(graph::byte_size(expr.dtype)));
      if (narrow && expr.kind == Kind::Compute) item.cost += 8;  // rounding
    }
    analysis.items.push_back(std::move(item));
  }
  return analysis;
}

// Of a split reduction: each part of each result is an accumulator in scratch memory. More than 2^20 of them cost more
// to join than the parts save.
int64_t most_parts(const LoopNest& nest, const Target& target) {
  constexpr uint64_t kMostAccumulators = 1 << 20;
  const uint64_t fitting = target.most_scratch_bytes / static_cast<uint64_t>(graph::byte_size(nest.accumulator));
  const auto results = static_cast<uint64_t>(std::max<int64_t>(1, nest.result_elements));
  return static_cast<int64_t>(std::max<uint64_t>(1, std::min(fitting, kMostAccumulators) / results));
}

}  // namespace quarry::codegen
