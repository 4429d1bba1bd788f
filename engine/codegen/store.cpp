// Stores: whole vectors of a processor, words of up to 16 bytes of a GPU's neighbouring copies, or single elements.
#include "engine/codegen/kernel_text.h"

namespace quarry::codegen {

using graph::DType;
using lower::Expr;
using lower::Kind;

namespace {

class Stores {
 public:
  explicit Stores(KernelText& kernel) : kernel_(kernel), nest_(kernel.nest()), dtype_(kernel.stored_dtype()) {
    const Expr& condition = nest_.arena[nest_.store_condition];
    always_ = condition.kind == Kind::All && nest_.arena.terms(nest_.store_condition).empty();
    for (const ItemsAlong& items : kernel.scheduled.items) {
      if (items.reduces) once_ = "item" + std::to_string(items.axis) + " == 0";
    }
  }

  void run(const std::vector<Printed>& values, const std::vector<Copies>& outputs) {
    std::vector<Printed> finals;
    for (const Printed& value : values) finals.push_back(rounded(value));
    const auto bundle = kernel_.values.bundle_of(nest_.store_index, dtype_);
    if (bundle && !(nest_.arena[nest_.store_condition].ranges >> bundle->range & 1))
      return words(finals, outputs, *bundle);
    for (size_t i = 0; i < outputs.size(); ++i) one(finals[i], outputs[i]);
  }

 private:
  Printed rounded(Printed value) const {
    if (!nest_.reduce || dtype_ == nest_.accumulator) return value;
    const int width = value.varying ? kernel_.scheduled.lanes : 1;
    value.text = kernel_.values.name(vector_type("float", width), kernel_.operations.round(dtype_, value.text, width));
    return value;
  }

  // "if (...) ", or nothing.
  std::string test(const Printed& condition) const {
    std::string text = once_;
    if (!always_) text += (text.empty() ? "" : " && ") + condition.text;
    return text.empty() ? "" : "if (" + text + ") ";
  }

  // Copies that are neighbours in memory: `finals` of one word's copies lie anywhere among `outputs`.
  void words(const std::vector<Printed>& finals, const std::vector<Copies>& outputs, const Bundle& bundle) {
    std::map<Copies, size_t> place_of;
    for (size_t i = 0; i < outputs.size(); ++i) place_of[outputs[i]] = i;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const int64_t first = outputs[i].at(bundle.range);
      if (first % bundle.count != 0) continue;
      std::vector<std::string> elements;
      Copies copies = outputs[i];
      for (int64_t copy = 0; copy < bundle.count; ++copy) {
        copies[bundle.range] = first + copy;
        elements.push_back(kernel_.operations.to_storage(dtype_, finals[place_of.at(copies)].text, 1));
      }
      const Printed condition = always_ ? Printed{} : kernel_.values.condition(nest_.store_condition, outputs[i]);
      const std::string start = place(kernel_.values.index(nest_.store_index, outputs[i]).text);
      kernel_.values.line(test(condition) + kernel_.operations.store_words(dtype_, "result", start, elements) + ";");
    }
  }

  void one(Printed final, const Copies& copies) {
    const Scheduled& scheduled = kernel_.scheduled;
    const bool varying =
        scheduled.lane_range >= 0 && (nest_.arena[nest_.store_index].ranges >> scheduled.lane_range & 1);
    const Printed condition = always_ ? Printed{} : kernel_.values.condition(nest_.store_condition, copies);
    if (!varying) {
      const std::string start = place(kernel_.values.index(nest_.store_index, copies).text);
      kernel_.values.line(test(condition) + kernel_.operations.store(dtype_, "result", start, final.text, 1) + ";");
      return;
    }
    final.text = kernel_.values.widened(final, dtype_, scheduled.lanes);
    const auto start = kernel_.values.contiguous(nest_.store_index, copies);
    if (start && !condition.varying) {
      const std::string text = kernel_.operations.store(dtype_, "result", place(*start), final.text, scheduled.lanes);
      kernel_.values.line(test(condition) + text + ";");
      return;
    }
    scatter(final.text, copies, condition);
  }

  void scatter(const std::string& value, const Copies& copies, const Printed& condition) {
    const int lanes = kernel_.scheduled.lanes;
    const std::string index = kernel_.values.index(nest_.store_index, copies).text;
    const std::string type = vector_type(storage_type(dtype_), lanes);
    const std::string stored = kernel_.values.name(type, kernel_.operations.to_storage(dtype_, value, lanes));
    for (int lane = 0; lane < lanes; ++lane) {
      const std::string suffix = std::string(".s") + kLane[lane];
      const std::string of_lane =
          condition.text.empty() ? "" : "if (" + condition.text + (condition.varying ? suffix : "") + ") ";
      kernel_.values.line(of_lane + "result[" + place(index + suffix) + "] = " + stored + suffix + ";");
    }
  }

  // Parts of a split reduction lie one after the other.
  std::string place(const std::string& index) const {
    if (kernel_.scheduled.split == 1) return index;
    return kernel_.part + " * " + std::to_string(nest_.result_elements) + " + " + index;
  }

  KernelText& kernel_;
  const lower::LoopNest& nest_;
  DType dtype_;
  bool always_ = true;
  std::string once_;  // of the work-items that share a reduction, one stores
};

}  // namespace

void print_stores(KernelText& kernel, const std::vector<Printed>& values, const std::vector<Copies>& outputs) {
  Stores(kernel).run(values, outputs);
}

}  // namespace quarry::codegen
