// Expected failures are values: Result<T> holds a T or a Problem. Exceptions are for bugs and for start-up.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace quarry {

/// What is wrong, where, and what to do: the same shape from the parser up to an RFC 9457 problem document.
struct Problem {
  std::string code;     ///< stable snake_case name, e.g. "shape_mismatch"; docs/api.md lists them
  std::string detail;   ///< one sentence for a person: names the node, the shape or the field
  std::string pointer;  ///< RFC 6901 JSON Pointer into the input, or empty
  std::string action;   ///< what to do next, or empty
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}            // NOLINT: implicit by intent
  Result(Problem problem) : state_(std::in_place_index<1>, std::move(problem)) {}  // NOLINT: implicit by intent

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  const Problem& problem() const& { return std::get<1>(state_); }
  Problem&& problem() && { return std::get<1>(std::move(state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

 private:
  std::variant<T, Problem> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Problem problem) : state_(std::in_place_index<1>, std::move(problem)) {}  // NOLINT: implicit by intent
  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  const Problem& problem() const& { return std::get<1>(state_); }
  Problem&& problem() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<std::monostate, Problem> state_;
};

using Status = Result<void>;

}  // namespace quarry

// QUARRY_TRY(status): returns the problem of a failed Status or Result from the enclosing function.
// QUARRY_ASSIGN(auto x, result): the same, else x is the value.
#define QUARRY_CONCAT_(a, b) a##b
#define QUARRY_CONCAT(a, b) QUARRY_CONCAT_(a, b)
#define QUARRY_TRY(expression)                                                                                \
  do {                                                                                                        \
    if (auto quarry_status_ = (expression); !quarry_status_.ok()) return std::move(quarry_status_).problem(); \
  } while (0)
#define QUARRY_ASSIGN(declaration, expression) \
  QUARRY_ASSIGN_(declaration, expression, QUARRY_CONCAT(quarry_result_, __LINE__))
#define QUARRY_ASSIGN_(declaration, expression, result) \
  auto result = (expression);                           \
  if (!result.ok()) return std::move(result).problem(); \
  declaration = std::move(result).value()
