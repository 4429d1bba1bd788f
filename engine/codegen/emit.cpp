// Walks a scheduled loop nest and prints its kernel: tiles of the output, loops of the reduction, combination, store.
#include <algorithm>
#include <bit>
#include <cassert>

#include "engine/codegen/dialects/dialect.h"
#include "engine/codegen/values.h"

namespace quarry::codegen {

using graph::DType;
using graph::Op;
using lower::AxisKind;
using lower::Expr;
using lower::ExprId;
using lower::Kind;
using lower::LoopNest;

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
        values_(scheduled, operations_, !fits_int(scheduled)),
        has_first_group_(text_of(target.dialect).has_first_group),
        to_scratch_(to_scratch) {}

  // The kernel's text; fills in the entry's sizes.
  std::string run(Entry& entry) {
    total_ = scheduled_.output_tiles() * scheduled_.split;
    const int64_t items =
        scheduled_.group > 1 ? total_ * scheduled_.local : (total_ + scheduled_.chunk - 1) / scheduled_.chunk;
    entry.local = scheduled_.local;
    entry.work_items = static_cast<uint64_t>((items + entry.local - 1) / entry.local * entry.local);
    values_.line("result += result_offset;");
    for (size_t i = 0; i < nest_.reads.size(); ++i) {
      const std::string read = "read" + std::to_string(i);
      values_.line(read + " += " + read + "_offset;");
    }
    if (scheduled_.group > 1)
      values_.line("SHARED " + accumulator_type(1) + " shared[" + std::to_string(scheduled_.group) + "];");
    open_tiles();
    bind_lanes();
    decode_tile();
    if (nest_.reduce) {
      reduce();
    } else {
      for (const Copies& copies : copies_of(scheduled_.outputs)) {
        store(values_.value(nest_.value, copies), copies);
      }
    }
    values_.close();
    return signature(entry) + " {\n" + values_.take() + "}\n";
  }

 private:
  std::string index_type() const { return values_.index_type(); }
  std::string accumulator_type(int width) const { return vector_type(compute_type(nest_.accumulator), width); }
  DType stored_dtype() const { return to_scratch_ ? nest_.accumulator : nest_.result; }

  std::string signature(const Entry& entry) const {
    std::string text = "KERNEL(" + std::to_string(entry.local) + ") " + entry.name + "(GLOBAL " +
                       std::string(storage_type(stored_dtype())) + "* RESTRICT result, long result_offset";
    for (size_t i = 0; i < nest_.reads.size(); ++i) {
      const std::string read = "read" + std::to_string(i);
      text += ",\n    GLOBAL const " + std::string(storage_type(nest_.reads[i].dtype)) + "* RESTRICT " + read +
              ", long " + read + "_offset";
    }
    if (entry.reads_step) text += ", int step";
    if (entry.reads_seed) text += ", ulong seed";
    if (has_first_group_) text += ", uint first_group";
    return text + ")";
  }

