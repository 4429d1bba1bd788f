// einsum of contraction.h: the string is parsed to axes by letter, then operands are contracted in pairs.
#include <algorithm>
#include <array>
#include <map>

#include "engine/graph/limits.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/contraction.h"
#include "engine/tensor/shape.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

/// A letter, or an axis under "...": kEllipsis + its distance from the last of them, so that they align as broadcasting
/// does.
using Label = int;
constexpr Label kEllipsis = 1000;

struct Term {
  Tensor tensor;
  std::vector<Label> labels;  ///< one an axis, each once
};

[[noreturn]] void refuse(std::string_view equation, const std::string& why) {
  throw TensorError("einsum(\"" + std::string(equation) + "\"): " + why);
}

/// The labels of one operand or of the result; `ellipsis_axes` axes stand under "...".
std::vector<Label> labels_of(std::string_view equation, std::string_view part, int64_t ellipsis_axes) {
  std::vector<Label> labels;
  bool has_ellipsis = false;
  for (size_t i = 0; i < part.size(); ++i) {
    const char c = part[i];
    if (c == ' ') continue;
    if (part.substr(i, 3) == "...") {
      if (has_ellipsis) refuse(equation, "\"...\" stands twice in \"" + std::string(part) + "\"");
      has_ellipsis = true;
      for (int64_t axis = ellipsis_axes; axis-- > 0;) labels.push_back(kEllipsis + static_cast<Label>(axis));
      i += 2;
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      labels.push_back(c);
    } else {
      refuse(equation, std::string("letters, \"...\", \",\" and \"->\" are known, not \"") + c + "\"");
    }
  }
  return labels;
}

bool has_ellipsis(std::string_view part) {
  return part.find("...") != std::string_view::npos;
}

std::vector<std::string_view> parts_between_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t start = 0;;) {
    const size_t comma = text.find(',', start);
    parts.push_back(text.substr(start, comma - start));
    if (comma == std::string_view::npos) return parts;
    start = comma + 1;
  }
}

/// The equation taken apart.
struct Equation {
  std::vector<std::vector<Label>> operands;
  std::vector<Label> result;
};

/// Without "->": what stands under "...", then the letters that stand once, in alphabetical order.
std::vector<Label> implied_result(const std::vector<std::vector<Label>>& operands) {
  std::map<Label, int> count;
  for (const auto& labels : operands) {
    for (Label label : labels) ++count[label];
  }
  std::vector<Label> result;
  for (auto entry = count.rbegin(); entry != count.rend(); ++entry) {
    if (entry->first >= kEllipsis) result.push_back(entry->first);
  }
  for (const auto& [label, times] : count) {
    if (label < kEllipsis && times == 1) result.push_back(label);
  }
  return result;
}

Equation parse(std::string_view equation, std::span<const Tensor> operands) {
  const size_t arrow = equation.find("->");
  const auto parts = parts_between_commas(equation.substr(0, arrow));
  if (parts.size() != operands.size()) {
    refuse(equation, "it has " + std::to_string(parts.size()) + " operands, but " + std::to_string(operands.size()) +
                         " are given");
  }
  Equation parsed;
  int64_t most_ellipsis_axes = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t letters = static_cast<int64_t>(labels_of(equation, parts[i], 0).size());
    const int64_t under_ellipsis = operands[i].rank() - letters;
    if (under_ellipsis < 0 || (under_ellipsis > 0 && !has_ellipsis(parts[i]))) {
      refuse(equation, "\"" + std::string(parts[i]) + "\" has " + std::to_string(letters) +
                           " letters, but the operand is " + text(operands[i]));
    }
    most_ellipsis_axes = std::max(most_ellipsis_axes, under_ellipsis);
    parsed.operands.push_back(labels_of(equation, parts[i], under_ellipsis));
  }
  parsed.result = arrow == std::string_view::npos ? implied_result(parsed.operands)
                                                  : labels_of(equation, equation.substr(arrow + 2), most_ellipsis_axes);
  return parsed;
}

/// Sizes by label, an axis of size 1 stretching.
std::map<Label, int64_t> sizes_of(std::string_view equation, const Equation& parsed, std::span<const Tensor> operands) {
  std::map<Label, int64_t> sizes;
  for (size_t i = 0; i < operands.size(); ++i) {
    for (size_t axis = 0; axis < parsed.operands[i].size(); ++axis) {
      const Label label = parsed.operands[i][axis];
      const int64_t size = operands[i].shape()[axis];
      int64_t& known = sizes.try_emplace(label, size).first->second;
      if (known == 1) known = size;
      if (size == known || size == 1) continue;
      const std::string named = label >= kEllipsis ? "..." : std::string(1, static_cast<char>(label));
      refuse(equation, "\"" + named + "\" is " + std::to_string(known) + " and " + std::to_string(size) +
                           ", the latter in " + text(operands[i]));
    }
  }
  return sizes;
}

void check_result(std::string_view equation, const Equation& parsed, const std::map<Label, int64_t>& sizes) {
  for (size_t i = 0; i < parsed.result.size(); ++i) {
    const Label label = parsed.result[i];
    if (!sizes.contains(label)) refuse(equation, "the result names what no operand has");
    if (std::count(parsed.result.begin(), parsed.result.end(), label) > 1) {
      refuse(equation, "the result names an axis twice");
    }
  }
  if (sizes.size() > static_cast<size_t>(graph::kMaxRank)) {
    refuse(equation, "it has more than " + std::to_string(graph::kMaxRank) + " different axes");
  }
}

