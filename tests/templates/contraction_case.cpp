#include "tests/templates/contraction_case.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "engine/graph/number.h"
#include "engine/tile/evaluate.h"
#include "engine/tile/interpret.h"

namespace quarry::test {

using graph::DType;
using templates::ContractionProblem;
using templates::OperandView;

namespace {

int64_t offset_in(const std::vector<int64_t>& strides, const std::vector<int64_t>& batches, int64_t batch) {
  int64_t offset = 0;
  for (size_t i = batches.size(); i-- > 0;) {
    offset += batch % batches[i] * strides[i];
    batch /= batches[i];
  }
  return offset;
}

struct Buffers {
  std::vector<std::byte> result, left, right;
};

// Poison in what no element of the operand covers: reading it would show.
std::vector<std::byte> random_operand(const OperandView& view, DType dtype, int64_t rows, int64_t k,
                                      const std::vector<int64_t>& batches, int64_t batch_count,
                                      std::mt19937_64& random) {
  std::vector<std::byte> bytes(static_cast<size_t>(view.elements * graph::byte_size(dtype)), std::byte{0xff});
  std::normal_distribution<double> normal;
  for (int64_t batch = 0; batch < batch_count; ++batch) {
    const int64_t base = offset_in(view.batch_strides, batches, batch);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < k; ++i) {
        const double value = normal(random) * (random() % 16 == 0 ? 64 : 1);
        tile::store_bits(dtype, bytes.data(), base + row * view.row_stride + i * view.k_stride,
                         graph::from_double(dtype, value));
      }
    }
  }
  return bytes;
}

std::vector<uint32_t> rows_of(const OperandView& view, DType dtype, const std::vector<std::byte>& bytes, int64_t base,
                              int64_t rows, int64_t k, int64_t depth) {
  std::vector<uint32_t> values(static_cast<size_t>(rows * depth));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < k; ++i) {
      values[static_cast<size_t>(row * depth + i)] =
          static_cast<uint32_t>(tile::load_bits(dtype, bytes.data(), base + row * view.row_stride + i * view.k_stride));
    }
  }
  return values;
}

using Rows = std::vector<uint32_t>;

// The columns [first, first + count) of all rows.
Rows slice(const Rows& rows, int64_t depth, int64_t first, int64_t count) {
  Rows result;
  for (auto at = rows.begin(); at != rows.end(); at += depth)
    result.insert(result.end(), at + first, at + first + count);
  return result;
}

std::vector<float> narrow_sums(const ContractionProblem& problem, const Rows& a, const Rows& b, int64_t depth) {
  const char* const name = problem.operand == DType::BF16 ? "wgmma.m64k16.bf16" : "wgmma.m64k16.f16";
  const auto& row = tile::matrix_rows()[static_cast<size_t>(tile::matrix_row(name))];
  std::vector<float> sum(static_cast<size_t>(problem.m * problem.n));
  tile::multiply(row, problem.m, problem.n, depth, a.data(), b.data(), sum.data());
  return sum;
}

// part, row, k
std::vector<tile::Factor> parts_of(const Rows& rows) {
  std::vector<tile::Factor> factors(3 * rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const tile::Parts parts = tile::split_bf16(std::bit_cast<float>(rows[i]));
    for (size_t part = 0; part < 3; ++part)
      factors[part * rows.size() + i] = tile::factor(DType::BF16, parts.bits[part]);
  }
  return factors;
}

std::vector<float> split_sums(const ContractionProblem& problem, const Rows& a, const Rows& b, int64_t depth) {
  std::vector<float> sum(static_cast<size_t>(problem.m * problem.n));
  const auto left = parts_of(a), right = parts_of(b);
  for (int64_t i = 0; i < problem.m; ++i) {
    for (int64_t j = 0; j < problem.n; ++j) {
      for (int64_t k = 0; k < depth; k += tile::kSplitDepth) {
        // Whether a stage holds an infinity does not change a finite sum, so here each element is asked for itself.
        sum[static_cast<size_t>(i * problem.n + j)] +=
            tile::six_products(std::span(left).subspan(static_cast<size_t>(i * depth + k)), a.size(),
                               std::span(right).subspan(static_cast<size_t>(j * depth + k)), b.size(), true);
      }
    }
  }
  return sum;
}