  void open_tiles() {
    const std::string total = std::to_string(total_), chunk = std::to_string(scheduled_.chunk);
    const std::string grid_item = "GRID_ITEM(" + std::to_string(scheduled_.local) + ")";
    if (scheduled_.group > 1) {
      values_.line("const int item = (int)GROUP_ITEM;");
      values_.line("const " + index_type() + " tile = (" + index_type() + ")(" + grid_item + " / " +
                   std::to_string(scheduled_.local) + ");");
      values_.open("");
    } else if (scheduled_.chunk == 1) {
      values_.line("const " + index_type() + " tile = (" + index_type() + ")" + grid_item + ";");
      values_.open("if (tile < " + total + ")");
    } else {
      values_.line("const " + index_type() + " first = (" + index_type() + ")" + grid_item + " * " + chunk + ";");
      values_.line("const " + index_type() + " end = min(first + " + chunk + ", (" + index_type() + ")" + total + ");");
      values_.open("for (" + index_type() + " tile = first; tile < end; ++tile)");
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
    const std::string last = "(" + index_type() + ")" + std::to_string(axis.extent - axis.tile());
    values_.bind(axis.base_range,
                 values_.name(index_type(), "min(" + tile + " * " + std::to_string(axis.tile()) + ", " + last + ")"));
  }

  void decode_tile() {
    std::string rest = "tile";
    if (scheduled_.split > 1) {
      const std::string tiles = std::to_string(scheduled_.output_tiles());
      part_ = values_.name(index_type(), "tile / " + tiles);
      rest = values_.name(index_type(), "tile % " + tiles);
    }
    for (size_t i = scheduled_.outputs.size(); i-- > 0;) {
      const TiledAxis& axis = scheduled_.outputs[i];
      const std::string tiles = std::to_string(axis.tiles());
      bind_tile(axis, i == 0 ? rest : values_.name(index_type(), rest + " % " + tiles));
      if (i > 0) rest = values_.name(index_type(), rest + " / " + tiles);
    }
  }

  static std::vector<Copies> copies_of(const std::vector<TiledAxis>& axes) {
    std::vector<Copies> all{{}};
    for (const TiledAxis& axis : axes) {
      if (axis.unroll_range < 0) continue;
      std::vector<Copies> next;
      for (const Copies& copies : all) {
        for (int64_t copy = 0; copy < axis.unroll; ++copy) {
          next.push_back(copies);
          next.back()[axis.unroll_range] = copy;
        }
      }
      all = std::move(next);
    }
    return all;
  }

  // Reduction
  // -----------------------------------------------------------------------------------------------------------------------

  void reduce() {
    const std::vector<Copies> outputs = copies_of(scheduled_.outputs);
    parts_ = copies_of(scheduled_.reduces);
    const std::string identity =
        "(" + accumulator_type(scheduled_.lanes) + ")(" + operations_.identity(*nest_.reduce, nest_.accumulator) + ")";
    for (size_t i = 0; i < outputs.size() * parts_.size(); ++i) {
      values_.line(accumulator_type(scheduled_.lanes) + " " + accumulator(i) + " = " + identity + ";");
    }
    reduce_loops(outputs);
    std::vector<std::string> sums;
    for (size_t i = 0; i < outputs.size(); ++i) sums.push_back(combine_parts(i));
    if (scheduled_.lanes_reduce) sums = combine_lanes(sums);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const bool varying = !scheduled_.lanes_reduce && scheduled_.lanes > 1;
      store({scheduled_.group > 1 ? combine_group(sums[i]) : sums[i], varying}, outputs[i]);
    }
  }

  static std::string accumulator(size_t i) { return "sum" + std::to_string(i); }

  // Opens the loop over whole tiles of reduce axis `place`; returns its variable.
  std::string open_reduce_loop(size_t place) {
    const TiledAxis& axis = scheduled_.reduces[place];
    const int64_t tiles = axis.extent / axis.tile();
    const std::string variable = "k" + std::to_string(place), type = index_type();
    std::string low = "0", high = std::to_string(tiles), step = "1";
    if (scheduled_.split > 1 && scheduled_.split_axis == place) {
      const std::string share = std::to_string((tiles + scheduled_.split - 1) / scheduled_.split);
      low = values_.name(type, part_ + " * " + share);
      high = values_.name(type, "min(" + low + " + " + share + ", (" + type + ")" + high + ")");
    }
    if (scheduled_.group > 1 && scheduled_.group_axis == place) {
      low += " + item";
      step = std::to_string(scheduled_.group);
    }
    values_.open("LOOP (" + type + " " + variable + " = " + low + "; " + variable + " < " + high + "; " + variable +
                 " += " + step + ")");
    return variable;
  }

