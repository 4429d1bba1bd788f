// What one op on one dtype is in the device language.
#pragma once

#include <string>
#include <vector>

#include "engine/codegen/codegen.h"
#include "engine/codegen/helpers.h"
#include "engine/graph/graph.h"

namespace quarry::codegen {

/// The type a dtype is computed in, e.g. "float" for f16, whose values are rounded to f16 after each op.
std::string_view compute_type(graph::DType dtype);
/// The type its elements have in memory.
std::string_view storage_type(graph::DType dtype);

class Operations {
 public:
  Operations(Helpers& helpers, const Target& target)
      : helpers_(helpers), is_gpu_(target.is_gpu), has_f64_(target.has_f64) {}

  /// a (op) b, not yet rounded to a dtype narrower than its compute type. Operands are simple expressions of `width`.
  std::string binary(graph::Op op, graph::DType dtype, const std::string& a, const std::string& b, int width);
  std::string unary(graph::Op op, graph::DType dtype, const std::string& a, int width);
  /// POW with a constant exponent that needs no general power, or empty.
  std::string constant_power(graph::DType dtype, const std::string& a, double exponent, int width);
  std::string cast(graph::DType to, graph::DType from, const std::string& a, int width);
  /// Rounds a compute-type value to the dtype: the identity but for f16 and bf16.
  std::string round(graph::DType dtype, const std::string& a, int width);
  std::string fused_multiply_add(graph::DType dtype, const std::string& a, const std::string& b, const std::string& c,
                                 int width);
  /// The random word of an element (ulong); `step` and `seed` are the kernel's arguments.
  std::string philox(const std::string& element, const std::string& stream, int width);
  std::string literal(graph::DType dtype, uint64_t bits) const;
  /// What a reduction starts from.
  std::string identity(graph::Op reduce, graph::DType dtype) const;

  std::string load(graph::DType dtype, const std::string& pointer, const std::string& index, int width);
  /// One element as stored, for gathers; from_storage() makes a vector of them values.
  std::string from_storage(graph::DType dtype, const std::string& stored, int width);
  std::string store(graph::DType dtype, const std::string& pointer, const std::string& index, const std::string& value,
                    int width);
  std::string to_storage(graph::DType dtype, const std::string& value, int width);

  // GPUs move neighbouring elements as words of 4 bytes.
  std::string_view words_type(graph::DType dtype, int64_t elements) const;
  std::string load_words(graph::DType dtype, const std::string& pointer, const std::string& index, int64_t elements);
  /// Element number `element` of loaded words, as stored.
  std::string element_of(graph::DType dtype, const std::string& words, int64_t elements, int64_t element) const;
  std::string store_words(graph::DType dtype, const std::string& pointer, const std::string& index,
                          const std::vector<std::string>& stored);

 private:
  Helpers& helpers_;
  bool is_gpu_, has_f64_;
};

}  // namespace quarry::codegen
