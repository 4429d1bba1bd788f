// The kernels whose text is kept and reviewed.
#pragma once

#include <vector>

#include "tests/templates/contraction_case.h"

namespace quarry::test {

struct Golden {
  const char* name;
  Form form;
  templates::ContractionSchedule schedule;
};

inline std::vector<Golden> goldens() {
  return {
      {"large_nt_bf16", {8192, 8192, 8192, "NT", graph::DType::BF16, graph::DType::BF16}, {}},
      {"transposed_tn_f16_to_f32",
       {4096, 4096, 4096, "TN", graph::DType::F16, graph::DType::F32},
       {.block_m = 128, .block_n = 128, .stages = 6}},
      {"batched_nn_bf16",
       {128, 128, 64, "NN", graph::DType::BF16, graph::DType::BF16, {512}},
       {.block_m = 64, .block_n = 128}},
      {"large_nn_f32",
       {4096, 4096, 4096, "NN", graph::DType::F32, graph::DType::F32},
       {.block_m = 128, .block_n = 128, .stages = 4}},
      {"large_tt_f32",
       {4096, 4096, 4096, "TT", graph::DType::F32, graph::DType::F32},
       {.block_m = 128, .block_n = 128, .stages = 4}},
      {"narrow_split_bf16",
       {4096, 16, 4096, "NT", graph::DType::BF16, graph::DType::BF16, {}, true},
       {.parts = 4, .block_m = 128, .block_n = 16, .stages = 8}},
  };
}

}  // namespace quarry::test
