#include "engine/meter/index_forms.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <tuple>

#include "common/uint128.h"

namespace quarry::meter {

namespace {

constexpr int64_t kFarthest = int64_t{1} << 62;  // no coordinate of a value that may be lies farther out

int64_t floor_division(Int128 a, int64_t b) {
  const Int128 quotient = a / b;
  return static_cast<int64_t>(quotient - (a % b < 0));
}

}  // namespace

int64_t IndexForms::checked(Int128 value) {
  if (value >= -kFarthest && value <= kFarthest) return static_cast<int64_t>(value);
  is_too_long_ = true;
  return 0;
}

Int128 IndexForms::lowest(std::span<const FormTerm> terms) const {
  Int128 sum = 0;
  for (const FormTerm& term : terms)
    sum += std::min<Int128>(0, Int128{term.coefficient} * (atoms_[term.atom].size - 1));
  return sum;
}

Int128 IndexForms::highest(std::span<const FormTerm> terms) const {
  Int128 sum = 0;
  for (const FormTerm& term : terms)
    sum += std::max<Int128>(0, Int128{term.coefficient} * (atoms_[term.atom].size - 1));
  return sum;
}

AtomId IndexForms::keep_atom(const Atom& atom) {
  uint64_t hash = atom_table_.mix(atom_table_.start_hash(), uint64_t{atom.base} << 1 | atom.is_axis);
  for (const int64_t part : {atom.low, atom.size, atom.whole})
    hash = atom_table_.mix(hash, static_cast<uint64_t>(part));
  const auto candidate = static_cast<AtomId>(atoms_.size());
  const AtomId kept = atom_table_.find_or_keep(hash, candidate, [&](AtomId other) {
    const Atom& it = atoms_[other];
    return it.base == atom.base && it.is_axis == atom.is_axis && it.low == atom.low && it.size == atom.size &&
           it.whole == atom.whole;
  });
  if (kept == candidate) atoms_.push_back(atom);
  return kept;
}

// By base and place, so that equal atoms and neighbouring pieces stand next to each other.
void IndexForms::sort_terms(std::vector<FormTerm>& terms) const {
  std::ranges::sort(terms, [&](const FormTerm& x, const FormTerm& y) {
    const Atom &a = atoms_[x.atom], &b = atoms_[y.atom];
    return std::tuple(!a.is_axis, a.base, a.low, a.size) < std::tuple(!b.is_axis, b.base, b.low, b.size);
  });
}

// Each atom once; pieces that lie together again become one piece. True when something was put together.
bool IndexForms::join_pieces(std::vector<FormTerm>& terms) {
  sort_terms(terms);
  std::vector<FormTerm> joined;
  bool is_changed = false;
  for (const FormTerm& term : terms) {
    const Atom atom = atoms_[term.atom];
    if (term.coefficient == 0 || atom.size == 1) continue;
    if (!joined.empty()) {
      FormTerm& last = joined.back();
      const Atom before = atoms_[last.atom];
      if (last.atom == term.atom) {
        last.coefficient = checked(Int128{last.coefficient} + term.coefficient);
        if (last.coefficient == 0) joined.pop_back();
        continue;
      }
      const bool is_same_base = before.base == atom.base && before.is_axis == atom.is_axis;
      if (is_same_base && before.low * before.size == atom.low &&
          Int128{last.coefficient} * before.size == term.coefficient) {
        last.atom = keep_atom({before.base, before.is_axis, before.low, before.size * atom.size, before.whole});
        is_changed = true;
        continue;
      }
    }
    joined.push_back(term);
  }
  terms = std::move(joined);
  return is_changed;
}

// A form of which all pieces are there is its terms again. True when there was one.
bool IndexForms::restore_whole_forms(int64_t& constant, std::vector<FormTerm>& terms) {
  std::vector<FormTerm> restored;
  bool is_changed = false;
  for (const FormTerm& term : terms) {
    const Atom& atom = atoms_[term.atom];
    if (atom.is_axis || atom.low != 1 || !atom.is_top()) {
      restored.push_back(term);
      continue;
    }
    const Form& whole = forms_[atom.base];
    constant = checked(constant + Int128{term.coefficient} * whole.constant);
    for (uint32_t i = 0; i < whole.term_count; ++i) {
      const FormTerm& part = terms_[whole.first_term + i];
      restored.push_back({part.atom, checked(Int128{part.coefficient} * term.coefficient)});
    }
    is_changed = true;
  }
  terms = std::move(restored);
  return is_changed;
}

FormId IndexForms::keep(int64_t constant, std::vector<FormTerm> terms) {
  for (bool is_changed = true; is_changed;) {
    is_changed = join_pieces(terms);
    is_changed |= restore_whole_forms(constant, terms);
  }
  if (terms.size() > kMostTerms) {
    is_too_long_ = true;
    terms.resize(kMostTerms);
  }
  uint64_t hash = form_table_.mix(form_table_.start_hash(), static_cast<uint64_t>(constant));
  for (const FormTerm& term : terms)
    hash = form_table_.mix(form_table_.mix(hash, term.atom), static_cast<uint64_t>(term.coefficient));
  const auto candidate = static_cast<FormId>(forms_.size());
  const FormId kept = form_table_.find_or_keep(hash, candidate, [&](FormId other) {
    const Form& form = forms_[other];
    return form.constant == constant && form.term_count == terms.size() &&
           std::equal(
               terms.begin(), terms.end(), terms_.begin() + form.first_term,
               [](const FormTerm& a, const FormTerm& b) { return a.atom == b.atom && a.coefficient == b.coefficient; });
  });
  if (kept != candidate) return kept;
  forms_.push_back({constant, static_cast<uint32_t>(terms_.size()), static_cast<uint32_t>(terms.size()),
                    checked(constant + lowest(terms)), checked(constant + highest(terms))});
  terms_.insert(terms_.end(), terms.begin(), terms.end());
  return kept;
}

FormId IndexForms::axis(uint32_t number, int64_t extent) {
  if (extent <= 1) return constant(0);
  return keep(0, {{keep_atom({number, true, 1, extent, extent}), 1}});
}

FormId IndexForms::scaled(FormId form, int64_t factor, int64_t offset) {
  std::vector<FormTerm> terms(this->terms(form).begin(), this->terms(form).end());
  for (FormTerm& term : terms) term.coefficient = checked(Int128{term.coefficient} * factor);
  return keep(checked(Int128{forms_[form].constant} * factor + offset), std::move(terms));
}

FormId IndexForms::flattened(std::span<const FormId> coordinates, std::span<const int64_t> shape) {
  std::vector<FormTerm> all;
  Int128 constant = 0, stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    constant += forms_[coordinates[i]].constant * stride;
    for (const FormTerm& term : terms(coordinates[i])) all.push_back({term.atom, checked(term.coefficient * stride)});
    stride *= std::max<int64_t>(1, shape[i]);
  }
  return keep(checked(constant), std::move(all));
}

