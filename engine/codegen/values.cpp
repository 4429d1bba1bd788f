#include "engine/codegen/values.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <limits>
#include <optional>

#include "engine/graph/number.h"

namespace quarry::codegen {

using graph::DType;
using graph::Op;
using lower::Expr;
using lower::ExprId;
using lower::Kind;
using lower::kNoExpr;

Values::Values(const Scheduled& scheduled, Operations& operations, bool wide_index, bool in_words)
    : scheduled_(scheduled),
      operations_(operations),
      wide_index_(wide_index),
      in_words_(in_words),
      ranges_(lower::kMaxRanges),
      scopes_(1) {
  for (const auto& [range, copies] : scheduled.copied_ranges()) copied_ranges_[range] = copies;
}

void Values::line(const std::string& text) {
  text_.append(2 * scopes_.size(), ' ').append(text).append("\n");
}

void Values::open(const std::string& text) {
  line(text + " {");
  scopes_.emplace_back();
}

void Values::close() {
  for (const Key& forgotten : scopes_.back()) known_.erase(forgotten);
  scopes_.pop_back();
  line("}");
}

std::string Values::take() {
  return std::move(text_);
}

void Values::bind(int range, std::string text) {
  if (range >= 0) ranges_[static_cast<size_t>(range)] = std::move(text);
}

// The copies as one number, each a digit to the base of its range. check() keeps their product far below 2^64.
Values::Key Values::key(ExprId id, const Copies& copies, bool words) const {
  uint64_t packed = 0;
  for (const auto& [range, count] : copied_ranges_) {
    const auto copy = copies.find(range);
    const bool counts = copy != copies.end() && (at(id).ranges >> range & 1);
    packed = packed * static_cast<uint64_t>(count + 1) + (counts ? static_cast<uint64_t>(copy->second + 1) : 0);
  }
  return {id, packed, words};
}

bool Values::varies(ExprId id) const {
  return scheduled_.lane_range >= 0 && (at(id).ranges >> scheduled_.lane_range & 1);
}

Printed Values::remember(const Key& key, Printed printed) {
  if (known_.emplace(key, printed).second) scopes_.back().push_back(key);
  return printed;
}

std::string Values::name(std::string_view type, const std::string& text) {
  std::string variable = "v" + std::to_string(names_++);
  line("const " + std::string(type) + " " + variable + " = " + text + ";");
  return variable;
}

std::string Values::widened(const Printed& printed, DType dtype, int lanes) const {
  if (printed.varying || lanes == 1) return printed.text;
  return "(" + vector_type(compute_type(dtype), lanes) + ")(" + printed.text + ")";
}

// Indices
// -------------------------------------------------------------------------------------------------------------------------

std::string Values::sum_text(ExprId id, const Copies& copies, int except_range) {
  const lower::Linear linear = scheduled_.nest.arena.linear(id);
  std::string text;
  for (const lower::Term& term : linear.terms) {
    const Expr& atom = at(term.atom);
    if (atom.kind == Kind::Range && atom.x == except_range) continue;
    const std::string scale = term.coefficient == 1 ? "" : " * " + std::to_string(term.coefficient);
    text += (text.empty() ? "" : " + ") + index(term.atom, copies).text + scale;
  }
  if (linear.constant != 0 || text.empty()) text += (text.empty() ? "" : " + ") + std::to_string(linear.constant);
  return text;
}

Printed Values::index(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const bool varying = varies(id);
  const std::string type = vector_type(index_type(), width(varying));
  if (expr.kind == Kind::Integer) return {std::to_string(expr.x), false};
  if (expr.kind == Kind::Range) {
    if (auto copy = copies.find(static_cast<int>(expr.x)); copy != copies.end())
      return {std::to_string(copy->second), false};
    return {ranges_[static_cast<size_t>(expr.x)], varying};
  }
  const Key this_key = key(id, copies);
  if (auto found = known_.find(this_key); found != known_.end()) return found->second;
  switch (expr.kind) {
    case Kind::Sum:
      return remember(this_key, {name(type, sum_text(id, copies, -1)), varying});
    case Kind::Div: {
      const std::string numerator = index(expr.a, copies).text;
      return remember(this_key, {name(type, numerator + " / " + std::to_string(expr.x)), varying});
    }
    case Kind::Mod: {
      const std::string numerator = index(expr.a, copies).text;
      return remember(this_key, {name(type, numerator + " % " + std::to_string(expr.x)), varying});
    }
    default:
      assert(expr.kind == Kind::Position);
      return remember(this_key, position(id, copies));
  }
}

namespace {

std::string long_literal(int64_t value) {
  if (value == std::numeric_limits<int64_t>::min()) return "(-9223372036854775807L - 1)";
  return std::to_string(value) + "L";
}

}  // namespace

// Within compares in 64 bits: an index of any integer dtype, bounds of any size.
Printed Values::within(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const Printed value_of = value(expr.a, copies);
  const int lanes = width(value_of.varying);
  const std::string type = vector_type("long", lanes);
  const std::string wide = name(type, "convert_" + type + "(" + value_of.text + ")");
  const std::string low = "(" + wide + " >= (" + type + ")(" + long_literal(expr.x) + "))";
  const std::string high = "(" + wide + " < (" + type + ")(" + long_literal(expr.y) + "))";
  return {name(vector_type("int", lanes), "convert_" + vector_type("int", lanes) + "(" + low + " & " + high + ")"),
          value_of.varying};
}

Printed Values::position(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const Printed value_of = value(expr.a, copies);
  const int lanes = width(value_of.varying);
  const std::string type = vector_type("long", lanes), unsigned_long = vector_type("ulong", lanes);
  const std::string wide = "as_" + unsigned_long + "(convert_" + type + "(" + value_of.text + "))";
  // Unsigned: what lies below the offset becomes huge, so one comparison tests both bounds.
  const std::string place = name(unsigned_long, wide + " - (" + unsigned_long + ")(" + long_literal(expr.x) + ")");
  const std::string inside =
      "convert_" + type + "(" + place + " < (" + unsigned_long + ")(" + long_literal(expr.y) + "))";
  const std::string chosen = "select((" + unsigned_long + ")(0), " + place + ", " + inside + ")";
  return {name(vector_type(index_type(), lanes), "convert_" + vector_type(index_type(), lanes) + "(" + chosen + ")"),
          value_of.varying};
}

std::optional<Values::Run> Values::run_of(ExprId id, const Copies& copies) {
  int64_t step = 0;
  for (const lower::Term& term : scheduled_.nest.arena.linear(id).terms) {
    const Expr& atom = at(term.atom);
    if (atom.kind == Kind::Range && atom.x == scheduled_.lane_range) {
      step = term.coefficient;
    } else if (varies(term.atom)) {
      return std::nullopt;
    }
  }
  if (step == 0) return std::nullopt;
  return Run{sum_text(id, copies, scheduled_.lane_range), step};
}

std::optional<std::string> Values::contiguous(ExprId id, const Copies& copies) {
  const auto run = run_of(id, copies);
  return run && run->step == 1 ? std::optional(run->start) : std::nullopt;
}

// Conditions
// ----------------------------------------------------------------------------------------------------------------------

Printed Values::condition(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const Key this_key = key(id, copies);
  if (auto found = known_.find(this_key); found != known_.end()) return found->second;
  const bool varying = varies(id);
  const int lanes = width(varying);
  const std::string type = vector_type("int", lanes);
  if (expr.kind == Kind::Within) return remember(this_key, within(id, copies));
  std::string text;
  if (expr.kind == Kind::Between) {
    const Printed place = index(expr.a, copies);
    const Expr& bounded = at(expr.a);
    if (bounded.low < expr.x) text += "(" + place.text + " >= " + std::to_string(expr.x) + ")";
    if (bounded.high >= expr.y) {
      text += (text.empty() ? "(" : " & (") + place.text + " < " + std::to_string(expr.y) + ")";
    }
    if (expr.y <= expr.x) text = "0";
    if (wide_index_ && varying) text = "convert_" + type + "(" + text + ")";
  } else {
    for (const lower::Term& term : scheduled_.nest.arena.terms(id)) {
      Printed part = condition(term.atom, copies);
      if (varying && !part.varying)
        part.text = "(" + type + ")(-(" + part.text + "))";  // a true scalar is 1, a true lane -1
      text += (text.empty() ? "" : " & ") + part.text;
    }
    if (text.empty()) text = "1";
  }
  return remember(this_key, {name(type, text), varying});
}

// Values
// --------------------------------------------------------------------------------------------------------------------------

Printed Values::value(ExprId id, const Copies& copies) {
  const Key this_key = key(id, copies);
  if (auto found = known_.find(this_key); found != known_.end()) return found->second;
  return remember(this_key, make_value(id, copies));
}

Printed Values::make_value(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const bool varying = varies(id);
  const int lanes = width(varying);
  const std::string type = vector_type(compute_type(expr.dtype), lanes);
  switch (expr.kind) {
    case Kind::Literal:
      return {operations_.literal(expr.dtype, static_cast<uint64_t>(expr.x)), false};
    case Kind::FromIndex:
      return {name(type, "convert_" + type + "(" + index(expr.a, copies).text + ")"), varying};
    case Kind::Load:
      return load(id, copies);
    case Kind::Random:
      return random(id, copies);
    case Kind::StepNumber:
      return {"step", false};
    case Kind::Compute:
      return compute(id, copies);
    case Kind::Cast: {
      const DType from = at(expr.a).dtype;
      const std::string operand = widened(value(expr.a, copies), from, lanes);
      const std::string text = operations_.cast(expr.dtype, from, operand, lanes);
      return {name(type, operations_.round(expr.dtype, text, lanes)), varying};
    }
    case Kind::Choose:
      return choose(id, copies);
    default:
      assert(expr.kind == Kind::Guard);
      return guard(id, copies);
  }
}

namespace {

std::optional<double> float_literal(const Expr& expr) {
  if (expr.kind != Kind::Literal || !graph::is_float(expr.dtype)) return std::nullopt;
  return graph::to_double(expr.dtype, static_cast<uint64_t>(expr.x));
}

}  // namespace

Printed Values::compute(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const bool varying = varies(id);
  const int lanes = width(varying);
  const std::string a = widened(value(expr.a, copies), expr.dtype, lanes);
  std::string text;
  if (expr.b == kNoExpr) {
    text = operations_.unary(expr.op, expr.dtype, a, lanes);
  } else {
    if (expr.op == Op::Pow) {
      if (auto exponent = float_literal(at(expr.b))) text = operations_.constant_power(expr.dtype, a, *exponent, lanes);
    }
    if (text.empty()) {
      const std::string b = widened(value(expr.b, copies), expr.dtype, lanes);
      text = operations_.binary(expr.op, expr.dtype, a, b, lanes);
    }
  }
  return {name(vector_type(compute_type(expr.dtype), lanes), operations_.round(expr.dtype, text, lanes)), varying};
}

Printed Values::load(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const bool varying = varies(id);
  const std::string type = vector_type(compute_type(expr.dtype), width(varying));
  if (varying) return {name(type, load_varying(expr, copies)), true};
  std::string text = operations_.from_storage(expr.dtype, stored_element(id, copies), 1);
  if (expr.b != kNoExpr) {
    text = condition(expr.b, copies).text + " ? " + text + " : " + operations_.literal(expr.dtype, 0);
  }
  return {name(type, text), false};
}

std::optional<Bundle> Values::bundle_of(ExprId index, DType dtype) const {
  constexpr int64_t kMostBytes = 16, kLeastBytes = 4;
  if (!in_words_) return std::nullopt;
  const lower::Linear linear = scheduled_.nest.arena.linear(index);
  for (const lower::Term& term : linear.terms) {
    const auto copied = copied_ranges_.find(static_cast<int>(at(term.atom).x));
    if (term.coefficient != 1 || at(term.atom).kind != Kind::Range || copied == copied_ranges_.end()) continue;
    const int range = copied->first;
    const auto bytes = static_cast<int64_t>(graph::byte_size(dtype));
    const auto fits = [&](int64_t count) {
      if (copied->second % count != 0 || linear.constant % count != 0) return false;
      return std::all_of(linear.terms.begin(), linear.terms.end(), [&](const lower::Term& other) {
        return other == term || (other.coefficient % count == 0 && !(at(other.atom).ranges >> range & 1));
      });
    };
    for (int64_t count = kMostBytes / bytes; count > 1 && count * bytes >= kLeastBytes; count /= 2) {
      if (fits(count)) return Bundle{range, count};
    }
  }
  return std::nullopt;
}

std::string Values::stored_element(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  if (const auto tile = tiles_.find(id); tile != tiles_.end()) {
    const Staged& staged = tile->second.staged;
    const std::string row = index(staged.row, copies).text, column = index(staged.column, copies).text;
    return tile->second.name + "[" + row + " * " + std::to_string(staged.pitch) + " + " + column + "]";
  }
  const std::string pointer = "read" + std::to_string(expr.x);
  const auto bundle = expr.b == kNoExpr ? bundle_of(expr.a, expr.dtype) : std::nullopt;
  if (!bundle || !copies.contains(bundle->range)) return pointer + "[" + index(expr.a, copies).text + "]";
  Copies first = copies;
  const int64_t copy = copies.at(bundle->range), element = copy % bundle->count;
  first[bundle->range] = copy - element;
  const Key words_key = key(id, first, true);
  auto known = known_.find(words_key);
  if (known == known_.end()) {
    const std::string words = operations_.load_words(expr.dtype, pointer, index(expr.a, first).text, bundle->count);
    remember(words_key, {name(operations_.words_type(expr.dtype, bundle->count), words), false});
    known = known_.find(words_key);
  }
  return operations_.element_of(expr.dtype, known->second.text, bundle->count, element);
}

void Values::stage(const Staged& staged, std::string tile) {
  tiles_.insert_or_assign(staged.load, Tile{staged, std::move(tile)});
}

std::string Values::load_varying(const Expr& expr, const Copies& copies) {
  const int lanes = scheduled_.lanes;
  const std::string pointer = "read" + std::to_string(expr.x);
  const std::string zero = "(" + vector_type(compute_type(expr.dtype), lanes) + ")(0)";
  const Printed guard = expr.b == kNoExpr ? Printed{} : condition(expr.b, copies);
  const bool uniform_guard = expr.b != kNoExpr && !guard.varying, lane_guard = expr.b != kNoExpr && guard.varying;
  if (!varies(expr.a)) {  // one element, wanted by some lanes
    const std::string one = operations_.load(expr.dtype, pointer, index(expr.a, copies).text, 1);
    const std::string safe = "any(" + guard.text + ") ? " + one + " : " + operations_.literal(expr.dtype, 0);
    return "(" + vector_type(compute_type(expr.dtype), lanes) + ")(" + safe + ")";
  }
  auto run = run_of(expr.a, copies);
  std::string text;
  if (!run || (run->step != 1 && run->step != 2 && run->step != -1)) {
    const std::string places = index(expr.a, copies).text + ".s";
    text = gather(expr, lane_guard ? guard.text : "", [&](int lane) { return places + kLane[lane]; });
  } else if (!lane_guard) {
    text = load_run(expr, *run);
  } else {
    text = load_within(expr, *run, guard.text);
  }
  return uniform_guard ? guard.text + " ? " + text + " : " + zero : text;
}

// Neighbouring lanes, every second element, or neighbours backwards: whole vectors, and a shuffle. No element is read
// that no lane has.
std::string Values::load_run(const Expr& expr, const Run& run) {
  const int lanes = scheduled_.lanes;
  const std::string pointer = "read" + std::to_string(expr.x);
  const auto load = [&](const std::string& place) { return operations_.load(expr.dtype, pointer, place, lanes); };
  if (run.step == 1) return load(run.start);
  const std::string back = std::to_string(lanes - 1);
  if (run.step == 2) {
    const std::string type = "(" + vector_type(compute_type(expr.dtype), lanes) + ")";
    return type + "((" + load(run.start) + ").even, (" + load(run.start + " + " + back) + ").odd)";
  }
  std::string reversed;
  for (int lane = lanes - 1; lane >= 0; --lane) reversed += kLane[lane];
  return "(" + load(run.start + " - " + back) + ").s" + reversed;
}

// Lanes of which only some are wanted: all are loaded where they lie inside the buffer, as nobody looks at the others.
// Lane by lane remains for its ends.
std::string Values::load_within(const Expr& expr, const Run& run, const std::string& mask) {
  const int64_t elements = scheduled_.nest.reads[static_cast<size_t>(expr.x)].elements;
  const Expr& place = at(expr.a);
  if (place.low >= 0 && place.high < elements) return load_run(expr, run);
  const Run named{name(index_type(), run.start), run.step};
  const std::string lane_by_lane =
      gather(expr, mask, [&](int lane) { return named.start + " + " + std::to_string(lane * run.step); });
  const int64_t reach = (scheduled_.lanes - 1) * run.step;  // from the first lane to the last
  if (elements <= std::abs(reach)) return lane_by_lane;
  const std::string low = std::to_string(std::max<int64_t>(0, -reach));
  const std::string high = std::to_string(elements - 1 - std::max<int64_t>(0, reach));
  const std::string inside = named.start + " >= " + low + " && " + named.start + " <= " + high;
  return "(" + inside + ") ? " + load_run(expr, named) + " : " + lane_by_lane;
}

// Lane by lane, from the places that `place_of` gives; zeros where `mask`, if there is one, is false.
std::string Values::gather(const Expr& expr, const std::string& mask, const std::function<std::string(int)>& place_of) {
  const std::string pointer = "read" + std::to_string(expr.x);
  const std::string type = vector_type(storage_type(expr.dtype), scheduled_.lanes);
  std::string elements;
  for (int lane = 0; lane < scheduled_.lanes; ++lane) {
    std::string element = pointer + "[" + place_of(lane) + "]";
    if (!mask.empty())
      element = mask + ".s" + kLane[lane] + " ? " + element + " : (" + std::string(storage_type(expr.dtype)) + ")0";
    elements += (lane == 0 ? "" : ", ") + element;
  }
  return operations_.from_storage(expr.dtype, "(" + type + ")(" + elements + ")", scheduled_.lanes);
}

namespace {

// One value or the other, lane by lane where the test varies.
std::string either(const Printed& test, const std::string& one, const std::string& zero, DType dtype, int lanes) {
  if (!test.varying) return "(" + test.text + ") ? " + one + " : " + zero;
  const std::string mask = "convert_" + vector_type(mask_type(compute_type(dtype)), lanes) + "(" + test.text + ")";
  return "select(" + zero + ", " + one + ", " + mask + ")";
}

}  // namespace

Printed Values::choose(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const bool varying = varies(id);
  const int lanes = width(varying);
  const Printed selector = value(expr.a, copies);
  const std::string one = widened(value(expr.b, copies), expr.dtype, lanes);
  const std::string zero = widened(value(expr.c, copies), expr.dtype, lanes);
  const std::string selector_type = vector_type(compute_type(at(expr.a).dtype), width(selector.varying));
  const Printed test{selector.text + " != (" + selector_type + ")(0)", selector.varying};
  return {name(vector_type(compute_type(expr.dtype), lanes), either(test, one, zero, expr.dtype, lanes)), varying};
}

Printed Values::guard(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const bool varying = varies(id);
  const int lanes = width(varying);
  const Printed inside = condition(expr.a, copies);
  const std::string kept = widened(value(expr.b, copies), expr.dtype, lanes);
  const std::string type = vector_type(compute_type(expr.dtype), lanes);
  return {name(type, either(inside, kept, "(" + type + ")(0)", expr.dtype, lanes)), varying};
}

Printed Values::random(ExprId id, const Copies& copies) {
  const Expr& expr = at(id);
  const bool varying = varies(id);
  const int lanes = width(varying);
  const std::string element = "convert_" + vector_type("ulong", lanes) + "(" + index(expr.a, copies).text + ")";
  const std::string word = operations_.philox(element, std::to_string(expr.x) + "u", lanes);
  const std::string type = vector_type(compute_type(expr.dtype), lanes);
  if (expr.dtype == DType::I32) return {name(type, "as_" + type + "(" + word + ")"), varying};
  const std::string scaled =
      "convert_" + type + "(" + word + " >> (" + vector_type("uint", lanes) + ")(8)) * (" + type + ")(0x1p-24f)";
  return {name(type, operations_.round(expr.dtype, scaled, lanes)), varying};
}

}  // namespace quarry::codegen
