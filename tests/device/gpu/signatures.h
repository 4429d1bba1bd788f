// Compares a row of the table of entry points with the vendor's header: as many parameters, each of the same size, and
// none an integer here and a floating-point number there. Names of types differ on purpose.
#pragma once

#include <type_traits>

namespace quarry::test {

template <class A, class B>
constexpr bool same_passing() {
  return sizeof(A) == sizeof(B) && std::is_floating_point_v<A> == std::is_floating_point_v<B> && !std::is_class_v<B>;
}

template <class Ours, class Theirs>
struct SameSignature : std::false_type {};
template <class R, class... A, class S, class... B>
requires(sizeof...(A) == sizeof...(B)) struct SameSignature<R (*)(A...), S (*)(B...)>
    : std::bool_constant<same_passing<R, S>() && (same_passing<A, B>() && ...)> {
};

}  // namespace quarry::test
