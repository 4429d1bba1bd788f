// Arguments of functions as Python gives them: tensors that may be None, choices by name.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/tensor/shape.h"

namespace quarry::python {

using MaybeTensor = std::optional<tensor::Tensor>;

/// No tensor for None.
inline tensor::Tensor tensor_or_none(const MaybeTensor& given) {
  return given.value_or(tensor::Tensor());
}

/// The value that is called `name`. Throws TensorError, which lists the names.
template <class T>
T choice(const std::string& name, const char* what, std::initializer_list<std::pair<const char*, T>> choices) {
  std::string known;
  for (const auto& [text, value] : choices) {
    if (name == text) return value;
    known += (known.empty() ? "" : ", ") + std::string(text);
  }
  throw tensor::TensorError(std::string(what) + " \"" + name + "\" is not one of " + known);
}

/// Python's start, stop and step of one axis after the other.
using SliceParts = std::tuple<std::optional<int64_t>, std::optional<int64_t>, int64_t>;
inline std::vector<tensor::Slice> slices_of(const std::vector<SliceParts>& parts) {
  std::vector<tensor::Slice> slices;
  for (const auto& [start, stop, step] : parts) slices.push_back({start, stop, step});
  return slices;
}

}  // namespace quarry::python
