// Storage, hash-consing, facts and printing of expressions. What an index simplifies to is in index_rules.cpp.
#include "engine/lower/expr.h"

#include <algorithm>
#include <limits>

#include "common/uint128.h"

namespace quarry::lower {

using graph::DType;
using graph::Op;

namespace {

uint64_t mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  return hash * 0xff51afd7ed558ccdULL;
}

int64_t saturate(Int128 value) {
  constexpr Int128 kLow = std::numeric_limits<int64_t>::min(), kHigh = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::clamp(value, kLow, kHigh));
}

}  // namespace

void Arena::set_facts(Expr& expr, std::span<const Term> terms) const {
  for (ExprId operand : {expr.a, expr.b, expr.c}) {
    if (operand != kNoExpr) expr.ranges |= exprs_[operand].ranges;
  }
  for (const Term& term : terms) expr.ranges |= exprs_[term.atom].ranges;
  switch (expr.kind) {
    case Kind::Integer:
      expr.low = expr.high = expr.x;
      return;
    case Kind::Range:
      expr.high = expr.y - 1;
      expr.ranges = uint64_t{1} << expr.x;
      return;
    case Kind::Sum: {
      Int128 low = expr.x, high = expr.x;
      for (const Term& term : terms) {
        const Int128 at_low = Int128{term.coefficient} * exprs_[term.atom].low;
        const Int128 at_high = Int128{term.coefficient} * exprs_[term.atom].high;
        low += std::min(at_low, at_high);
        high += std::max(at_low, at_high);
      }
      expr.low = saturate(low);
      expr.high = saturate(high);
      return;
    }
    case Kind::Div:
      expr.low = floor_div(exprs_[expr.a].low, expr.x);
      expr.high = floor_div(exprs_[expr.a].high, expr.x);
      return;
    case Kind::Mod:
      expr.high = std::min(expr.x - 1, exprs_[expr.a].high);
      return;
    case Kind::Position:
      expr.high = expr.y - 1;
      return;
    default:
      return;
  }
}

bool Arena::same(const Expr& a, std::span<const Term> a_terms, const Expr& b) const {
  if (a.kind != b.kind || a.op != b.op || a.dtype != b.dtype || a.a != b.a || a.b != b.b || a.c != b.c || a.x != b.x ||
      a.y != b.y || a_terms.size() != b.term_count) {
    return false;
  }
  return std::equal(a_terms.begin(), a_terms.end(), terms_.begin() + b.first_term);
}

ExprId Arena::intern(Expr expr, std::span<const Term> terms) {
  uint64_t hash = mix(static_cast<uint64_t>(expr.kind), static_cast<uint64_t>(expr.op));
  for (uint64_t part : {uint64_t(expr.dtype), uint64_t(expr.a), uint64_t(expr.b), uint64_t(expr.c), uint64_t(expr.x),
                        uint64_t(expr.y)}) {
    hash = mix(hash, part);
  }
  for (const Term& term : terms) hash = mix(mix(hash, term.atom), static_cast<uint64_t>(term.coefficient));
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto found = first; found != last; ++found) {
    if (same(expr, terms, exprs_[found->second])) return found->second;
  }
  set_facts(expr, terms);
  expr.first_term = static_cast<uint32_t>(terms_.size());
  expr.term_count = static_cast<uint32_t>(terms.size());
  terms_.insert(terms_.end(), terms.begin(), terms.end());
  exprs_.push_back(expr);
  const ExprId id = static_cast<ExprId>(exprs_.size() - 1);
  by_hash_.emplace(hash, id);
  return id;
}