/// Repeated labels become their diagonal.
Term with_diagonals(std::string_view equation, Term term) {
  for (size_t i = 0; i < term.labels.size(); ++i) {
    const auto again =
        std::find(term.labels.begin() + static_cast<std::ptrdiff_t>(i) + 1, term.labels.end(), term.labels[i]);
    if (again == term.labels.end()) continue;
    const Label label = term.labels[i];
    const int64_t second = again - term.labels.begin();
    if (term.tensor.shape()[i] != term.tensor.size(second)) {
      refuse(equation, "a repeated letter needs axes of one size, not those of " + text(term.tensor));
    }
    term.tensor = diagonal(term.tensor, 0, static_cast<int64_t>(i), second);
    term.labels.erase(again);
    term.labels.erase(term.labels.begin() + static_cast<std::ptrdiff_t>(i));
    term.labels.push_back(label);
    return with_diagonals(equation, std::move(term));
  }
  return term;
}

bool has(const std::vector<Label>& labels, Label label) {
  return std::ranges::find(labels, label) != labels.end();
}

/// Sums over what nothing else needs: cheaper before a product than in it.
Term summed(const Term& term, const std::vector<Label>& needed) {
  Axes axes;
  Term out;
  Shape kept;
  for (size_t i = 0; i < term.labels.size(); ++i) {
    if (has(needed, term.labels[i])) {
      out.labels.push_back(term.labels[i]);
      kept.push_back(term.tensor.shape()[i]);
    } else {
      axes.push_back(static_cast<int64_t>(i));
    }
  }
  const DType dtype = term.tensor.dtype();
  out.tensor =
      axes.empty() ? term.tensor : cast(reshape(reduce(Op::ReduceSum, widened(term.tensor), axes), kept), dtype);
  return out;
}

/// The tensor with its axes in the order of `labels`, and of size 1 where it has none.
Tensor in_order(const Term& term, const std::vector<Label>& labels) {
  Axes axes;
  Shape shape;
  for (Label label : labels) {
    const auto found = std::ranges::find(term.labels, label);
    if (found == term.labels.end()) {
      shape.push_back(1);
    } else {
      axes.push_back(found - term.labels.begin());
      shape.push_back(term.tensor.shape()[static_cast<size_t>(axes.back())]);
    }
  }
  return reshape(permute(term.tensor, axes), shape);
}

/// What the result and the other terms need.
std::vector<Label> needed_beside(const std::vector<Term>& terms, const std::vector<Label>& result, size_t a, size_t b) {
  std::vector<Label> needed = result;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (i != a && i != b) needed.insert(needed.end(), terms[i].labels.begin(), terms[i].labels.end());
  }
  return needed;
}

Term product(const Term& x, const Term& y, const std::vector<Label>& needed) {
  Term out;
  std::vector<Label> dropped;
  // Order: what is kept first, as it stands in the result, then what is summed.
  for (const Term* term : {&x, &y}) {
    for (Label label : term->labels) {
      auto& side = has(needed, label) ? out.labels : dropped;
      if (!has(side, label)) side.push_back(label);
    }
  }
  std::ranges::stable_sort(out.labels, {},
                           [&](Label label) { return std::ranges::find(needed, label) - needed.begin(); });
  std::vector<Label> all = out.labels;
  Axes axes;
  for (Label label : dropped) {
    axes.push_back(static_cast<int64_t>(all.size()));
    all.push_back(label);
  }
  out.tensor = contract(in_order(x, all), in_order(y, all), axes);
  return out;
}

/// The pair whose product has the fewest elements.
std::pair<size_t, size_t> cheapest_pair(const std::vector<Term>& terms, const std::map<Label, int64_t>& sizes) {
  std::pair<size_t, size_t> best{0, 1};
  double fewest = -1;
  for (size_t a = 0; a < terms.size(); ++a) {
    for (size_t b = a + 1; b < terms.size(); ++b) {
      double elements = 1;
      for (const auto& [label, size] : sizes) {
        if (has(terms[a].labels, label) || has(terms[b].labels, label)) elements *= static_cast<double>(size);
      }
      if (fewest >= 0 && elements >= fewest) continue;
      fewest = elements;
      best = {a, b};
    }
  }
  return best;
}

}  // namespace

Tensor einsum(std::string_view equation, std::span<const Tensor> operands) {
  const Equation parsed = parse(equation, operands);
  const auto sizes = sizes_of(equation, parsed, operands);
  check_result(equation, parsed, sizes);
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i)
    terms.push_back(with_diagonals(equation, {operands[i], parsed.operands[i]}));
  for (size_t i = 0; i < terms.size(); ++i) terms[i] = summed(terms[i], needed_beside(terms, parsed.result, i, i));
  while (terms.size() > 1) {
    const auto [a, b] = cheapest_pair(terms, sizes);
    terms[a] = product(terms[a], terms[b], needed_beside(terms, parsed.result, a, b));
    terms.erase(terms.begin() + static_cast<std::ptrdiff_t>(b));
  }
  return in_order(terms[0], parsed.result);
}

}  // namespace quarry::tensor
