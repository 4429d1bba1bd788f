// What the work-items of a group do together: adding up a reduction that they share, and filling tiles of shared
// memory.
#include <algorithm>

#include "engine/codegen/kernel_text.h"

namespace quarry::codegen {

using graph::DType;

namespace {

const ItemsAlong* shared_reduction(const Scheduled& scheduled) {
  const auto found = std::find_if(scheduled.items.begin(), scheduled.items.end(),
                                  [](const ItemsAlong& items) { return items.reduces; });
  return found == scheduled.items.end() ? nullptr : &*found;
}

// How many of the work-items that share a reduction add up by exchanging registers: those of one subgroup.
int64_t exchanged(const Scheduled& scheduled, const Target& target) {
  const ItemsAlong& items = *shared_reduction(scheduled);
  if (target.dialect == Dialect::OpenCl) return 1;  // OpenCL 1.2 has no exchange
  return std::clamp<int64_t>(int64_t{target.subgroup} / items.stride, 1, items.amount);
}

std::string subtotal_name(size_t output) {
  return "shared" + std::to_string(output);
}

class Combination {
 public:
  explicit Combination(KernelText& kernel)
      : kernel_(kernel),
        items_(*shared_reduction(kernel.scheduled)),
        in_subgroup_(exchanged(kernel.scheduled, kernel.target)) {}

  std::vector<std::string> run(std::vector<std::string> sums) {
    for (int64_t apart = items_.stride; apart < items_.stride * in_subgroup_; apart *= 2) {
      for (std::string& sum : sums) {
        const std::string other =
            kernel_.values.name(type(), "SHUFFLE_XOR(" + sum + ", " + std::to_string(apart) + ")");
        sum = kernel_.values.name(type(), kernel_.join(sum, other, 1));
      }
    }
    const int64_t left = items_.amount / in_subgroup_;
    return left == 1 ? sums : through_memory(sums, left);
  }

 private:
  std::string type() const { return kernel_.accumulator_type(1); }

  // Each of the `left` subtotals of a sum lies where its work-items' numbers, less the exchanged bits, say.
  std::vector<std::string> through_memory(const std::vector<std::string>& sums, int64_t left) {
    const int64_t apart = items_.stride * in_subgroup_;  // work-items between neighbouring subtotals
    for (size_t i = 0; i < sums.size(); ++i)
      kernel_.values.line("SHARED " + type() + " " + subtotal_name(i) + "[" + std::to_string(kernel_.scheduled.local) +
                          "];");
    for (size_t i = 0; i < sums.size(); ++i) kernel_.values.line(subtotal_name(i) + "[item] = " + sums[i] + ";");
    const std::string rank =
        kernel_.values.name("int", "item / " + std::to_string(apart) + " % " + std::to_string(left));
    for (int64_t half = left / 2; half >= 1; half /= 2) {
      kernel_.values.line("SYNCHRONISE;");
      kernel_.values.open("if (" + rank + " < " + std::to_string(half) + ")");
      for (size_t i = 0; i < sums.size(); ++i) {
        const std::string own = subtotal_name(i) + "[item]";
        const std::string other = subtotal_name(i) + "[item + " + std::to_string(half * apart) + "]";
        kernel_.values.line(own + " = " + kernel_.join(own, other, 1) + ";");
      }
      kernel_.values.close();
    }
    std::vector<std::string> totals;
    for (size_t i = 0; i < sums.size(); ++i) totals.push_back(kernel_.values.name(type(), subtotal_name(i) + "[item]"));
    return totals;
  }

  KernelText& kernel_;
  const ItemsAlong& items_;
  int64_t in_subgroup_;
};

std::vector<Copies> fill_copies(const Staged& stage) {
  std::vector<Copies> all;
  for (int64_t column = 0; column < stage.column_copies; ++column) {
    for (int64_t row = 0; row < stage.row_copies; ++row) {
      Copies& copies = all.emplace_back();
      if (stage.column_copy_range >= 0) copies[stage.column_copy_range] = column;
      if (stage.row_copy_range >= 0) copies[stage.row_copy_range] = row;
    }
  }
  return all;
}

}  // namespace

std::vector<std::string> combine_items(KernelText& kernel, const std::vector<std::string>& sums) {
  return shared_reduction(kernel.scheduled) == nullptr ? sums : Combination(kernel).run(sums);
}

void print_stages(KernelText& kernel) {
  Values& values = kernel.values;
  for (size_t i = 0; i < kernel.scheduled.staged.size(); ++i) {
    const Staged& stage = kernel.scheduled.staged[i];
    const std::string tile = "stage" + std::to_string(i);
    const std::string type(storage_type(kernel.nest().arena[stage.load].dtype));
    values.line("SHARED " + type + " " + tile + "[" + std::to_string(stage.rows * stage.pitch) + "];");
    const std::string row_item = values.name("int", "item % " + std::to_string(stage.row_items));
    const std::string column_item = values.name("int", "item / " + std::to_string(stage.row_items));
    values.bind(stage.row_item_range, row_item);
    values.bind(stage.column_item_range, column_item);
    for (const Copies& copies : fill_copies(stage)) {
      const int64_t row = copies.contains(stage.row_copy_range) ? copies.at(stage.row_copy_range) : 0;
      const int64_t column = copies.contains(stage.column_copy_range) ? copies.at(stage.column_copy_range) : 0;
      const std::string place = "(" + row_item + " * " + std::to_string(stage.row_copies) + " + " +
                                std::to_string(row) + ") * " + std::to_string(stage.pitch) + " + " + column_item +
                                " + " + std::to_string(column * stage.column_items);
      values.line(tile + "[" + place + "] = " + values.stored_element(stage.fill, copies) + ";");
    }
    values.stage(stage, tile);
  }
  if (!kernel.scheduled.staged.empty()) values.line("SYNCHRONISE;");
}

int64_t shared_bytes(const Scheduled& scheduled, const Target& target) {
  int64_t bytes = 0;
  for (const Staged& stage : scheduled.staged)
    bytes += stage.rows * stage.pitch * static_cast<int64_t>(graph::byte_size(scheduled.nest.arena[stage.load].dtype));
  const ItemsAlong* items = shared_reduction(scheduled);
  if (items == nullptr || items->amount == exchanged(scheduled, target)) return bytes;
  const auto sums = static_cast<int64_t>(copies_of(scheduled.outputs).size());
  return bytes + sums * scheduled.local * static_cast<int64_t>(graph::byte_size(scheduled.nest.accumulator));
}

}  // namespace quarry::codegen
