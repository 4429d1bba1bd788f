// Walks a scheduled loop nest and prints its kernel: tiles of the output, their reduction or values, their stores.
#include <algorithm>

#include "engine/codegen/kernel_text.h"

namespace quarry::codegen {

using lower::AxisKind;
using lower::Expr;
using lower::ExprId;
using lower::LoopNest;

std::vector<Copies> copies_of(const std::vector<TiledAxis>& axes) {
  std::vector<Copies> all{{}};
  const auto multiply = [&](int range, int64_t count) {
    if (range < 0) return;
    std::vector<Copies> next;
    for (const Copies& copies : all) {
      for (int64_t copy = 0; copy < count; ++copy) {
        next.push_back(copies);
        next.back()[range] = copy;
      }
    }
    all = std::move(next);
  };
  for (const TiledAxis& axis : axes) {
    multiply(axis.spread_range, axis.spread);
    multiply(axis.unroll_range, axis.unroll);
  }
  return all;
}

namespace {

bool fits_int(const Scheduled& scheduled) {
  constexpr int64_t kMost = int64_t{1} << 30;  // leaves room for a chunk or a stride past the end
  const LoopNest& nest = scheduled.nest;
  if (scheduled.output_tiles() * scheduled.split > kMost || nest.result_elements > kMost / scheduled.split)
    return false;
  std::vector<ExprId> roots{nest.value, nest.store_index, nest.store_condition};
  if (scheduled.tail_value != lower::kNoExpr) roots.push_back(scheduled.tail_value);
  for (ExprId id : lower::reachable(nest.arena, roots)) {
    const Expr& expr = nest.arena[id];
    if (!lower::is_index(expr.kind)) continue;
    if (expr.low < -kMost || expr.high > kMost) return false;
    for (const lower::Term& term : nest.arena.terms(id)) {
      if (term.coefficient > kMost || term.coefficient < -kMost) return false;
    }
  }
  if (!scheduled.items.empty() && scheduled.output_tiles() * scheduled.split > kMost / scheduled.local) return false;
  for (const TiledAxis& axis : scheduled.reduces) {
    if (axis.extent > kMost) return false;
  }
  return true;
}

class Emitter {
 public:
  Emitter(const Scheduled& scheduled, const Target& target, Helpers& helpers, bool to_scratch)
      : scheduled_(scheduled),
        nest_(scheduled.nest),
        operations_(helpers, target),
        values_(scheduled, operations_, !fits_int(scheduled), target.is_gpu && scheduled.lanes == 1),
        kernel_{scheduled, target, operations_, values_, to_scratch, ""} {}

  // The kernel's text; fills in the entry's sizes.
  std::string run(Entry& entry) {
    total_ = scheduled_.output_tiles() * scheduled_.split;
    const bool grouped = !scheduled_.items.empty();
    const int64_t items = grouped ? total_ * scheduled_.local : (total_ + scheduled_.chunk - 1) / scheduled_.chunk;
    entry.local = scheduled_.local;
    entry.work_items = static_cast<uint64_t>((items + entry.local - 1) / entry.local * entry.local);
    if (entry.reads_step) values_.line("const int step = counters[0];");
    if (entry.reads_seed) values_.line("const ulong seed = ((GLOBAL const ulong*)counters)[1];");
    values_.line("result += result_offset;");
    for (size_t i = 0; i < nest_.reads.size(); ++i) {
      const std::string read = "read" + std::to_string(i);
      values_.line(read + " += " + read + "_offset;");
    }
    open_tiles();
    bind_lanes();
    decode_tile();
    if (grouped) bind_items();
    print_stages(kernel_);
    const std::vector<Copies> outputs = copies_of(scheduled_.outputs);
    print_stores(kernel_, nest_.reduce ? reduced(outputs) : computed(outputs), outputs);
    if (!grouped) values_.close();
    return signature(entry) + " {\n" + values_.take() + "}\n";
  }

 private:
  std::string index_type() const { return values_.index_type(); }

  std::string signature(const Entry& entry) const {
    std::string text = "KERNEL(" + std::to_string(entry.local) + ") " + entry.name + "(GLOBAL " +
                       std::string(storage_type(kernel_.stored_dtype())) + "* RESTRICT result, long result_offset";
    for (size_t i = 0; i < nest_.reads.size(); ++i) {
      const std::string read = "read" + std::to_string(i);
      text += ",\n    GLOBAL const " + std::string(storage_type(nest_.reads[i].dtype)) + "* RESTRICT " + read +
              ", long " + read + "_offset";
    }
    if (entry.reads_step || entry.reads_seed) text += ", GLOBAL const int* counters";
    if (text_of(kernel_.target.dialect).has_first_group) text += ", uint first_group";
    return text + ")";
  }

  void open_tiles() {
    const std::string total = std::to_string(total_), chunk = std::to_string(scheduled_.chunk), type = index_type();
    const std::string local = std::to_string(scheduled_.local), grid_item = "GRID_ITEM(" + local + ")";
    if (!scheduled_.items.empty()) {
      values_.line("const int item = (int)GROUP_ITEM;");
      // No block is opened: OpenCL C allows shared memory at the outermost level of a kernel alone.
      values_.line("const " + type + " tile = (" + type + ")(" + grid_item + " / " + local + ");");
    } else if (scheduled_.chunk == 1) {
      values_.line("const " + type + " tile = (" + type + ")" + grid_item + ";");
      values_.open("if (tile < " + total + ")");
    } else {
      values_.line("const " + type + " first = (" + type + ")" + grid_item + " * " + chunk + ";");
      values_.line("const " + type + " end = min(first + " + chunk + ", (" + type + ")" + total + ");");
      values_.open("for (" + type + " tile = first; tile < end; ++tile)");
    }
  }

