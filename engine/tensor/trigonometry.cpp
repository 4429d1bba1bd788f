// Sine and its relatives, and their inverses. Polynomials: of SLEEF and Cephes; errors in ulp as measured by
// tests/tensor/elementwise_test.cpp.
#include <limits>
#include <numbers>

#include "engine/tensor/elementwise.h"
#include "engine/tensor/formula.h"

namespace quarry::tensor {
namespace {

// --- sin and cos ---

// (sin(x) / x - 1) / x^2 as a polynomial in x^2, for |x| up to pi / 2.
constexpr double kSineF32[] = {2.6083159809786593541503e-06, -0.0001981069071916863322258, 0.00833307858556509017944336,
                               -0.166666597127914428710938};
constexpr double kSineF64[] = {
    -7.97255955009037868891952e-18, 2.81009972710863200091251e-15,  -7.64712219118158833288484e-13,
    1.60590430605664501629054e-10,  -2.50521083763502045810755e-08, 2.75573192239198747630416e-06,
    -0.000198412698412696162806809, 0.00833333333333332974823815,   -0.166666666666666657414808};
// pi in parts (Cody and Waite). All but the last have 8 (26) digits, so that their products with up to 2^16 (2^27) are
// exact.
constexpr double kPiF32[] = {0x1.92p+1, 0x1.fcp-11, -0x1.58p-20, 0x1.1p-29, 0x1.68c234p-38};
constexpr double kPiF64[] = {0x1.921fb58p+1, -0x1.dde974p-26, 0x1.1a6263p-53, 0x1.8a2e03707344ap-80};

/// x - multiple * pi.
Tensor without_multiple_of_pi(Tensor x, const Tensor& multiple) {
  const bool is_f64 = x.dtype() == DType::F64;
  for (double part : is_f64 ? std::span<const double>(kPiF64) : kPiF32) x = x - multiple * part;
  return x;
}

/// -1 to the power of an integer.
Tensor alternating_sign(const Tensor& integer) {
  const Tensor parity = integer - nearest_integer(integer * 0.5) * 2.0;
  return 1.0 - parity * parity * 2.0;
}

/// sin of x in -pi/2 .. pi/2, and a little beyond, where a large argument's multiple of pi is not quite the nearest
/// one. An argument so large that its reduction failed gives a number between -1 and 1 too.
Tensor reduced_sine(const Tensor& x) {
  const Tensor r = clip(x, -1.6, 1.6);
  const Tensor square = r * r;
  return r + r * (square * polynomial(square, kSineF32, kSineF64));
}

Tensor sine(const Tensor& x) {
  const Tensor turns = nearest_integer(x * std::numbers::inv_pi);
  return reduced_sine(without_multiple_of_pi(x, turns) * alternating_sign(turns));
}

/// The zeros of the cosine lie at (turns + 1/2) pi; it falls at those where turns is even.
Tensor cosine(const Tensor& x) {
  const Tensor turns = nearest_integer(x * std::numbers::inv_pi - 0.5);
  return reduced_sine(without_multiple_of_pi(x, turns + 0.5) * -alternating_sign(turns));
}

// --- the inverses ---

// (atan(x) / x - 1) / x^2 as a polynomial in x^2, for |x| up to 1.
constexpr double kArctangentF32[] = {0.00282363889625817537307739, -0.0159569028764963150024414,
                                     0.0425049886107444763183594,  -0.0748900920152664184570312,
                                     0.106347933411598205566406,   -0.142027363181114196777344,
                                     0.199926957488059997558594,   -0.333331018686294555664062};
constexpr double kArctangentF64[] = {
    -1.88796008463073496563746e-05, 0.000209850076645816976906797, -0.00110611831486672482563471,
    0.00370026744188713119232403,   -0.00889896195887655491740809, 0.016599329773529201970117,
    -0.0254517624932312641661861,   0.0337852580001353069993897,   -0.0407629191276836500001934,
    0.0466667150077840625632675,    -0.0523674852303482457616113,  0.0587666392926673580854313,
    -0.0666573579361080525984562,   0.0769219538311769618355029,   -0.090908995008245008229153,
    0.111111105648261418443745,     -0.14285714266771329383765,    0.199999999996591265594148,
    -0.333333333333311110369124};
// (asin(x) / x - 1) / x^2 as a polynomial in x^2, for |x| up to 1/2.
constexpr double kArcsineF32[] = {4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1};
constexpr double kArcsineF64[] = {0.3161587650653934628e-1, -0.1581918243329996643e-1, 0.1929045477267910674e-1,
                                  0.6606077476277170610e-2, 0.1215360525577377331e-1,  0.1388715184501609218e-1,
                                  0.1735956991223614604e-1, 0.2237176181932048341e-1,  0.3038195928038132237e-1,
                                  0.4464285681377102438e-1, 0.7500000000378581611e-1,  0.1666666666666497543e+0};

Tensor odd_polynomial(const Tensor& x, std::span<const double> of_f32, std::span<const double> of_f64) {
  const Tensor square = x * x;
  return x + x * (square * polynomial(square, of_f32, of_f64));
}

/// multiple * pi - x, where pi has twice the digits.
Tensor pi_minus(double multiple, const Tensor& x) {
  const bool is_f64 = x.dtype() == DType::F64;
  const double high = is_f64 ? std::numbers::pi : static_cast<double>(std::numbers::pi_v<float>);
  const double low = is_f64 ? 1.2246467991473532e-16 : std::numbers::pi - high;
  return multiple * high - (x - multiple * low);
}

Tensor reciprocal_root_slope(const Tensor& x, const Tensor& gradient) {
  return gradient * rsqrt((1.0 - x) * (x + 1.0));
}

/// atan of x in 0 .. 1.
Tensor reduced_arctangent(const Tensor& x) {
  return with_derivative(
      x, odd_polynomial(x, kArctangentF32, kArctangentF64),
      [](const Tensor& at, const Tensor&, const Tensor& gradient) { return gradient / (at * at + 1.0); });
}

Tensor arctangent(const Tensor& x) {
  const Tensor size = magnitude(x);
  const Tensor is_large = less(like(size, 1), size);
  const Tensor angle = reduced_arctangent(where(is_large, 1.0 / size, size));
  return with_sign_of(x, where(is_large, pi_minus(0.5, angle), angle));
}

/// asin(|x|) beyond 1/2 is pi / 2 - 2 asin(root), root = sqrt((1 - |x|) / 2).
struct Arcsine {
  Tensor is_large;
  Tensor angle;  ///< asin of |x|, or of the root where |x| is large
};

Arcsine reduced_arcsine(const Tensor& x) {
  const Tensor size = magnitude(x);
  const Tensor is_large = less(like(size, 0.5), size);
  const Tensor argument = where(is_large, sqrt((1.0 - size) * 0.5), size);
  return {is_large, odd_polynomial(argument, kArcsineF32, kArcsineF64)};
}

Tensor arcsine(const Tensor& x) {
  const auto [is_large, angle] = reduced_arcsine(x);
  return with_sign_of(x, where(is_large, pi_minus(0.5, angle * 2.0), angle));
}

Tensor arccosine(const Tensor& x) {
  const auto [is_large, angle] = reduced_arcsine(x);
  const Tensor is_negative = less(x, like(x, 0));
  const Tensor from_end = where(is_negative, pi_minus(1, angle * 2.0), angle * 2.0);
  return where(is_large, from_end, pi_minus(0.5, where(is_negative, -angle, angle)));
}

/// Below 0 or -0.
Tensor has_minus(const Tensor& x) {
  const Tensor zero = like(x, 0);
  return less(where(equal(x, zero), 1.0 / x, x), zero);
}

}  // namespace

Tensor sin(const Tensor& x) {
  return real_function(x, sine,
                       [](const Tensor& at, const Tensor&, const Tensor& gradient) { return gradient * cos(at); });
}

Tensor cos(const Tensor& x) {
  return real_function(x, cosine,
                       [](const Tensor& at, const Tensor&, const Tensor& gradient) { return gradient * -sin(at); });
}

Tensor tan(const Tensor& x) {
  return real_function(
      x, [](const Tensor& wide) { return sine(wide) / cosine(wide); },
      [](const Tensor&, const Tensor& value, const Tensor& gradient) { return gradient * (value * value + 1.0); });
}

Tensor asin(const Tensor& x) {
  return real_function(x, arcsine, [](const Tensor& at, const Tensor&, const Tensor& gradient) {
    return reciprocal_root_slope(at, gradient);
  });
}

Tensor acos(const Tensor& x) {
  return real_function(x, arccosine, [](const Tensor& at, const Tensor&, const Tensor& gradient) {
    return -reciprocal_root_slope(at, gradient);
  });
}

Tensor atan(const Tensor& x) {
  return real_function(x, arctangent, [](const Tensor& at, const Tensor&, const Tensor& gradient) {
    return gradient / (at * at + 1.0);
  });
}

Tensor atan2(const Tensor& y, const Tensor& x) {
  const DType dtype = real_dtype(promoted(y.dtype(), x.dtype()));
  const Shape shape = broadcast_shape(y.shape(), x.shape(), "atan2");
  const Tensor up = broadcast_to(cast(y, inner_dtype(dtype)), shape);
  const Tensor along = broadcast_to(cast(x, inner_dtype(dtype)), shape);
  const Tensor height = abs(up), width = abs(along);
  const Tensor is_steep = less(width, height);
  const Tensor shorter = where(is_steep, width, height), longer = where(is_steep, height, width);
  // 0 / 0 stands for 0, inf / inf for 1.
  const Tensor is_origin = equal(longer, like(longer, 0));
  const Tensor infinite = like(longer, std::numeric_limits<double>::infinity()), one = like(longer, 1);
  const Tensor is_endless = logical_and(equal(shorter, infinite), equal(longer, infinite));
  const Tensor slope = where(is_endless, one, shorter / where(is_origin, one, longer));
  Tensor angle = reduced_arctangent(slope);
  angle = where(is_steep, pi_minus(0.5, angle), angle);
  angle = where(has_minus(along), pi_minus(1, angle), angle);
  return cast(where(has_minus(up), -angle, angle), dtype);
}

}  // namespace quarry::tensor