ExprId Arena::literal(DType dtype, uint64_t bits) {
  return intern({.kind = Kind::Literal, .dtype = dtype, .x = static_cast<int64_t>(bits)});
}
ExprId Arena::from_index(DType dtype, ExprId index) {
  return intern({.kind = Kind::FromIndex, .dtype = dtype, .a = index});
}
ExprId Arena::load(DType dtype, int64_t read, ExprId index, ExprId condition) {
  return intern({.kind = Kind::Load, .dtype = dtype, .a = index, .b = condition, .x = read});
}
ExprId Arena::random(DType dtype, uint32_t stream, ExprId element) {
  return intern({.kind = Kind::Random, .dtype = dtype, .a = element, .x = int64_t{stream}});
}
ExprId Arena::step_number() {
  return intern({.kind = Kind::StepNumber, .dtype = DType::I32});
}
ExprId Arena::compute(Op op, DType dtype, ExprId a, ExprId b) {
  return intern({.kind = Kind::Compute, .op = op, .dtype = dtype, .a = a, .b = b});
}
ExprId Arena::cast(DType dtype, ExprId a) {
  if (exprs_[a].dtype == dtype) return a;
  return intern({.kind = Kind::Cast, .dtype = dtype, .a = a});
}
ExprId Arena::choose(ExprId condition, ExprId if_one, ExprId if_zero) {
  if (if_one == if_zero) return if_one;
  return intern({.kind = Kind::Choose, .dtype = exprs_[if_one].dtype, .a = condition, .b = if_one, .c = if_zero});
}
ExprId Arena::guard(ExprId condition, ExprId value) {
  if (condition == always()) return value;
  if (condition == never()) return literal(exprs_[value].dtype, 0);
  return intern({.kind = Kind::Guard, .dtype = exprs_[value].dtype, .a = condition, .b = value});
}

std::vector<ExprId> reachable(const Arena& arena, std::span<const ExprId> roots) {
  std::vector<bool> seen(arena.size(), false);
  std::vector<ExprId> pending, found;
  const auto visit = [&](ExprId id) {
    if (id == kNoExpr || seen[id]) return;
    seen[id] = true;
    pending.push_back(id);
  };
  for (ExprId root : roots) visit(root);
  while (!pending.empty()) {
    const ExprId id = pending.back();
    pending.pop_back();
    found.push_back(id);
    const Expr& expr = arena[id];
    for (ExprId operand : {expr.a, expr.b, expr.c}) visit(operand);
    for (const Term& term : arena.terms(id)) visit(term.atom);
  }
  std::sort(found.begin(), found.end());
  return found;
}

namespace {

ExprId rebuild(Arena& arena, ExprId id, const std::vector<ExprId>& now, std::span<const ExprId> replacement) {
  const Expr expr = arena[id];  // a copy: building moves the arena
  const auto at = [&](ExprId operand) { return operand == kNoExpr ? kNoExpr : now[operand]; };
  switch (expr.kind) {
    case Kind::Range: {
      const size_t number = static_cast<size_t>(expr.x);
      return number < replacement.size() && replacement[number] != kNoExpr ? replacement[number] : id;
    }
    case Kind::Sum: {
      const std::vector<Term> terms(arena.terms(id).begin(), arena.terms(id).end());
      Linear total{.terms = {}, .constant = expr.x};
      for (const Term& term : terms) {
        const Linear part = arena.linear(arena.multiply(now[term.atom], term.coefficient));
        total.terms.insert(total.terms.end(), part.terms.begin(), part.terms.end());
        total.constant += part.constant;
      }
      return arena.sum(std::move(total));
    }
    case Kind::Div:
      return arena.div(at(expr.a), expr.x);
    case Kind::Mod:
      return arena.mod(at(expr.a), expr.x);
    case Kind::Position:
      return arena.position(at(expr.a), expr.x, expr.y);
    case Kind::Between:
      return arena.between(at(expr.a), expr.x, expr.y);
    case Kind::Within:
      return arena.within(at(expr.a), expr.x, expr.y);
    case Kind::All: {
      const std::vector<Term> terms(arena.terms(id).begin(), arena.terms(id).end());
      ExprId all = arena.always();
      for (const Term& term : terms) all = arena.both(all, now[term.atom]);
      return all;
    }
    case Kind::Guard:
      return arena.guard(at(expr.a), at(expr.b));
    case Kind::Load: {
      const ExprId condition = expr.b == kNoExpr || at(expr.b) == arena.always() ? kNoExpr : at(expr.b);
      return arena.load(expr.dtype, expr.x, at(expr.a), condition);
    }
    default: {
      Expr next = expr;
      next.a = at(expr.a);
      next.b = at(expr.b);
      next.c = at(expr.c);
      next.ranges = 0;
      next.low = next.high = 0;
      return arena.intern(next);
    }
  }
}

}  // namespace