  void reduce_loops(const std::vector<Copies>& outputs) {
    if (scheduled_.reduces.empty()) return accumulate_all(nest_.value, outputs, false);
    const size_t last = scheduled_.reduces.size() - 1;
    for (size_t place = 0; place < last; ++place)
      values_.bind(scheduled_.reduces[place].tile_range, open_reduce_loop(place));
    const TiledAxis& inner = scheduled_.reduces[last];
    const std::string variable = open_reduce_loop(last);
    values_.bind(inner.tile_range, variable);
    if (inner.base_range >= 0)
      values_.bind(inner.base_range, values_.name(index_type(), variable + " * " + std::to_string(inner.tile())));
    accumulate_all(nest_.value, outputs, false);
    values_.close();
    if (!inner.divides()) {
      const bool in_last_part = scheduled_.split > 1 && scheduled_.split_axis == last;
      values_.open(in_last_part ? "if (" + part_ + " == " + std::to_string(scheduled_.split - 1) + ")" : "");
      accumulate_all(scheduled_.tail_value, outputs, true);
      values_.close();
    }
    for (size_t place = 0; place < last; ++place) values_.close();
  }

  void accumulate_all(ExprId value, const std::vector<Copies>& outputs, bool tail) {
    for (size_t part = 0; part < parts_.size(); ++part) {
      std::string mask;
      if (tail) {
        const TiledAxis& axis = scheduled_.reduces.back();
        const int64_t copy = axis.unroll_range < 0 ? 0 : parts_[part].at(axis.unroll_range);
        const int64_t seen = axis.extent / axis.tile() * axis.tile() - (axis.extent - axis.tile() + copy * axis.lanes);
        if (seen >= axis.lanes) continue;  // all of it was seen before
        if (seen > 0) mask = tail_mask(seen);
      }
      for (size_t i = 0; i < outputs.size(); ++i) {
        Copies copies = outputs[i];
        copies.insert(parts_[part].begin(), parts_[part].end());
        accumulate(accumulator(i * parts_.size() + part), value, copies, mask);
      }
    }
  }

  // Lanes below `seen` were part of an earlier tile.
  std::string tail_mask(int64_t seen) {
    const std::string type = vector_type(mask_type(compute_type(nest_.accumulator)), scheduled_.lanes);
    std::string lanes;
    for (int lane = 0; lane < scheduled_.lanes; ++lane)
      lanes += std::string(lane == 0 ? "" : ", ") + (lane < seen ? "0" : "-1");
    return "(" + type + ")(" + lanes + ")";
  }

  void accumulate(const std::string& sum, ExprId value, const Copies& copies, const std::string& mask) {
    const Expr& expr = nest_.arena[value];
    const DType dtype = nest_.accumulator;
    const int lanes = scheduled_.lanes;
    const bool product = *nest_.reduce == Op::ReduceSum && expr.kind == Kind::Compute && expr.op == Op::Mul &&
                         graph::is_float(expr.dtype);
    if (product && mask.empty()) {
      const std::string a = values_.widened(values_.value(expr.a, copies), expr.dtype, lanes);
      const std::string b = values_.widened(values_.value(expr.b, copies), expr.dtype, lanes);
      values_.line(sum + " = " + operations_.fused_multiply_add(dtype, a, b, sum, lanes) + ";");
      return;
    }
    std::string term = values_.widened(values_.value(value, copies), dtype, lanes);
    if (!mask.empty()) {
      const std::string type = accumulator_type(lanes);
      term = values_.name(type, "select((" + type + ")(" + operations_.identity(*nest_.reduce, dtype) + "), " + term +
                                    ", " + mask + ")");
    }
    values_.line(sum + " = " + join(sum, term, lanes) + ";");
  }

  std::string join(const std::string& a, const std::string& b, int width) {
    return operations_.binary(*nest_.reduce == Op::ReduceSum ? Op::Add : Op::Max, nest_.accumulator, a, b, width);
  }

