// The index simplifier: one table of rules per operator, tried in order, each an identity that holds for every integer
// in the operands' intervals. Div and Mod are the core. tests/lower/index_rules_test.cpp holds them against brute
// force.
#include <algorithm>
#include <numeric>
#include <optional>

#include "engine/lower/expr.h"

namespace quarry::lower {

namespace {

int64_t wrapping_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t wrapping_multiply(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

void scale(Linear& linear, int64_t factor) {
  for (Term& term : linear.terms) term.coefficient = wrapping_multiply(term.coefficient, factor);
  linear.constant = wrapping_multiply(linear.constant, factor);
}

void append(Linear& to, const Linear& from) {
  to.terms.insert(to.terms.end(), from.terms.begin(), from.terms.end());
  to.constant = wrapping_add(to.constant, from.constant);
}

// Sorted by atom, each atom once, no zero coefficients.
void merge_terms(std::vector<Term>& terms) {
  std::sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) { return a.atom < b.atom; });
  std::vector<Term> merged;
  for (const Term& term : terms) {
    if (!merged.empty() && merged.back().atom == term.atom) {
      merged.back().coefficient = wrapping_add(merged.back().coefficient, term.coefficient);
    } else {
      merged.push_back(term);
    }
  }
  std::erase_if(merged, [](const Term& term) { return term.coefficient == 0; });
  terms = std::move(merged);
}

// k * c * (x / c) + k * (x % c) = k * x. Returns false when no pair fits.
bool recombine(Arena& arena, Linear& linear) {
  for (size_t m = 0; m < linear.terms.size(); ++m) {
    const Expr mod = arena[linear.terms[m].atom];
    if (mod.kind != Kind::Mod) continue;
    for (size_t d = 0; d < linear.terms.size(); ++d) {
      const Expr div = arena[linear.terms[d].atom];
      const int64_t k = linear.terms[m].coefficient;
      if (div.kind != Kind::Div || div.x != mod.x || linear.terms[d].coefficient != wrapping_multiply(k, mod.x))
        continue;
      if (arena.mod(div.a, div.x) != linear.terms[m].atom) continue;
      Linear whole = arena.linear(div.a);
      scale(whole, k);
      linear.terms.erase(linear.terms.begin() + static_cast<ptrdiff_t>(std::max(m, d)));
      linear.terms.erase(linear.terms.begin() + static_cast<ptrdiff_t>(std::min(m, d)));
      append(linear, whole);
      return true;
    }
  }
  return false;
}

// A rule gives the simplified a / c or a % c, or nothing when it does not apply.
using Rule = std::optional<ExprId> (*)(Arena&, ExprId a, int64_t c);

std::optional<ExprId> div_by_one(Arena&, ExprId a, int64_t c) {
  return c == 1 ? std::optional(a) : std::nullopt;
}
std::optional<ExprId> mod_one(Arena& arena, ExprId, int64_t c) {
  return c == 1 ? std::optional(arena.integer(0)) : std::nullopt;
}

// The whole interval lies between two multiples of c.
std::optional<ExprId> div_constant(Arena& arena, ExprId a, int64_t c) {
  const int64_t low = floor_div(arena[a].low, c);
  return low == floor_div(arena[a].high, c) ? std::optional(arena.integer(low)) : std::nullopt;
}
std::optional<ExprId> mod_within_one_period(Arena& arena, ExprId a, int64_t c) {
  const int64_t low = floor_div(arena[a].low, c);
  if (low != floor_div(arena[a].high, c)) return std::nullopt;
  return arena.shift(a, -wrapping_multiply(low, c));
}

// a = c * q + r, term by term: coefficients keep their sign, the constant makes r's least value lie in [0, c).
struct Parts {
  Linear quotient, rest;
  bool changed = false;
};
Parts split_multiples(Arena& arena, ExprId a, int64_t c) {
  const Linear linear = arena.linear(a);
  Parts parts;
  for (const Term& term : linear.terms) {
    const int64_t quotient = term.coefficient / c, rest = term.coefficient % c;
    if (quotient != 0) parts.quotient.terms.push_back({term.atom, quotient});
    if (rest != 0) parts.rest.terms.push_back({term.atom, rest});
    parts.changed |= quotient != 0;
  }
  Linear probe = parts.rest;
  probe.constant = linear.constant;
  const int64_t shift = floor_div(arena[arena.sum(probe)].low, c);
  parts.rest.constant = wrapping_add(linear.constant, -wrapping_multiply(shift, c));
  parts.quotient.constant = shift;
  parts.changed |= shift != 0;
  return parts;
}
std::optional<ExprId> div_splits_multiples(Arena& arena, ExprId a, int64_t c) {
  Parts parts = split_multiples(arena, a, c);
  if (!parts.changed) return std::nullopt;
  append(parts.quotient, arena.linear(arena.div(arena.sum(std::move(parts.rest)), c)));
  return arena.sum(std::move(parts.quotient));
}
std::optional<ExprId> mod_drops_multiples(Arena& arena, ExprId a, int64_t c) {
  Parts parts = split_multiples(arena, a, c);
  if (!parts.changed) return std::nullopt;
  return arena.mod(arena.sum(std::move(parts.rest)), c);
}

// With g dividing c and all coefficients: (g*s + k) / (g*c') = (s + k/g) / c', and the same for % with g and k % g put
// back.
int64_t common_divisor(const Linear& linear, int64_t c) {
  int64_t divisor = c;
  for (const Term& term : linear.terms) divisor = std::gcd(divisor, term.coefficient);
  return divisor;
}
ExprId divided(Arena& arena, Linear linear, int64_t g) {
  for (Term& term : linear.terms) term.coefficient /= g;
  linear.constant = floor_div(linear.constant, g);
  return arena.sum(std::move(linear));
}
std::optional<ExprId> div_by_common_divisor(Arena& arena, ExprId a, int64_t c) {
  const Linear linear = arena.linear(a);
  const int64_t g = common_divisor(linear, c);
  if (g == 1) return std::nullopt;
  return arena.div(divided(arena, linear, g), c / g);
}
std::optional<ExprId> mod_by_common_divisor(Arena& arena, ExprId a, int64_t c) {
  const Linear linear = arena.linear(a);
  const int64_t g = common_divisor(linear, c);
  if (g == 1) return std::nullopt;
  const ExprId small = arena.mod(divided(arena, linear, g), c / g);
  return arena.shift(arena.multiply(small, g), floor_mod(linear.constant, g));
}

// a = A + B, d divides c and all of A, B in [0, d): then B cannot carry into the quotient.
struct Carryless {
  Linear multiple, small;
};
std::optional<Carryless> without_carry(Arena& arena, ExprId a, int64_t c) {
  const Linear linear = arena.linear(a);
  for (const Term& candidate : linear.terms) {
    const int64_t d = std::gcd(c, candidate.coefficient);
    if (d == 1) continue;
    Carryless parts;
    for (const Term& term : linear.terms)
      (term.coefficient % d == 0 ? parts.multiple : parts.small).terms.push_back(term);
    if (parts.small.terms.empty()) continue;  // the common-divisor rule's case
    parts.small.constant = floor_mod(linear.constant, d);
    parts.multiple.constant = linear.constant - parts.small.constant;
    const Expr& small = arena[arena.sum(parts.small)];
    if (small.low >= 0 && small.high < d) return parts;
  }
  return std::nullopt;
}
std::optional<ExprId> div_ignores_small_part(Arena& arena, ExprId a, int64_t c) {
  auto parts = without_carry(arena, a, c);
  if (!parts) return std::nullopt;
  return arena.div(arena.sum(std::move(parts->multiple)), c);
}
std::optional<ExprId> mod_keeps_small_part(Arena& arena, ExprId a, int64_t c) {
  auto parts = without_carry(arena, a, c);
  if (!parts) return std::nullopt;
  return arena.add(arena.mod(arena.sum(std::move(parts->multiple)), c), arena.sum(std::move(parts->small)));
}

// (x / b + k) / c = (x + b*k) / (b*c). k < c, as multiples of c are split off first; x + b*k must not wrap.
constexpr int64_t kLargestJoinedDivisor = int64_t{1} << 60;
std::optional<ExprId> div_of_div(Arena& arena, ExprId a, int64_t c) {
  const Linear linear = arena.linear(a);
  if (linear.terms.size() != 1 || linear.terms[0].coefficient != 1) return std::nullopt;
  const Expr inner = arena[linear.terms[0].atom];
  int64_t divisor = 0;
  if (inner.kind != Kind::Div || __builtin_mul_overflow(inner.x, c, &divisor)) return std::nullopt;
  if (divisor > kLargestJoinedDivisor) return std::nullopt;
  return arena.div(arena.shift(inner.a, wrapping_multiply(linear.constant, inner.x)), divisor);
}
// (x % b) % c = x % c where c divides b; (x / b) % c = (x % (b*c)) / b, so that Div always stands outside.
std::optional<ExprId> mod_of_mod(Arena& arena, ExprId a, int64_t c) {
  const Expr inner = arena[a];
  if (inner.kind != Kind::Mod || inner.x % c != 0) return std::nullopt;
  return arena.mod(inner.a, c);
}
std::optional<ExprId> mod_of_div(Arena& arena, ExprId a, int64_t c) {
  const Expr inner = arena[a];
  int64_t modulus = 0;
  if (inner.kind != Kind::Div || __builtin_mul_overflow(inner.x, c, &modulus)) return std::nullopt;
  return arena.div(arena.mod(inner.a, modulus), inner.x);
}

constexpr Rule kDivRules[] = {
    div_by_one, div_constant, div_splits_multiples, div_by_common_divisor, div_ignores_small_part, div_of_div};
constexpr Rule kModRules[] = {
    mod_one,   mod_within_one_period, mod_drops_multiples, mod_by_common_divisor, mod_keeps_small_part, mod_of_mod,
    mod_of_div};

}  // namespace

