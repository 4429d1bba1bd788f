// The kernel IR's expressions: immutable, hash-consed nodes in an arena with small ids.
//
// Three vocabularies share the arena: indices (integers over ranges, in the canonical form that index_rules.cpp gives
// them), conditions (is an index inside bounds?) and values (loads and arithmetic in a graph dtype). Facts (interval,
// the ranges a node depends on) are computed once, when a node is made. An operand's id is below its user's, and ids
// follow the order of construction, so equal inputs give equal ids on every host.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/graph/graph.h"

namespace quarry::lower {

using ExprId = uint32_t;
inline constexpr ExprId kNoExpr = UINT32_MAX;
inline constexpr int kMaxRanges = 64;  ///< of one kernel: the width of Expr::ranges

enum class Kind : uint8_t {
  // indices
  Integer,   ///< x
  Range,     ///< loop variable number x, in [0, y)
  Sum,       ///< x + sum of coefficient * atom over terms()
  Div,       ///< floor(a / x), a >= 0
  Mod,       ///< a - x * floor(a / x), a >= 0
  Position,  ///< the integer value a, less x, where that is in [0, y); else 0
  // conditions
  Between,  ///< x <= a < y, a an index
  Within,   ///< x <= a < y, a an integer value
  All,      ///< every condition in terms(); none: true
  // values
  Literal,    ///< bits x
  FromIndex,  ///< the index a as i32 or i64
  Load,       ///< element a of read number x; b: a condition without which a may lie outside, or kNoExpr
  Random,     ///< element a of RAND's stream x
  StepNumber,
  Compute,  ///< one of the twelve but CAST and the reduces, of a (and b)
  Cast,     ///< of a
  Choose,   ///< a != 0 ? b : c
  Guard,    ///< condition a ? b : 0
};

struct Term {
  ExprId atom;
  int64_t coefficient;
  bool operator==(const Term&) const = default;
};

struct Expr {
  Kind kind = Kind::Integer;
  graph::Op op = graph::Op::Exp;  ///< of Compute
  graph::DType dtype = graph::DType::I64;
  ExprId a = kNoExpr, b = kNoExpr, c = kNoExpr;
  int64_t x = 0, y = 0;
  uint32_t first_term = 0, term_count = 0;
  // Facts: not part of a node's identity.
  int64_t low = 0, high = 0;  ///< inclusive interval of an index
  uint64_t ranges = 0;        ///< bit r: depends on range r
};

constexpr bool is_index(Kind kind) {
  return kind <= Kind::Position;
}
constexpr bool is_condition(Kind kind) {
  return kind >= Kind::Between && kind <= Kind::All;
}

/// A linear form: what a Sum is made of, and how sums are taken apart.
struct Linear {
  std::vector<Term> terms;
  int64_t constant = 0;
};

class Arena {
 public:
  const Expr& operator[](ExprId id) const { return exprs_[id]; }
  size_t size() const { return exprs_.size(); }
  std::span<const Term> terms(ExprId id) const {
    return {terms_.data() + exprs_[id].first_term, exprs_[id].term_count};
  }

  // Indices: simplified as they are built.
  ExprId integer(int64_t value);
  ExprId range(int number, int64_t extent);  ///< the integer 0 when extent is 1
  ExprId add(ExprId a, ExprId b);
  ExprId shift(ExprId a, int64_t offset);
  ExprId multiply(ExprId a, int64_t factor);
  ExprId div(ExprId a, int64_t divisor);  ///< floor; divisor > 0
  ExprId mod(ExprId a, int64_t divisor);
  ExprId position(ExprId value, int64_t offset, int64_t extent);
  ExprId sum(Linear linear);
  Linear linear(ExprId index) const;

  // Conditions.
  ExprId always();
  ExprId never();
  ExprId between(ExprId index, int64_t low, int64_t high);
  ExprId within(ExprId value, int64_t low, int64_t high);
  ExprId both(ExprId a, ExprId b);

  // Values.
  ExprId literal(graph::DType dtype, uint64_t bits);
  ExprId from_index(graph::DType dtype, ExprId index);
  ExprId load(graph::DType dtype, int64_t read, ExprId index, ExprId condition);
  ExprId random(graph::DType dtype, uint32_t stream, ExprId element);
  ExprId step_number();
  ExprId compute(graph::Op op, graph::DType dtype, ExprId a, ExprId b);
  ExprId cast(graph::DType dtype, ExprId a);
  ExprId choose(ExprId condition, ExprId if_one, ExprId if_zero);
  ExprId guard(ExprId condition, ExprId value);

  /// The node itself, already simplified: for index_rules.cpp.
  ExprId intern(Expr expr, std::span<const Term> terms = {});
  bool is_integer(ExprId id, int64_t value) const { return exprs_[id].kind == Kind::Integer && exprs_[id].x == value; }

 private:
  void set_facts(Expr& expr, std::span<const Term> terms) const;
  bool same(const Expr& a, std::span<const Term> a_terms, const Expr& b) const;

  std::vector<Expr> exprs_;
  std::vector<Term> terms_;
  std::unordered_multimap<uint64_t, ExprId> by_hash_;
};

/// Ids of everything the roots reach, ascending: operands before users.
std::vector<ExprId> reachable(const Arena& arena, std::span<const ExprId> roots);

/// Rebuilds the roots with range r replaced by replacement[r] where that is not kNoExpr, simplifying as it goes.
void substitute(Arena& arena, std::span<ExprId*> roots, std::span<const ExprId> replacement);

/// One line for people and tests: "r0 * 8 + r1 / 4".
std::string to_string(const Arena& arena, ExprId id);

constexpr int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
constexpr int64_t floor_mod(int64_t a, int64_t b) {
  return a - b * floor_div(a, b);
}

}  // namespace quarry::lower