  void bind_lanes() {
    if (scheduled_.lane_range < 0) return;
    std::string lanes;
    for (int lane = 0; lane < scheduled_.lanes; ++lane) lanes += (lane == 0 ? "" : ", ") + std::to_string(lane);
    values_.bind(scheduled_.lane_range, "(" + vector_type(index_type(), scheduled_.lanes) + ")(" + lanes + ")");
  }

  void bind_tile(const TiledAxis& axis, const std::string& tile) {
    values_.bind(axis.tile_range, tile);
    if (axis.base_range < 0) return;
    const std::string last = "(" + index_type() + ")" + std::to_string((axis.extent - axis.tile()) / axis.base_step);
    const std::string step = std::to_string(axis.tile() / axis.base_step);
    values_.bind(axis.base_range, values_.name(index_type(), "min(" + tile + " * " + step + ", " + last + ")"));
  }

  void decode_tile() {
    std::string rest = "tile";
    if (scheduled_.split > 1) {
      const std::string tiles = std::to_string(scheduled_.output_tiles());
      kernel_.part = values_.name(index_type(), "tile / " + tiles);
      rest = values_.name(index_type(), "tile % " + tiles);
    }
    for (size_t i = scheduled_.outputs.size(); i-- > 0;) {
      const TiledAxis& axis = scheduled_.outputs[i];
      const std::string tiles = std::to_string(axis.tiles());
      bind_tile(axis, i == 0 ? rest : values_.name(index_type(), rest + " % " + tiles));
      if (i > 0) rest = values_.name(index_type(), rest + " / " + tiles);
    }
  }

  // Where this work-item stands along each axis that the group's items share out.
  void bind_items() {
    for (const ItemsAlong& items : scheduled_.items) {
      const std::string along = "item" + std::to_string(items.axis);
      const std::string stride = items.stride == 1 ? "item" : "item / " + std::to_string(items.stride);
      const bool last = items.stride * items.amount == scheduled_.local;
      values_.line("const int " + along + " = " + stride + (last ? "" : " % " + std::to_string(items.amount)) + ";");
      for (const TiledAxis& axis : scheduled_.outputs) {
        if (axis.axis == items.axis) values_.bind(axis.item_range, along);
      }
    }
  }

  std::vector<Printed> computed(const std::vector<Copies>& outputs) {
    std::vector<Printed> values;
    for (const Copies& copies : outputs) values.push_back(values_.value(nest_.value, copies));
    return values;
  }

  std::vector<Printed> reduced(const std::vector<Copies>& outputs) {
    std::vector<std::string> sums = print_reduction(kernel_, outputs);
    if (scheduled_.lanes_reduce) sums = combine_lanes(kernel_, sums);
    const bool varying = !scheduled_.lanes_reduce && scheduled_.lanes > 1;
    std::vector<Printed> values;
    for (const std::string& sum : combine_items(kernel_, sums)) values.push_back({sum, varying});
    return values;
  }

  const Scheduled& scheduled_;
  const LoopNest& nest_;
  Operations operations_;
  Values values_;
  KernelText kernel_;
  int64_t total_ = 0;
};

double work_of(const LoopNest& nest) {
  const double points =
      static_cast<double>(nest.points(AxisKind::Output)) * static_cast<double>(nest.points(AxisKind::Reduce));
  return points * static_cast<double>(lower::reachable(nest.arena, std::vector<ExprId>{nest.value}).size());
}

std::string add_kernel(Program& program, const LoopNest& nest, const Schedule& schedule, const Target& target,
                       Helpers& helpers) {
  const Scheduled scheduled = apply(nest, schedule);
  Entry entry{.name = "kernel" + std::to_string(program.entries.size())};
  entry.reads_step = nest.reads_step;
  entry.reads_seed = nest.reads_seed;
  entry.flops = work_of(nest);
  entry.writes_scratch = scheduled.split > 1;
  entry.reads_scratch = !program.entries.empty();
  const std::string comment = "// " + to_string(schedule) + "\n";
  const std::string text = Emitter(scheduled, target, helpers, entry.writes_scratch).run(entry);
  program.entries.push_back(entry);
  return comment + text;
}

}  // namespace

Result<Program> generate(const LoopNest& nest, const Schedule& schedule, const Target& target) {
  Program program;
  if (nest.value == lower::kNoExpr) return program;
  if (const std::string why = check(nest, schedule, target); !why.empty())
    return Problem{"illegal_schedule", "the schedule " + to_string(schedule) + " is illegal: " + why, "", ""};
  Helpers helpers(target.dialect);
  std::string kernels = add_kernel(program, nest, schedule, target, helpers);
  if (program.entries[0].writes_scratch) {
    const int64_t parts = apply(nest, schedule).split;
    program.scratch_bytes = static_cast<uint64_t>(nest.result_elements * parts * graph::byte_size(nest.accumulator));
    const LoopNest join = joining_nest(nest, parts);
    Schedule join_schedule = choose_schedule(join, target);
    std::erase_if(join_schedule, [](const Action& action) { return action.kind == ActionKind::Split; });
    kernels += add_kernel(program, join, join_schedule, target, helpers);
  }
  program.source = std::string(text_of(target.dialect).prelude) + helpers.text() + kernels;
  return program;
}

Program generate(const LoopNest& nest, const Target& target) {
  return generate(nest, choose_schedule(nest, target), target).value();
}

}  // namespace quarry::codegen