ExprId Arena::integer(int64_t value) {
  return intern({.kind = Kind::Integer, .x = value});
}

ExprId Arena::range(int number, int64_t extent) {
  return extent == 1 ? integer(0) : intern({.kind = Kind::Range, .x = number, .y = extent});
}

Linear Arena::linear(ExprId index) const {
  const Expr& expr = exprs_[index];
  if (expr.kind == Kind::Integer) return {.terms = {}, .constant = expr.x};
  if (expr.kind == Kind::Sum) return {.terms = {terms(index).begin(), terms(index).end()}, .constant = expr.x};
  return {.terms = {{index, 1}}, .constant = 0};
}

ExprId Arena::sum(Linear linear) {
  do {
    merge_terms(linear.terms);
  } while (recombine(*this, linear));
  if (linear.terms.empty()) return integer(linear.constant);
  if (linear.constant == 0 && linear.terms.size() == 1 && linear.terms[0].coefficient == 1) return linear.terms[0].atom;
  return intern({.kind = Kind::Sum, .x = linear.constant}, linear.terms);
}

ExprId Arena::add(ExprId a, ExprId b) {
  Linear total = linear(a);
  append(total, linear(b));
  return sum(std::move(total));
}

ExprId Arena::shift(ExprId a, int64_t offset) {
  Linear total = linear(a);
  total.constant = wrapping_add(total.constant, offset);
  return sum(std::move(total));
}