void substitute(Arena& arena, std::span<ExprId*> roots, std::span<const ExprId> replacement) {
  std::vector<ExprId> ids;
  for (const ExprId* root : roots) ids.push_back(*root);
  const std::vector<ExprId> order = reachable(arena, ids);
  std::vector<ExprId> now(arena.size(), kNoExpr);
  for (ExprId id : order) now[id] = rebuild(arena, id, now, replacement);
  for (ExprId* root : roots) {
    if (*root != kNoExpr) *root = now[*root];
  }
}

namespace {

std::string sum_text(const Arena& arena, ExprId id) {
  std::string text;
  for (const Term& term : arena.terms(id)) {
    if (!text.empty()) text += " + ";
    text += to_string(arena, term.atom);
    if (term.coefficient != 1) text += " * " + std::to_string(term.coefficient);
  }
  if (arena[id].x != 0) text += " + " + std::to_string(arena[id].x);
  return "(" + text + ")";
}

std::string arguments(const Arena& arena, const Expr& expr) {
  std::string text;
  for (ExprId operand : {expr.a, expr.b, expr.c}) {
    if (operand == kNoExpr) continue;
    text += (text.empty() ? "" : ", ") + to_string(arena, operand);
  }
  return "(" + text + ")";
}

}  // namespace

std::string to_string(const Arena& arena, ExprId id) {
  if (id == kNoExpr) return "-";
  const Expr& expr = arena[id];
  const std::string dtype(graph::name(expr.dtype));
  const auto bounds = [&] { return "[" + std::to_string(expr.x) + ", " + std::to_string(expr.y) + ")"; };
  switch (expr.kind) {
    case Kind::Integer:
      return std::to_string(expr.x);
    case Kind::Range:
      return "r" + std::to_string(expr.x);
    case Kind::Sum:
      return sum_text(arena, id);
    case Kind::Div:
      return to_string(arena, expr.a) + " / " + std::to_string(expr.x);
    case Kind::Mod:
      return to_string(arena, expr.a) + " % " + std::to_string(expr.x);
    case Kind::Position:
      return "position" + arguments(arena, expr) + bounds();
    case Kind::Between:
    case Kind::Within:
      return to_string(arena, expr.a) + " in " + bounds();
    case Kind::All: {
      std::string text;
      for (const Term& term : arena.terms(id)) text += (text.empty() ? "" : " and ") + to_string(arena, term.atom);
      return text.empty() ? "true" : "(" + text + ")";
    }
    case Kind::Literal:
      return dtype + ":" + std::to_string(expr.x);
    case Kind::FromIndex:
      return dtype + arguments(arena, expr);
    case Kind::Load: {
      const std::string guard = expr.b == kNoExpr ? "" : " if " + to_string(arena, expr.b);
      return "read" + std::to_string(expr.x) + ":" + dtype + "[" + to_string(arena, expr.a) + guard + "]";
    }
    case Kind::Random:
      return "rand:" + dtype + "<" + std::to_string(expr.x) + ">" + arguments(arena, expr);
    case Kind::StepNumber:
      return "step";
    case Kind::Compute:
      return std::string(graph::name(expr.op)) + ":" + dtype + arguments(arena, expr);
    case Kind::Cast:
      return "CAST:" + dtype + arguments(arena, expr);
    case Kind::Choose:
      return "choose" + arguments(arena, expr);
    case Kind::Guard:
      return "guard" + arguments(arena, expr);
  }
  return "?";
}

}  // namespace quarry::lower
