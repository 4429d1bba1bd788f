// A contraction with random operands, run by the tile interpreter and held against the matrix row's own sums.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/templates/contraction.h"

namespace quarry::test {

/// "NN": both row-major, left [m][k] and right [k][n]; T: that one is transposed.
struct Form {
  int64_t m, n, k;
  std::string layout = "NN";
  graph::DType operand = graph::DType::BF16, result = graph::DType::F32;
  std::vector<int64_t> batches;
  bool result_transposed = false;  ///< result [n][m]
};
std::string to_string(const Form& form);

/// Rows are padded to a multiple of 8 elements, as the template asks; results are not.
templates::ContractionProblem problem_of(const Form& form);

/// Runs the program over `blocks` blocks with the seed. Fails the test if the interpreter finds fault, if a result is
/// not exactly the rounded sum in the row's arithmetic, or if it leaves the bound of a SUM.
void check_contraction(const Form& form, const templates::ContractionSchedule& schedule, int64_t blocks, uint64_t seed);

}  // namespace quarry::test
