#include "engine/tensor/random.h"

#include <numbers>

#include "engine/tensor/arithmetic.h"
#include "engine/tensor/elementwise.h"
#include "engine/tensor/shape.h"

namespace quarry::tensor {
namespace {

constexpr int64_t kLargestSpan = int64_t{1} << 31;

void require_float(DType dtype, const char* where) {
  if (!graph::is_float(dtype)) {
    throw TensorError(std::string(where) + ": its dtype is a float, not " + std::string(graph::name(dtype)));
  }
}

}  // namespace

Tensor uniform(Shape shape, uint32_t stream, double low, double high, DType dtype) {
  require_float(dtype, "uniform");
  const Tensor unit = rand(std::move(shape), stream);
  if (low == 0 && high == 1) return cast(unit, dtype);
  return cast(unit * (high - low) + low, dtype);
}

Tensor normal(Shape shape, uint32_t stream, double mean, double deviation, DType dtype) {
  require_float(dtype, "normal");
  const int64_t count = constant(0, DType::F32, shape).elements();
  const int64_t pairs = count / 2 + count % 2;
  const Tensor numbers = rand({2, pairs}, stream);
  // 1 - u lies in (0, 1], where the logarithm is finite.
  const Tensor radius = sqrt(-2.0 * log(1.0 - select(numbers, 0, 0)));
  const Tensor angle = select(numbers, 0, 1) * (2 * std::numbers::pi);
  const Tensor halves[] = {radius * cos(angle), radius * sin(angle)};
  const Tensor unit = reshape(narrow(cat(halves), 0, 0, count), std::move(shape));
  return cast(deviation == 1 && mean == 0 ? unit : unit * deviation + mean, dtype);
}

Tensor randint(Shape shape, uint32_t stream, int64_t low, int64_t high, DType dtype) {
  if (dtype != DType::I32 && dtype != DType::I64) {
    throw TensorError("randint: its dtype is i32 or i64, not " + std::string(graph::name(dtype)));
  }
  int64_t span = 0;
  if (high <= low || __builtin_sub_overflow(high, low, &span) || span > kLargestSpan) {
    throw TensorError("randint: [" + std::to_string(low) + ", " + std::to_string(high) +
                      ") must hold 1 to 2^31 integers");
  }
  // word * span / 2^32, the word unsigned: 2^31 is added to the signed one and to what it is divided by.
  const Tensor word = cast(rand(std::move(shape), stream, DType::I32), DType::I64);
  const int64_t two_to_31 = int64_t{1} << 31;
  const Tensor scaled = (word + static_cast<double>(two_to_31)) * static_cast<double>(span);
  return cast(add(scaled / static_cast<double>(2 * two_to_31), integer_constant(low, DType::I64)), dtype);
}

Tensor bernoulli(Shape shape, uint32_t stream, double probability) {
  if (!(probability >= 0 && probability <= 1)) throw TensorError("bernoulli: a probability lies between 0 and 1");
  const Tensor unit = rand(std::move(shape), stream);
  return less(unit, scalar_beside(unit, probability));
}

}  // namespace quarry::tensor
