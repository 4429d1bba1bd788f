// The programs that the template builds, as text. After a change that is meant:
//   QUARRY_WRITE_GOLDEN=1 build/release/bin/templates_test "golden*"
// writes them anew, and the difference is reviewed.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/templates/contraction_case.h"

namespace quarry::test {

using graph::DType;

namespace {

struct Golden {
  const char* name;
  Form form;
  templates::ContractionSchedule schedule;
};

std::vector<Golden> goldens() {
  return {
      {"large_nt_bf16", {8192, 8192, 8192, "NT", DType::BF16, DType::BF16}, {}},
      {"transposed_tn_f16_to_f32",
       {4096, 4096, 4096, "TN", DType::F16, DType::F32},
       {.block_m = 128, .block_n = 128, .stages = 6}},
      {"batched_nn_bf16", {128, 128, 64, "NN", DType::BF16, DType::BF16, {512}}, {.block_m = 64, .block_n = 128}},
      {"narrow_split_bf16",
       {4096, 16, 4096, "NT", DType::BF16, DType::BF16, {}, true},
       {.parts = 4, .block_m = 128, .block_n = 16, .stages = 8}},
  };
}

void compare(const std::string& path, const std::string& text) {
  if (std::getenv("QUARRY_WRITE_GOLDEN")) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  INFO(path);
  CHECK(text == golden.str());
}

}  // namespace

TEST_CASE("golden programs") {
  for (const Golden& golden : goldens()) {
    const auto program = templates::contraction(problem_of(golden.form), golden.schedule);
    REQUIRE(program.has_value());
    CHECK(tile::verify(*program) == "");
    compare(std::string(GOLDEN) + "/" + golden.name + ".tile", tile::to_string(*program));
  }
}

}  // namespace quarry::test
