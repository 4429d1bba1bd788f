// The arithmetic of matrix units against what an H200 gave.
#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "engine/tile/matrix_rows.h"

namespace quarry::tile {
namespace {

using graph::DType;

uint32_t hex(const std::string& text) {
  return static_cast<uint32_t>(std::stoul(text, nullptr, 16));
}

using Block = std::array<Factor, 16>;

uint32_t in_blocks(DType dtype, float c, const Block& a, const Block& b, size_t block) {
  for (size_t k = 0; k < 16; k += block) {
    c = aligned_sum(dtype, c, std::span(a).subspan(k, block), std::span(b).subspan(k, block));
  }
  return std::bit_cast<uint32_t>(c);
}

template <class T>
std::vector<T> take(std::ifstream& file, size_t count) {
  std::vector<T> values(count);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
  REQUIRE(file);
  return values;
}

}  // namespace

TEST_CASE("sums made to show truncation, alignment, subnormals, overflow, inf and NaN are the device's, bit for bit") {
  std::ifstream file(TILE_DATA "/sums.txt");
  size_t lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    INFO(line);
    const size_t bar = line.find('|'), second = line.find('|', bar + 1);
    std::istringstream head(line.substr(0, bar)), products(line.substr(second + 1));
    std::string dtype_name, c, by_16, by_8, product;
    head >> dtype_name >> c >> by_16 >> by_8;
    const DType dtype = *graph::parse_dtype(dtype_name);
    Block a, b;
    a.fill(factor(dtype, 0));
    b.fill(factor(dtype, 0));
    while (products >> product) {
      const size_t colon = product.find(':'), star = product.find('*');
      const size_t at = std::stoul(product.substr(0, colon));
      a.at(at) = factor(dtype, static_cast<uint16_t>(hex(product.substr(colon + 1, star - colon - 1))));
      b.at(at) = factor(dtype, static_cast<uint16_t>(hex(product.substr(star + 1))));
    }
    CHECK(in_blocks(dtype, std::bit_cast<float>(hex(c)), a, b, 16) == hex(by_16));
    CHECK(in_blocks(dtype, std::bit_cast<float>(hex(c)), a, b, 8) == hex(by_8));
  }
  CHECK(lines == 250);
}

TEST_CASE("sums of random blocks are the device's, bit for bit, by wgmma and by mma.sync m16n8k8") {
  std::ifstream file(TILE_DATA "/sums.bin", std::ios::binary);
  for (const char* row_name : {"wgmma.m64k16.bf16", "wgmma.m64k16.f16"}) {
    const MatrixRow& row = matrix_rows()[static_cast<size_t>(matrix_row(row_name))];
    for (int kind = 0; kind < 5; ++kind) {
      const auto a = take<uint16_t>(file, 16 * 16), b = take<uint16_t>(file, 32 * 16);
      const auto c = take<float>(file, 16 * 32);
      const auto by_16 = take<uint32_t>(file, 16 * 32), by_8 = take<uint32_t>(file, 16 * 32);
      std::vector<float> sums = c;
      multiply(row, 16, 32, 16, std::vector<uint32_t>(a.begin(), a.end()).data(),
               std::vector<uint32_t>(b.begin(), b.end()).data(), sums.data());
      size_t differ = 0;
      for (size_t i = 0; i < 16; ++i) {
        for (size_t j = 0; j < 32; ++j) {
          Block x, y;
          for (size_t k = 0; k < 16; ++k) {
            x[k] = factor(row.in, a[i * 16 + k]);
            y[k] = factor(row.in, b[j * 16 + k]);
          }
          differ += std::bit_cast<uint32_t>(sums[i * 32 + j]) != by_16[i * 32 + j];
          differ += in_blocks(row.in, c[i * 32 + j], x, y, 8) != by_8[i * 32 + j];
        }
      }
      INFO(row_name << " kind " << kind);
      CHECK(differ == 0);
    }
  }
}

}  // namespace quarry::tile
