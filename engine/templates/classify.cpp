#include "engine/templates/classify.h"

#include <algorithm>

namespace quarry::templates {

using graph::DType;
using graph::Op;
using lower::Expr;
using lower::ExprId;
using lower::Kind;
using lower::LoopNest;

namespace {

// An affine index: constant + sum of stride * range.
struct Affine {
  int64_t constant = 0;
  std::vector<int64_t> strides;  // by axis
};

std::optional<Affine> affine(const LoopNest& nest, ExprId index) {
  Affine result{.constant = 0, .strides = std::vector<int64_t>(nest.axes.size())};
  const lower::Linear linear = nest.arena.linear(index);
  result.constant = linear.constant;
  for (const lower::Term& term : linear.terms) {
    const Expr& atom = nest.arena[term.atom];
    if (atom.kind != Kind::Range || term.coefficient < 0) return std::nullopt;
    result.strides[static_cast<size_t>(atom.x)] += term.coefficient;
  }
  return result;
}

// The load below CASTs that lose nothing: from bf16 or f16 to f32.
const Expr* loaded(const LoopNest& nest, ExprId id) {
  const Expr* expr = &nest.arena[id];
  while (expr->kind == Kind::Cast) {
    const Expr* inner = &nest.arena[expr->a];
    const bool widens = expr->dtype == DType::F32 && (inner->dtype == DType::BF16 || inner->dtype == DType::F16);
    if (!widens && expr->dtype != inner->dtype) return nullptr;
    expr = inner;
  }
  return expr->kind == Kind::Load && expr->b == lower::kNoExpr ? expr : nullptr;
}

struct Axes {
  std::vector<size_t> batch, m, n, k;
};

// Nothing if an axis is none of the four: read by one side only under the SUM, or stored but not read.
std::optional<Axes> axes_of(const LoopNest& nest, const Affine& left, const Affine& right) {
  Axes axes;
  for (size_t i = 0; i < nest.axes.size(); ++i) {
    const bool in_left = left.strides[i] != 0, in_right = right.strides[i] != 0;
    const bool reduced = nest.axes[i].kind == lower::AxisKind::Reduce;
    if (nest.axes[i].extent < 1 || (reduced && !(in_left && in_right)) || !(in_left || in_right)) return std::nullopt;
    (reduced ? axes.k : in_left && in_right ? axes.batch : in_left ? axes.m : axes.n).push_back(i);
  }
  if (axes.k.size() != 1) return std::nullopt;
  return axes;
}

// Leaves the longest axis in `from`, moves the others to the batch axes.
void keep_longest(const LoopNest& nest, std::vector<size_t>& from, std::vector<size_t>& batch) {
  if (from.size() < 2) return;
  const auto longest = std::ranges::max_element(from, {}, [&](size_t axis) { return nest.axes[axis].extent; });
  const size_t kept = *longest;
  std::ranges::copy_if(from, std::back_inserter(batch), [&](size_t axis) { return axis != kept; });
  from = {kept};
}

OperandView view_of(const LoopNest& nest, const Expr& load, const Affine& index, const std::vector<size_t>& row,
                    const Axes& axes) {
  OperandView view{.argument = static_cast<int>(load.x) + 1,
                   .offset = index.constant,
                   .row_stride = row.empty() ? 0 : index.strides[row[0]],
                   .k_stride = index.strides[axes.k[0]]};
  for (size_t axis : axes.batch) view.batch_strides.push_back(index.strides[axis]);
  view.elements = nest.reads[static_cast<size_t>(load.x)].elements;
  return view;
}

}  // namespace

std::optional<ContractionProblem> classify(const LoopNest& nest) {
  if (nest.reduce != Op::ReduceSum || nest.accumulator != DType::F32 || nest.value == lower::kNoExpr) return {};
  const Expr& product = nest.arena[nest.value];
  if (product.kind != Kind::Compute || product.op != Op::Mul) return {};
  const lower::Expr& always = nest.arena[nest.store_condition];
  if (always.kind != Kind::All || always.term_count != 0) return {};
  const Expr *left = loaded(nest, product.a), *right = loaded(nest, product.b);
  if (!left || !right || left->dtype != right->dtype) return {};
  const auto left_index = affine(nest, left->a), right_index = affine(nest, right->a);
  const auto result_index = affine(nest, nest.store_index);
  if (!left_index || !right_index || !result_index) return {};
  auto axes = axes_of(nest, *left_index, *right_index);
  if (!axes) return {};
  keep_longest(nest, axes->m, axes->batch);
  keep_longest(nest, axes->n, axes->batch);

  ContractionProblem problem{.operand = left->dtype, .result = nest.result};
  for (size_t axis : axes->batch) {
    problem.batches.push_back(nest.axes[axis].extent);
    problem.result_batch_strides.push_back(result_index->strides[axis]);
  }
  problem.m = axes->m.empty() ? 1 : nest.axes[axes->m[0]].extent;
  problem.n = axes->n.empty() ? 1 : nest.axes[axes->n[0]].extent;
  problem.k = nest.axes[axes->k[0]].extent;
  problem.left = view_of(nest, *left, *left_index, axes->m, *axes);
  problem.right = view_of(nest, *right, *right_index, axes->n, *axes);
  problem.result_offset = result_index->constant;
  problem.m_stride = axes->m.empty() ? 0 : result_index->strides[axes->m[0]];
  problem.n_stride = axes->n.empty() ? 0 : result_index->strides[axes->n[0]];
  problem.result_elements = nest.result_elements;
  return problem;
}

ContractionProblem swapped(const ContractionProblem& problem) {
  ContractionProblem result = problem;
  std::swap(result.left, result.right);
  std::swap(result.m, result.n);
  std::swap(result.m_stride, result.n_stride);
  return result;
}

}  // namespace quarry::templates
