// The text of the functions that kernels call: arithmetic whose meaning the graph format fixes and a device language
// leaves open.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/codegen/codegen.h"

namespace quarry::codegen {

/// Collects the helpers a source uses, each instantiated for an element type and a vector width, and prints them in an
/// order in which each stands before its users.
class Helpers {
 public:
  explicit Helpers(Dialect dialect) : dialect_(dialect) {}

  /// The name to call: "q_div" for "int" at width 16 is "q_div_int16". Asserts that the helper exists.
  std::string use(std::string_view base, std::string_view type, int width);
  std::string text() const;

 private:
  Dialect dialect_;
  std::set<std::string, std::less<>> names_;
  std::string text_;
};

inline constexpr char kLane[] = "0123456789abcdef";  ///< the names of a vector's lanes, after .s
/// "float" at width 16 is "float16", at width 1 "float".
std::string vector_type(std::string_view type, int width);
/// The signed integer type as wide as an element: what comparisons of vectors give and select() takes.
std::string_view mask_type(std::string_view type);
std::string_view unsigned_type(std::string_view type);
/// `text` for an element type and a vector width: $T becomes the type, $V the width (nothing for 1), $U the unsigned
/// and $M the mask type as wide as $T, $B its bits.
std::string instantiate(std::string_view text, std::string_view type, int width);

}  // namespace quarry::codegen
