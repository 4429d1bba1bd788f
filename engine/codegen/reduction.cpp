// The loops of a reduction: tiles of the last reduce axis, its tail, and the accumulators of each output.
#include "engine/codegen/kernel_text.h"

namespace quarry::codegen {

using graph::DType;
using graph::Op;
using lower::Expr;
using lower::ExprId;
using lower::Kind;

namespace {

class Reduction {
 public:
  Reduction(KernelText& kernel, const std::vector<Copies>& outputs)
      : kernel_(kernel), outputs_(outputs), parts_(copies_of(kernel.scheduled.reduces)) {
    constexpr size_t kMostSums = 32;  // accumulators of their own for each part: beyond, a GPU's registers run out
    sums_each_ = kernel.target.is_gpu && outputs.size() * parts_.size() > kMostSums ? 1 : parts_.size();
  }

  std::vector<std::string> run() {
    const int lanes = kernel_.scheduled.lanes;
    const std::string type = kernel_.accumulator_type(lanes);
    const std::string identity =
        "(" + type + ")(" + kernel_.operations.identity(*kernel_.nest().reduce, kernel_.nest().accumulator) + ")";
    for (size_t i = 0; i < outputs_.size() * sums_each_; ++i)
      kernel_.values.line(type + " " + accumulator(i) + " = " + identity + ";");
    loops();
    std::vector<std::string> sums;
    for (size_t i = 0; i < outputs_.size(); ++i) sums.push_back(combine_parts(i));
    return sums;
  }

 private:
  static std::string accumulator(size_t i) { return "sum" + std::to_string(i); }

  const ItemsAlong* sharing(size_t place) const {
    return kernel_.scheduled.items_of(kernel_.scheduled.reduces[place].axis);
  }
  std::string item_along(size_t place) const { return "item" + std::to_string(kernel_.scheduled.reduces[place].axis); }

  // Opens the loop over whole tiles of reduce axis `place`; returns its variable.
  std::string open_loop(size_t place) {
    const TiledAxis& axis = kernel_.scheduled.reduces[place];
    const int64_t tiles = axis.extent / axis.tile();
    const std::string variable = "k" + std::to_string(place), type = kernel_.index_type();
    std::string low = "0", high = std::to_string(tiles), step = "1";
    if (kernel_.scheduled.split > 1 && kernel_.scheduled.split_axis == place) {
      const std::string share = std::to_string((tiles + kernel_.scheduled.split - 1) / kernel_.scheduled.split);
      low = kernel_.values.name(type, kernel_.part + " * " + share);
      high = kernel_.values.name(type, "min(" + low + " + " + share + ", (" + type + ")" + high + ")");
    }
    if (const ItemsAlong* items = sharing(place)) {
      low += " + " + item_along(place);
      step = std::to_string(items->amount);
    }
    kernel_.values.open("LOOP (" + type + " " + variable + " = " + low + "; " + variable + " < " + high + "; " +
                        variable + " += " + step + ")");
    return variable;
  }

  void loops() {
    const Scheduled& scheduled = kernel_.scheduled;
    if (scheduled.reduces.empty()) return accumulate_all(kernel_.nest().value, false);
    const size_t last = scheduled.reduces.size() - 1;
    for (size_t place = 0; place < last; ++place)
      kernel_.values.bind(scheduled.reduces[place].tile_range, open_loop(place));
    const TiledAxis& inner = scheduled.reduces[last];
    const std::string variable = open_loop(last);
    kernel_.values.bind(inner.tile_range, variable);
    if (inner.base_range >= 0) {
      kernel_.values.bind(inner.base_range,
                          kernel_.values.name(kernel_.index_type(), variable + " * " + std::to_string(inner.tile())));
    }
    accumulate_all(kernel_.nest().value, false);
    kernel_.values.close();
    if (!inner.divides()) {
      kernel_.values.open(tail_condition(last));
      accumulate_all(scheduled.tail_value, true);
      kernel_.values.close();
    }
    for (size_t place = 0; place < last; ++place) kernel_.values.close();
  }