  // One output's accumulators, pairwise.
  std::string combine_parts(size_t output) {
    std::vector<std::string> sums;
    for (size_t part = 0; part < parts_.size(); ++part) sums.push_back(accumulator(output * parts_.size() + part));
    while (sums.size() > 1) {
      std::vector<std::string> halved;
      for (size_t i = 0; i + 1 < sums.size(); i += 2) {
        halved.push_back(
            values_.name(accumulator_type(scheduled_.lanes), join(sums[i], sums[i + 1], scheduled_.lanes)));
      }
      if (sums.size() % 2 == 1) halved.push_back(sums.back());
      sums = std::move(halved);
    }
    return sums[0];
  }

  // The lanes of each sum. Sums are taken in groups of a power of two: two of them fold into one vector at the price of
  // one, which is a quarter of the work of folding each alone.
  std::vector<std::string> combine_lanes(const std::vector<std::string>& sums) {
    std::vector<std::string> combined;
    while (combined.size() < sums.size()) {
      const size_t left = sums.size() - combined.size();
      const size_t count = std::bit_floor(std::min(left, static_cast<size_t>(scheduled_.lanes)));
      const auto first = sums.begin() + static_cast<ptrdiff_t>(combined.size());
      fold(std::vector<std::string>(first, first + static_cast<ptrdiff_t>(count)), combined);
    }
    return combined;
  }

  // Vectors whose lanes belong to sums, in runs of equal owners.
  struct Partial {
    std::string text;
    std::vector<size_t> owners;
  };

  // Adds the lanes of each of `sums`, a power of two of them; appends the totals in order to `folded`.
  void fold(const std::vector<std::string>& sums, std::vector<std::string>& folded) {
    static constexpr char kLane[] = "0123456789abcdef";
    const size_t count = sums.size();
    std::vector<Partial> partials;
    for (size_t i = 0; i < count; ++i)
      partials.push_back({sums[i], std::vector<size_t>(static_cast<size_t>(scheduled_.lanes), i)});
    for (int run = scheduled_.lanes / 2; partials.size() > 1; run /= 2) {
      for (size_t i = 0; i < partials.size(); i += 2) partials[i / 2] = fold_pair(partials[i], partials[i + 1], run);
      partials.resize(partials.size() / 2);
    }
    std::string sum = partials[0].text;
    const int run = scheduled_.lanes / static_cast<int>(count);
    for (int lanes = scheduled_.lanes / 2; lanes >= static_cast<int>(count); lanes /= 2) {
      const char* const low = count == 1 ? ".lo" : ".even";
      const char* const high = count == 1 ? ".hi" : ".odd";
      sum = values_.name(accumulator_type(lanes), join(sum + low, sum + high, lanes));
    }
    std::vector<std::string> totals(count, sum);
    if (count > 1) {
      for (size_t i = 0; i < count; ++i)
        totals[partials[0].owners[i * static_cast<size_t>(run)]] = sum + ".s" + kLane[i];
    }
    folded.insert(folded.end(), totals.begin(), totals.end());
  }

  // Two vectors whose runs of 2 * `run` lanes have one owner each, as one with runs half as long. Lanes move within
  // 16 bytes where they can: that is one instruction, and moving whole 16 bytes is another.
  Partial fold_pair(const Partial& x, const Partial& y, int run) {
    static constexpr char kLane[] = "0123456789abcdef";
    const int bytes = static_cast<int>(graph::byte_size(nest_.accumulator));
    const int group = run * bytes >= 16 ? scheduled_.lanes : std::min(scheduled_.lanes, 16 / bytes);
    Partial folded;
    std::string low, high;
    for (int first = 0; first < scheduled_.lanes; first += group) {
      for (const Partial* source : {&x, &y}) {
        std::string low_lanes, high_lanes;
        for (int lane = first; lane < first + group; ++lane) {
          if (lane & run) continue;
          low_lanes += kLane[lane];
          high_lanes += kLane[lane + run];
          folded.owners.push_back(source->owners[static_cast<size_t>(lane)]);
        }
        low += (low.empty() ? "" : ", ") + source->text + ".s" + low_lanes;
        high += (high.empty() ? "" : ", ") + source->text + ".s" + high_lanes;
      }
    }
    const std::string type = "(" + accumulator_type(scheduled_.lanes) + ")";
    folded.text = values_.name(accumulator_type(scheduled_.lanes),
                               join(type + "(" + low + ")", type + "(" + high + ")", scheduled_.lanes));
    return folded;
  }

