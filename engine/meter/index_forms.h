// Coordinates as sums over the point at which a kernel works, and the divisions that they need.
//
// A form is constant + sum of coefficient * atom. An atom is a piece of a base: (base / low) mod size. A base is an
// axis of the kernel's points, or a form that had to be divided. Cutting an axis into pieces at its divisors is free,
// because the kernel can walk two axes instead of one; each place at which a form is cut is one division. Forms and
// atoms are kept once, so two are the same exactly when their ids are equal. This is the arithmetic of the tariff's
// index work (docs/metering.md): it must never change for a published tariff.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/uint128.h"
#include "engine/graph/interner.h"

namespace quarry::meter {

using FormId = uint32_t;
using AtomId = uint32_t;

struct Atom {
  uint32_t base;  ///< an axis, or a FormId
  bool is_axis;
  int64_t low, size;
  int64_t whole;  ///< of the base: its values are [0, whole)
  bool is_top() const { return low >= whole / size + (whole % size != 0); }
};

struct FormTerm {
  AtomId atom;
  int64_t coefficient;
};

class IndexForms {
 public:
  /// More terms than this in one coordinate are refused: see is_too_long().
  static constexpr size_t kMostTerms = 64;

  FormId axis(uint32_t number, int64_t extent);
  FormId constant(int64_t value) { return keep(value, {}); }
  FormId scaled(FormId form, int64_t factor, int64_t offset);
  /// The row-major position of coordinates in a shape.
  FormId flattened(std::span<const FormId> coordinates, std::span<const int64_t> shape);
  /// The coordinates in `shape` of a position.
  void split(FormId position, std::span<const int64_t> shape, std::span<FormId> coordinates);

  int64_t offset(FormId form) const { return forms_[form].constant; }
  std::span<const FormTerm> terms(FormId form) const {
    return {terms_.data() + forms_[form].first_term, forms_[form].term_count};
  }
  const Atom& atom(AtomId id) const { return atoms_[id]; }
  /// Whether some coordinate had more than kMostTerms terms, or left 64 bits: what was kept is then not exact.
  bool is_too_long() const { return is_too_long_; }

 private:
  struct Form {
    int64_t constant;
    uint32_t first_term, term_count;
    int64_t low, high;  ///< inclusive bounds
  };
  struct Cut {
    FormId digit, rest;
  };

  AtomId keep_atom(const Atom& atom);
  FormId keep(int64_t constant, std::vector<FormTerm> terms);
  void sort_terms(std::vector<FormTerm>& terms) const;
  bool join_pieces(std::vector<FormTerm>& terms);
  bool restore_whole_forms(int64_t& constant, std::vector<FormTerm>& terms);
  Cut cut(FormId position, int64_t size);
  bool cut_one_piece(std::vector<FormTerm>& small, int64_t& constant, int64_t size, std::vector<FormTerm>& rest,
                     int64_t& rest_constant);
  int64_t checked(Int128 value);
  Int128 lowest(std::span<const FormTerm> terms) const;
  Int128 highest(std::span<const FormTerm> terms) const;

  std::vector<Atom> atoms_;
  std::vector<Form> forms_;
  std::vector<FormTerm> terms_;
  graph::IdTable atom_table_, form_table_;
  bool is_too_long_ = false;
};

}  // namespace quarry::meter
