// The programs that the template builds, as text. After a change that is meant:
//   QUARRY_WRITE_GOLDEN=1 build/release/bin/templates_test "golden*"
// writes them anew, and the difference is reviewed.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "engine/tile/print_cuda.h"
#include "tests/templates/goldens.h"

namespace quarry::test {

namespace {

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
    const std::string path = std::string(GOLDEN) + "/" + golden.name;
    compare(path + ".tile", tile::to_string(*program));
    std::string text = tile::print_cuda(*program).text;
    for (const std::string prelude : {tile::kCudaPrelude, tile::kCudaSplitPrelude}) {
      if (text.starts_with(prelude)) text = text.substr(prelude.size());
    }
    compare(path + ".cu", text);
  }
}

}  // namespace quarry::test
