// A processor's vectors: the lanes of each sum become one number.
#include <algorithm>
#include <bit>

#include "engine/codegen/kernel_text.h"

namespace quarry::codegen {

namespace {

class Folding {
 public:
  explicit Folding(KernelText& kernel) : kernel_(kernel) {}

  // The lanes of each sum. Sums are taken in groups of a power of two: two of them fold into one vector at the price of
  // one, which is a quarter of the work of folding each alone.
  std::vector<std::string> combine(const std::vector<std::string>& sums) {
    std::vector<std::string> combined;
    while (combined.size() < sums.size()) {
      const size_t left = sums.size() - combined.size();
      const size_t count = std::bit_floor(std::min(left, static_cast<size_t>(kernel_.scheduled.lanes)));
      const auto first = sums.begin() + static_cast<ptrdiff_t>(combined.size());
      fold(std::vector<std::string>(first, first + static_cast<ptrdiff_t>(count)), combined);
    }
    return combined;
  }

 private:
  // Vectors whose lanes belong to sums, in runs of equal owners.
  struct Partial {
    std::string text;
    std::vector<size_t> owners;
  };

  // Adds the lanes of each of `sums`, a power of two of them; appends the totals in order to `folded`.
  void fold(const std::vector<std::string>& sums, std::vector<std::string>& folded) {
    const size_t count = sums.size();
    std::vector<Partial> partials;
    for (size_t i = 0; i < count; ++i)
      partials.push_back({sums[i], std::vector<size_t>(static_cast<size_t>(kernel_.scheduled.lanes), i)});
    for (int run = kernel_.scheduled.lanes / 2; partials.size() > 1; run /= 2) {
      for (size_t i = 0; i < partials.size(); i += 2) partials[i / 2] = fold_pair(partials[i], partials[i + 1], run);
      partials.resize(partials.size() / 2);
    }
    std::string sum = partials[0].text;
    const int run = kernel_.scheduled.lanes / static_cast<int>(count);
    for (int lanes = kernel_.scheduled.lanes / 2; lanes >= static_cast<int>(count); lanes /= 2) {
      const char* const low = count == 1 ? ".lo" : ".even";
      const char* const high = count == 1 ? ".hi" : ".odd";
      sum = kernel_.values.name(kernel_.accumulator_type(lanes), kernel_.join(sum + low, sum + high, lanes));
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
    const int bytes = static_cast<int>(graph::byte_size(kernel_.nest().accumulator));
    const int group = run * bytes >= 16 ? kernel_.scheduled.lanes : std::min(kernel_.scheduled.lanes, 16 / bytes);
    Partial folded;
    std::string low, high;
    for (int first = 0; first < kernel_.scheduled.lanes; first += group) {
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
    const std::string type = "(" + kernel_.accumulator_type(kernel_.scheduled.lanes) + ")";
    folded.text =
        kernel_.values.name(kernel_.accumulator_type(kernel_.scheduled.lanes),
                            kernel_.join(type + "(" + low + ")", type + "(" + high + ")", kernel_.scheduled.lanes));
    return folded;
  }

  KernelText& kernel_;
};

}  // namespace

std::vector<std::string> combine_lanes(KernelText& kernel, const std::vector<std::string>& sums) {
  return Folding(kernel).combine(sums);
}

}  // namespace quarry::codegen