ExprId Arena::multiply(ExprId a, int64_t factor) {
  Linear total = linear(a);
  scale(total, factor);
  return sum(std::move(total));
}

ExprId Arena::div(ExprId a, int64_t divisor) {
  for (Rule rule : kDivRules) {
    if (auto simpler = rule(*this, a, divisor)) return *simpler;
  }
  return intern({.kind = Kind::Div, .a = a, .x = divisor});
}

ExprId Arena::mod(ExprId a, int64_t divisor) {
  for (Rule rule : kModRules) {
    if (auto simpler = rule(*this, a, divisor)) return *simpler;
  }
  return intern({.kind = Kind::Mod, .a = a, .x = divisor});
}

ExprId Arena::position(ExprId value, int64_t offset, int64_t extent) {
  if (extent == 1) return integer(0);
  return intern({.kind = Kind::Position, .a = value, .x = offset, .y = extent});
}

ExprId Arena::always() {
  return intern({.kind = Kind::All});
}
ExprId Arena::never() {
  return intern({.kind = Kind::Between, .a = integer(0), .x = 0, .y = 0});
}

ExprId Arena::between(ExprId index, int64_t low, int64_t high) {
  const Expr expr = exprs_[index];
  if (expr.low >= low && expr.high < high) return always();
  if (expr.high < low || expr.low >= high || low >= high) return never();
  // One of the bounds may hold anyway; writing it as the interval's makes equal conditions equal nodes.
  low = std::max(low, expr.low);
  if (expr.high < high) high = expr.high + 1;
  if (expr.kind == Kind::Sum && expr.x != 0) return between(shift(index, -expr.x), low - expr.x, high - expr.x);
  if (expr.kind == Kind::Sum && expr.term_count == 1) {
    const Term term = terms(index)[0];
    const int64_t k = term.coefficient;
    if (k > 0) return between(term.atom, -floor_div(-low, k), -floor_div(-high, k));
    return between(term.atom, floor_div(high - 1, k) + (floor_mod(high - 1, k) != 0), floor_div(low, k) + 1);
  }
  if (expr.kind == Kind::Div) return between(expr.a, low * expr.x, high * expr.x);
  return intern({.kind = Kind::Between, .a = index, .x = low, .y = high});
}

ExprId Arena::within(ExprId value, int64_t low, int64_t high) {
  return intern({.kind = Kind::Within, .a = value, .x = low, .y = high});
}

ExprId Arena::both(ExprId a, ExprId b) {
  std::vector<ExprId> conditions;
  for (ExprId side : {a, b}) {
    if (exprs_[side].kind == Kind::All) {
      for (const Term& term : terms(side)) conditions.push_back(term.atom);
    } else {
      conditions.push_back(side);
    }
  }
  std::vector<Term> merged;
  std::sort(conditions.begin(), conditions.end());
  conditions.erase(std::unique(conditions.begin(), conditions.end()), conditions.end());
  for (ExprId condition : conditions) {
    if (condition == never()) return condition;
    merged.push_back({condition, 1});
  }
  if (merged.size() == 1) return merged[0].atom;
  return intern({.kind = Kind::All}, merged);
}

}  // namespace quarry::lower
