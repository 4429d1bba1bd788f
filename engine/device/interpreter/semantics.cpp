#include "engine/device/interpreter/semantics.h"

#include <cmath>
#include <cstring>

#include "engine/graph/number.h"

namespace quarry::device::interpreter {
namespace {

using graph::DType;
using graph::Op;

uint64_t binary_bool(Op op, uint64_t x, uint64_t y) {
  switch (op) {
    case Op::Add:
    case Op::Max:
      return x | y;
    case Op::Sub:
      return x ^ y;
    case Op::Mul:
      return x & y;
    case Op::Pow:
      return x | (y ^ 1);
    default:
      return x == y;  // CMPEQ
  }
}

// x / 0 = 0 and lowest / -1 = lowest: neither may trap the process.
int64_t divide(int64_t x, int64_t y) {
  if (y == 0) return 0;
  if (y == -1) return static_cast<int64_t>(0 - static_cast<uint64_t>(x));
  return x / y;
}

// x^|e| modulo 2^64; the caller wraps it to the dtype, which is the same as wrapping every product.
uint64_t power(uint64_t x, uint64_t exponent) {
  uint64_t result = 1;
  for (; exponent != 0; exponent >>= 1, x *= x)
    if (exponent & 1) result *= x;
  return result;
}

uint64_t power_integer(DType dtype, int64_t x, int64_t y) {
  const uint64_t magnitude = y < 0 ? 0 - static_cast<uint64_t>(y) : static_cast<uint64_t>(y);
  const uint64_t product = graph::from_integer(dtype, static_cast<int64_t>(power(static_cast<uint64_t>(x), magnitude)));
  if (y >= 0) return product;
  return graph::from_integer(dtype, divide(1, graph::to_integer(dtype, product)));
}

uint64_t binary_integer(Op op, DType dtype, int64_t x, int64_t y) {
  const auto ux = static_cast<uint64_t>(x), uy = static_cast<uint64_t>(y);
  const auto wrapped = [&](uint64_t value) { return graph::from_integer(dtype, static_cast<int64_t>(value)); };
  switch (op) {
    case Op::Add:
      return wrapped(ux + uy);
    case Op::Sub:
      return wrapped(ux - uy);
    case Op::Mul:
      return wrapped(ux * uy);
    case Op::Div:
      return wrapped(static_cast<uint64_t>(divide(x, y)));
    case Op::Pow:
      return power_integer(dtype, x, y);
    case Op::Max:
      return wrapped(x < y ? uy : ux);
    default:
      return x == y;  // CMPEQ
  }
}

uint64_t max_float(DType dtype, uint64_t x, uint64_t y) {
  if (graph::is_nan(dtype, x) || graph::is_nan(dtype, y)) return graph::nan_bits(dtype);
  return graph::to_double(dtype, x) < graph::to_double(dtype, y) ? y : x;
}

uint64_t binary_float(Op op, DType dtype, uint64_t x, uint64_t y) {
  const double a = graph::to_double(dtype, x), b = graph::to_double(dtype, y);
  switch (op) {
    case Op::Add:
      return graph::from_double(dtype, a + b);
    case Op::Sub:
      return graph::from_double(dtype, a - b);
    case Op::Mul:
      return graph::from_double(dtype, a * b);
    case Op::Div:
      return graph::from_double(dtype, a / b);
    case Op::Pow:
      return b == 1 ? x : graph::from_double(dtype, std::pow(a, b));  // x^1 keeps even a NaN's payload
    case Op::Max:
      return max_float(dtype, x, y);
    default:
      return graph::from_double(dtype, a == b ? 1 : 0);  // CMPEQ
  }
}

}  // namespace

uint64_t apply_unary(Op op, DType dtype, uint64_t x) {
  const double value = graph::to_double(dtype, x);
  return graph::from_double(dtype, op == Op::Exp ? std::exp(value) : std::log(value));
}

uint64_t apply_binary(Op op, DType dtype, uint64_t x, uint64_t y) {
  if (dtype == DType::Bool) return binary_bool(op, x, y);
  if (graph::is_float(dtype)) return binary_float(op, dtype, x, y);
  return binary_integer(op, dtype, graph::to_integer(dtype, x), graph::to_integer(dtype, y));
}

uint64_t reduce_identity(Op op, DType dtype) {
  if (op == Op::ReduceSum) return 0;
  if (graph::is_float(dtype)) return graph::infinity_bits(dtype, true);
  return graph::from_integer(dtype, graph::lowest_integer(dtype));
}

Accumulator::Accumulator(Op op, DType dtype)
    : op_(op),
      dtype_(dtype),
      sums_floats_(op == Op::ReduceSum && graph::is_float(dtype)),
      folded_(reduce_identity(op, dtype)) {}

void Accumulator::add(uint64_t element) {
  if (sums_floats_) {
    sum_ += graph::to_double(dtype_, element);
  } else {
    folded_ = apply_binary(op_ == Op::ReduceSum ? Op::Add : Op::Max, dtype_, folded_, element);
  }
}

uint64_t Accumulator::result() const {
  return sums_floats_ ? graph::from_double(dtype_, sum_) : folded_;
}

uint64_t load_element(DType dtype, const std::byte* array, int64_t position) {
  const auto size = static_cast<size_t>(graph::byte_size(dtype));
  uint64_t bits = 0;
  std::memcpy(&bits, array + static_cast<size_t>(position) * size,
              size);  // little-endian hosts only, as safetensors is
  return bits;
}

void store_element(DType dtype, std::byte* array, int64_t position, uint64_t bits) {
  const auto size = static_cast<size_t>(graph::byte_size(dtype));
  std::memcpy(array + static_cast<size_t>(position) * size, &bits, size);
}

}  // namespace quarry::device::interpreter