  // The tail is added once: by one of the work-items that share the axis, in one of its parts.
  std::string tail_condition(size_t last) const {
    const Scheduled& scheduled = kernel_.scheduled;
    std::string condition;
    if (scheduled.split > 1 && scheduled.split_axis == last)
      condition = kernel_.part + " == " + std::to_string(scheduled.split - 1);
    if (sharing(last) != nullptr) condition += (condition.empty() ? "" : " && ") + item_along(last) + " == 0";
    return condition.empty() ? "" : "if (" + condition + ")";
  }

  void accumulate_all(ExprId value, bool tail) {
    for (size_t part = 0; part < parts_.size(); ++part) {
      std::string mask;
      if (tail) {
        const TiledAxis& axis = kernel_.scheduled.reduces.back();
        const int64_t copy = axis.unroll_range < 0 ? 0 : parts_[part].at(axis.unroll_range);
        const int64_t seen = axis.extent / axis.tile() * axis.tile() - (axis.extent - axis.tile() + copy * axis.lanes);
        if (seen >= axis.lanes) continue;  // all of it was seen before
        if (seen > 0) mask = tail_mask(seen);
      }
      for (size_t i = 0; i < outputs_.size(); ++i) {
        Copies copies = outputs_[i];
        copies.insert(parts_[part].begin(), parts_[part].end());
        accumulate(accumulator(i * sums_each_ + part % sums_each_), value, copies, mask);
      }
    }
  }

  // Lanes below `seen` were part of an earlier tile.
  std::string tail_mask(int64_t seen) {
    const std::string type = vector_type(mask_type(compute_type(kernel_.nest().accumulator)), kernel_.scheduled.lanes);
    std::string lanes;
    for (int lane = 0; lane < kernel_.scheduled.lanes; ++lane)
      lanes += std::string(lane == 0 ? "" : ", ") + (lane < seen ? "0" : "-1");
    return "(" + type + ")(" + lanes + ")";
  }

  void accumulate(const std::string& sum, ExprId value, const Copies& copies, const std::string& mask) {
    const Expr& expr = kernel_.nest().arena[value];
    const DType dtype = kernel_.nest().accumulator;
    const int lanes = kernel_.scheduled.lanes;
    const bool product = *kernel_.nest().reduce == Op::ReduceSum && expr.kind == Kind::Compute && expr.op == Op::Mul &&
                         graph::is_float(expr.dtype);
    if (product && mask.empty()) {
      const std::string a = kernel_.values.widened(kernel_.values.value(expr.a, copies), expr.dtype, lanes);
      const std::string b = kernel_.values.widened(kernel_.values.value(expr.b, copies), expr.dtype, lanes);
      kernel_.values.line(sum + " = " + kernel_.operations.fused_multiply_add(dtype, a, b, sum, lanes) + ";");
      return;
    }
    std::string term = kernel_.values.widened(kernel_.values.value(value, copies), dtype, lanes);
    if (!mask.empty()) {
      const std::string type = kernel_.accumulator_type(lanes);
      term = kernel_.values.name(type, "select((" + type + ")(" +
                                           kernel_.operations.identity(*kernel_.nest().reduce, dtype) + "), " + term +
                                           ", " + mask + ")");
    }
    kernel_.values.line(sum + " = " + kernel_.join(sum, term, lanes) + ";");
  }

  // One output's accumulators, pairwise.
  std::string combine_parts(size_t output) {
    std::vector<std::string> sums;
    for (size_t part = 0; part < sums_each_; ++part) sums.push_back(accumulator(output * sums_each_ + part));
    while (sums.size() > 1) {
      std::vector<std::string> halved;
      for (size_t i = 0; i + 1 < sums.size(); i += 2) {
        halved.push_back(kernel_.values.name(kernel_.accumulator_type(kernel_.scheduled.lanes),
                                             kernel_.join(sums[i], sums[i + 1], kernel_.scheduled.lanes)));
      }
      if (sums.size() % 2 == 1) halved.push_back(sums.back());
      sums = std::move(halved);
    }
    return sums[0];
  }

  KernelText& kernel_;
  const std::vector<Copies>& outputs_;
  std::vector<Copies> parts_;  // copies of the reduction
  size_t sums_each_ = 1;       // accumulators of an output
};

}  // namespace

std::vector<std::string> print_reduction(KernelText& kernel, const std::vector<Copies>& outputs) {
  return Reduction(kernel, outputs).run();
}

}  // namespace quarry::codegen