  std::string combine_group(const std::string& sum) {
    values_.line("shared[item] = " + sum + ";");
    for (int64_t half = scheduled_.group / 2; half >= 1; half /= 2) {
      values_.line("SYNCHRONISE;");
      const std::string other = "shared[item + " + std::to_string(half) + "]";
      values_.line("if (item < " + std::to_string(half) + ") shared[item] = " + join("shared[item]", other, 1) + ";");
    }
    return "shared[0]";
  }

  // Stores
  // ----------------------------------------------------------------------------------------------------------------------------

  void store(const Printed& value, const Copies& copies) {
    const DType dtype = stored_dtype();
    Printed final = value;
    if (nest_.reduce && dtype != nest_.accumulator) {
      const int width = final.varying ? scheduled_.lanes : 1;
      final.text = values_.name(vector_type("float", width), operations_.round(dtype, final.text, width));
    }
    const Expr& index = nest_.arena[nest_.store_index];
    const bool varying = scheduled_.lane_range >= 0 && (index.ranges >> scheduled_.lane_range & 1);
    const bool always =
        nest_.arena[nest_.store_condition].kind == Kind::All && nest_.arena.terms(nest_.store_condition).empty();
    const Printed condition = always ? Printed{} : values_.condition(nest_.store_condition, copies);
    if (!varying) {
      std::string test = always ? "" : condition.text;
      if (scheduled_.group > 1) test = "item == 0" + (always ? "" : " && " + condition.text);
      const std::string text =
          operations_.store(dtype, "result", place(values_.index(nest_.store_index, copies).text), final.text, 1);
      values_.line((test.empty() ? "" : "if (" + test + ") ") + text + ";");
      return;
    }
    final.text = values_.widened(final, dtype, scheduled_.lanes);
    const auto start = values_.contiguous(nest_.store_index, copies);
    if (start && !condition.varying) {
      const std::string text = operations_.store(dtype, "result", place(*start), final.text, scheduled_.lanes);
      values_.line((always ? "" : "if (" + condition.text + ") ") + text + ";");
      return;
    }
    scatter(dtype, final.text, copies, condition);
  }

  void scatter(DType dtype, const std::string& value, const Copies& copies, const Printed& condition) {
    static constexpr char kLane[] = "0123456789abcdef";
    const std::string index = values_.index(nest_.store_index, copies).text;
    const std::string type = vector_type(storage_type(dtype), scheduled_.lanes);
    const std::string stored = values_.name(type, operations_.to_storage(dtype, value, scheduled_.lanes));
    for (int lane = 0; lane < scheduled_.lanes; ++lane) {
      const std::string suffix = std::string(".s") + kLane[lane];
      const std::string test =
          condition.text.empty() ? "" : "if (" + condition.text + (condition.varying ? suffix : "") + ") ";
      values_.line(test + "result[" + place(index + suffix) + "] = " + stored + suffix + ";");
    }
  }

  // Parts of a split reduction lie one after the other.
  std::string place(const std::string& index) const {
    return scheduled_.split > 1 ? part_ + " * " + std::to_string(nest_.result_elements) + " + " + index : index;
  }

  const Scheduled& scheduled_;
  const LoopNest& nest_;
  Operations operations_;
  Values values_;
  bool has_first_group_, to_scratch_;
  int64_t total_ = 0;
  std::string part_;
  std::vector<Copies> parts_;  // copies of the reduction
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

Program generate(const LoopNest& nest, const Schedule& schedule, const Target& target) {
  Program program;
  if (nest.value == lower::kNoExpr) return program;
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
  return generate(nest, choose_schedule(nest, target), target);
}

}  // namespace quarry::codegen