void IndexForms::split(FormId position, std::span<const int64_t> shape, std::span<FormId> coordinates) {
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] <= 1) {
      coordinates[i] = constant(0);
      continue;
    }
    bool is_first = true;
    for (size_t above = 0; above < i; ++above) is_first = is_first && shape[above] <= 1;
    if (is_first) {
      coordinates[i] = position;
      position = constant(0);
      continue;
    }
    const Cut parts = cut(position, shape[i]);
    coordinates[i] = parts.digit;
    position = parts.rest;
  }
}

// position = size * rest + digit. Multiples of `size` belong to the rest as they are. What is left is the digit where
// it cannot carry; else one of its atoms is cut in two if that keeps the others from carrying; else it is divided.
IndexForms::Cut IndexForms::cut(FormId position, int64_t size) {
  std::vector<FormTerm> small, rest;
  for (const FormTerm& term : terms(position)) {
    if (const int64_t quotient = term.coefficient / size) rest.push_back({term.atom, quotient});
    if (const int64_t left = term.coefficient % size) small.push_back({term.atom, left});
  }
  const Int128 least = Int128{forms_[position].constant} + lowest(small);
  int64_t rest_constant = floor_division(least, size);
  int64_t constant = checked(forms_[position].constant - Int128{rest_constant} * size);
  if (constant + highest(small) < size || cut_one_piece(small, constant, size, rest, rest_constant))
    return {keep(constant, std::move(small)), keep(rest_constant, std::move(rest))};
  const FormId divided = keep(constant, std::move(small));
  const int64_t whole = forms_[divided].high + 1;
  rest.push_back({keep_atom({divided, false, size, (whole + size - 1) / size, whole}), 1});
  const FormId digit = keep(0, {{keep_atom({divided, false, 1, size, whole}), 1}});
  return {digit, keep(rest_constant, std::move(rest))};
}

// Of c * atom + others, c a divisor of `size` and the others inside [0, c): cutting the atom at size / c carries
// nothing. A falling term is its mirror image, which is cut the same way.
bool IndexForms::cut_one_piece(std::vector<FormTerm>& small, int64_t& constant, int64_t size,
                               std::vector<FormTerm>& rest, int64_t& rest_constant) {
  for (size_t i = 0; i < small.size(); ++i) {
    const int64_t coefficient = std::abs(small[i].coefficient);
    const bool falls = small[i].coefficient < 0;
    const Atom atom = atoms_[small[i].atom];
    if (size % coefficient != 0) continue;
    const int64_t piece = size / coefficient;
    const bool divides = atom.size % piece == 0;
    if (piece >= atom.size || !(divides || (!atom.is_axis && atom.is_top() && !falls))) continue;
    std::vector<FormTerm> others = small;
    others.erase(others.begin() + static_cast<ptrdiff_t>(i));
    const Int128 others_constant = constant - (falls ? Int128{coefficient} * (atom.size - 1) : 0);
    if (others_constant + lowest(others) < 0 || others_constant + highest(others) >= coefficient) continue;
    const int64_t above = atom.size / piece + !divides;
    const AtomId low = keep_atom({atom.base, atom.is_axis, atom.low, piece, atom.whole});
    const AtomId high = keep_atom({atom.base, atom.is_axis, atom.low * piece, above, atom.whole});
    others.push_back({low, falls ? -coefficient : coefficient});
    rest.push_back({high, falls ? -1 : 1});
    constant = checked(others_constant + (falls ? Int128{coefficient} * (piece - 1) : 0));
    rest_constant = checked(Int128{rest_constant} + (falls ? above - 1 : 0));
    small = std::move(others);
    return true;
  }
  return false;
}

}  // namespace quarry::meter