// The sums of one batch, part by part, as the units add them.
std::vector<float> sums(const ContractionProblem& problem, int64_t parts, const Rows& left, const Rows& right,
                        int64_t depth) {
  const int64_t part_depth = depth / parts;
  std::vector<float> total(static_cast<size_t>(problem.m * problem.n));
  for (int64_t part = 0; part < parts; ++part) {
    const Rows a = slice(left, depth, part * part_depth, part_depth),
               b = slice(right, depth, part * part_depth, part_depth);
    const auto sum =
        problem.operand == DType::F32 ? split_sums(problem, a, b, part_depth) : narrow_sums(problem, a, b, part_depth);
    for (size_t i = 0; i < sum.size(); ++i) total[i] += sum[i];
  }
  return total;
}

}  // namespace

void check_contraction(const Form& form, const templates::ContractionSchedule& schedule, int64_t blocks,
                       uint64_t seed) {
  INFO(to_string(form) << ", " << to_string(schedule) << ", " << blocks << " blocks, seed " << seed);
  const ContractionProblem problem = problem_of(form);
  auto program = templates::contraction(problem, schedule);
  REQUIRE(program.has_value());
  int64_t batches = 1;
  for (int64_t extent : form.batches) batches *= extent;
  std::mt19937_64 random(seed);
  Buffers buffers;
  buffers.left = random_operand(problem.left, form.operand, form.m, form.k, form.batches, batches, random);
  buffers.right = random_operand(problem.right, form.operand, form.n, form.k, form.batches, batches, random);
  buffers.result.assign(static_cast<size_t>(problem.result_elements * graph::byte_size(form.result)), std::byte{0xff});
  const std::span<std::byte> arguments[] = {buffers.result, buffers.left, buffers.right};
  REQUIRE(tile::interpret(*program, arguments, {blocks, seed}) == "");

  const int64_t stage = 128 / graph::byte_size(form.operand), steps = (form.k + stage - 1) / stage;
  const int64_t depth = (steps + schedule.parts - 1) / schedule.parts * schedule.parts * stage;
  size_t differ = 0, beyond = 0;
  for (int64_t batch = 0; batch < batches; ++batch) {
    const int64_t left_base = offset_in(problem.left.batch_strides, form.batches, batch);
    const int64_t right_base = offset_in(problem.right.batch_strides, form.batches, batch);
    const auto left = rows_of(problem.left, form.operand, buffers.left, left_base, form.m, form.k, depth);
    const auto right = rows_of(problem.right, form.operand, buffers.right, right_base, form.n, form.k, depth);
    const std::vector<float> expected = sums(problem, schedule.parts, left, right, depth);
    const int64_t base = offset_in(problem.result_batch_strides, form.batches, batch);
    for (int64_t i = 0; i < form.m; ++i) {
      for (int64_t j = 0; j < form.n; ++j) {
        const float sum = expected[static_cast<size_t>(i * form.n + j)];
        const uint64_t bits =
            tile::load_bits(form.result, buffers.result.data(), base + i * problem.m_stride + j * problem.n_stride);
        differ += bits != graph::cast_bits(DType::F32, form.result, std::bit_cast<uint32_t>(sum));
        double exact = 0, magnitudes = 0;
        for (int64_t k = 0; k < form.k; ++k) {
          const double product = graph::to_double(form.operand, left[static_cast<size_t>(i * depth + k)]) *
                                 graph::to_double(form.operand, right[static_cast<size_t>(j * depth + k)]);
          exact += product;
          magnitudes += std::abs(product);
        }
        // S1, and S2 for products of split numbers
        double bound = static_cast<double>(form.k + 64) * 0x1p-23 * magnitudes;
        if (form.operand == DType::F32) bound += 0x1p-22 * magnitudes;
        beyond += !(std::abs(double{sum} - exact) <= bound);
      }
    }
  }
  CHECK(differ == 0);
  CHECK(beyond == 0);
}

}  // namespace quarry::test
