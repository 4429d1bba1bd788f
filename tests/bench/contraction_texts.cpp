// Writes the contraction template's kernels for a list of shapes into a folder, with all that a launch needs in
// cases.json. tests/bench/contraction_bench.py compiles, checks and measures them on a GPU.
//
//   contraction_texts DIRECTORY
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/tile/print_cuda.h"
#include "tests/templates/contraction_case.h"

namespace {

using namespace quarry;
using graph::DType;
using nlohmann::json;
using templates::ContractionSchedule;

struct Shape {
  int64_t m, n, k;
  std::vector<int64_t> batches;
  std::vector<ContractionSchedule> schedules;
  bool swapped = false;  ///< the weight takes the rows of the tile, the result is stored transposed
};

constexpr ContractionSchedule kLarge{}, kSquare{.block_m = 128, .block_n = 128, .stages = 6},
    kTall{.block_m = 128, .block_n = 64, .stages = 8}, kSmall{.block_m = 64, .block_n = 128, .stages = 3},
    kLeast{.block_m = 64, .block_n = 64, .stages = 5}, kWide{.block_m = 64, .block_n = 256, .stages = 4},
    kMiddle{.block_m = 128, .block_n = 192, .stages = 4};

ContractionSchedule split(ContractionSchedule schedule, int64_t parts) {
  schedule.parts = parts;
  return schedule;
}

std::vector<Shape> shapes() {
  const ContractionSchedule narrow{.block_m = 128, .block_n = 16, .stages = 10},
      narrower{.block_m = 64, .block_n = 16, .stages = 12};
  const ContractionSchedule vector{.block_m = 128, .block_n = 8, .stages = 10},
      vector64{.block_m = 64, .block_n = 8, .stages = 12};
  return {
      {1024, 1024, 1024, {}, {kSquare, kTall, kSmall, kLeast, split(kSquare, 2), split(kLarge, 4), split(kTall, 2)}},
      {2048, 2048, 2048, {}, {kLarge, kSquare, kSmall}},
      {4096, 4096, 4096, {}, {kLarge, kSquare}},
      {8192, 8192, 8192, {}, {kLarge, kSquare}},
      {65536, 1024, 1024, {}, {kLarge, kSquare, kMiddle}},
      {4096, 11008, 4096, {}, {kLarge, kSquare}},
      {16, 4096, 4096, {}, {split(narrow, 4), split(narrow, 8), split(narrower, 2), split(narrower, 4)}, true},
      {16, 4096, 4096, {}, {split(kLeast, 2), split(kLeast, 4)}},
      {128,
       4096,
       11008,
       {},
       {split(kSquare, 4), split(kSquare, 8), split(kLarge, 8), split(kTall, 2), split(kTall, 4)}},
      {1, 4096, 32000, {}, {split(vector, 4), split(vector, 8), split(vector64, 2), split(vector64, 4)}, true},
      {128, 128, 64, {512}, {kSquare, kTall, kSmall}},
  };
}

json json_of(const tile::TensorMap& map) {
  return {{"argument", map.argument},
          {"dtype", graph::name(map.dtype)},
          {"offset", map.offset},
          {"extents", map.extents},
          {"strides", map.strides},
          {"box", map.box},
          {"swizzle", static_cast<int>(map.swizzle)}};
}

class Writer {
 public:
  explicit Writer(std::string directory) : directory_(std::move(directory)) {}

