#include "engine/codegen/analysis.h"

namespace quarry::codegen {

std::string to_string(const Schedule& schedule) {
  static constexpr const char* kNames[] = {"vector", "unroll", "outer", "chunk", "local",
                                           "items",  "spread", "stage", "split"};
  std::string text;
  for (const Action& action : schedule) {
    text += (text.empty() ? "" : " ") + std::string(kNames[static_cast<int>(action.kind)]) + "(";
    if (action.axis >= 0) text += "r" + std::to_string(action.axis) + (action.amount > 0 ? ", " : "");
    text += (action.amount > 0 ? std::to_string(action.amount) : "") + ")";
  }
  return text;
}

Schedule choose_schedule(const lower::LoopNest& nest, const Target& target) {
  using lower::AxisKind;
  if (nest.value == lower::kNoExpr) return {};
  if (nest.points(AxisKind::Reduce) == 0) return {{ActionKind::Chunk, -1, 1}, {ActionKind::Local, -1, 1}};
  return target.is_gpu ? gpu_schedule(nest, target) : processor_schedule(nest, target);
}

}  // namespace quarry::codegen
