// arange and linspace of shape.h.
#include <cmath>

#include "engine/graph/number.h"
#include "engine/tensor/arithmetic.h"
#include "engine/tensor/shape.h"
#include "engine/tensor/widen.h"

namespace quarry::tensor {
namespace {

Tensor positions(int64_t count, DType dtype) {
  return cast(iota(count <= INT32_MAX ? DType::I32 : DType::I64, {count}, 0), dtype);
}

}  // namespace

Tensor arange(double start, double stop, double step, DType dtype) {
  if (step == 0 || !std::isfinite(start) || !std::isfinite(stop) || !std::isfinite(step)) {
    throw TensorError("arange: start, stop and step are finite, and the step is not 0");
  }
  const double exact_count = std::max(0.0, std::ceil((stop - start) / step));
  if (exact_count > 0x1p40) throw TensorError("arange: more than 2^40 values");
  const auto count = static_cast<int64_t>(exact_count);
  if (!graph::is_float(dtype) && (start != std::trunc(start) || step != std::trunc(step))) {
    throw TensorError("arange: start and step of integers are whole numbers");
  }
  if (dtype == DType::Bool) throw TensorError("arange: bool counts nothing; take an integer or a float");
  const DType inner = widened(dtype);
  Tensor values = positions(count, inner);
  if (step != 1) values = mul(values, constant(step, inner));
  if (start != 0) values = add(values, constant(start, inner));
  return cast(values, dtype);
}

Tensor linspace(double start, double stop, int64_t count, DType dtype) {
  if (count < 0) throw TensorError("linspace: a count is 0 or more, not " + std::to_string(count));
  if (!graph::is_float(dtype)) throw TensorError("linspace: its dtype is a float");
  const DType inner = widened(dtype);
  if (count <= 1) return constant(start, dtype, {count});
  // From both ends, so that both are exact.
  const double step = (stop - start) / static_cast<double>(count - 1);
  const Tensor i = positions(count, inner);
  const Tensor left = cast(sub(integer_constant(count - 1, DType::I64), iota(DType::I64, {count}, 0)), inner);
  const Tensor from_start = add(constant(start, inner), mul(i, constant(step, inner)));
  const Tensor from_stop = sub(constant(stop, inner), mul(left, constant(step, inner)));
  return cast(where(less(i, left), from_start, from_stop), dtype);
}

}  // namespace quarry::tensor