  void add(const Shape& shape, const std::string& layout, DType operand, DType result) {
    // The weight's side becomes m: left and right change places, and so do their transposes.
    test::Form form{shape.m, shape.n, shape.k, layout, operand, result, shape.batches};
    if (shape.swapped) {
      std::swap(form.m, form.n);
      form.layout = {layout[1] == 'T' ? 'N' : 'T', layout[0] == 'T' ? 'N' : 'T'};
      form.result_transposed = true;
    }
    for (const ContractionSchedule& schedule : shape.schedules) {
      const auto program = templates::contraction(test::problem_of(form), schedule);
      if (!program) {
        std::cerr << "refused: " << test::to_string(form) << ", " << to_string(schedule) << "\n";
        continue;
      }
      const tile::CudaKernel kernel = tile::print_cuda(*program);
      json entry = {{"m", shape.m},
                    {"n", shape.n},
                    {"k", shape.k},
                    {"layout", layout},
                    {"batches", shape.batches},
                    {"swapped", shape.swapped},
                    {"operand", graph::name(operand)},
                    {"result", graph::name(result)},
                    {"schedule", to_string(schedule)},
                    {"parts", schedule.parts},
                    {"text", file_of(kernel.text)},
                    {"entry", kernel.entry},
                    {"threads", kernel.threads},
                    {"shared", kernel.shared_bytes},
                    {"buffers", kernel.buffers},
                    {"counters", kernel.counter_bytes},
                    {"workspace", kernel.workspace_bytes},
                    {"counts", kernel.counts},
                    {"tiles", kernel.tiles}};
      for (const tile::TensorMap& map : program->maps) entry["maps"].push_back(json_of(map));
      cases_.push_back(std::move(entry));
    }
  }

  void finish() const { std::ofstream(directory_ + "/cases.json") << cases_.dump(1); }

 private:
  std::string file_of(const std::string& text) {
    const auto [at, added] = files_.emplace(text, std::to_string(files_.size()) + ".cu");
    if (added) std::ofstream(directory_ + "/" + at->second) << text;
    return at->second;
  }

  std::string directory_;
  std::map<std::string, std::string> files_;
  json cases_ = json::array();
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: contraction_texts DIRECTORY\n";
    return 2;
  }
  std::filesystem::create_directories(argv[1]);
  Writer writer(argv[1]);
  for (const Shape& shape : shapes()) {
    for (const char* layout : {"NN", "NT", "TN", "TT"}) {
      const bool cube = shape.m == shape.n && shape.n == shape.k;
      if (cube || std::string(layout)[0] == 'N') writer.add(shape, layout, DType::BF16, DType::BF16);
    }
  }
  const Shape tails{1000, 776, 840, {}, {kLarge, kSquare, kTall, kSmall, kLeast, kWide, kMiddle, split(kSquare, 3)}};
  for (const char* layout : {"NN", "NT", "TN", "TT"}) {
    for (DType result : {DType::BF16, DType::F32}) writer.add(tails, layout, DType::BF16, result);
  }
  writer.add(tails, "NT", DType::F16, DType::F16);
  writer.add(tails, "TN", DType::F16, DType::F16);
  writer.add({4096, 4096, 4096, {}, {kLarge}}, "NT", DType::F16, DType::F16);
  writer.add({4096, 4096, 4096, {}, {kLarge, kSquare}}, "NN", DType::BF16, DType::F32);
  writer.add({333, 200, 137, {3, 2}, {kSquare, kSmall, split(kTall, 2)}}, "NN", DType::BF16, DType::F32);
  const ContractionSchedule f32{.block_m = 128, .block_n = 128, .stages = 4};
  for (const char* layout : {"NN", "NT", "TN", "TT"}) {
    for (int64_t size : {2048, 4096, 8192}) writer.add({size, size, size, {}, {f32}}, layout, DType::F32, DType::F32);
    writer.add({1000, 776, 840, {}, {f32, split(f32, 3)}}, layout, DType::F32, DType::F32);
  }
  writer.add({1024, 1024, 1024, {}, {f32, split(f32, 2)}}, "NN", DType::F32, DType::F32);
  writer.add({512, 512, 512, {}, {f32, split(f32, 2), split(f32, 4)}}, "NN", DType::F32, DType::F32);
  writer.add({2048, 384, 96, {}, {f32}}, "NN", DType::F32, DType::F32);
  writer.add({8, 3072, 768, {}, {f32, split(f32, 6)}}, "NN", DType::F32, DType::F32);
  writer.finish();
}
