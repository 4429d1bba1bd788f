// Jobs that are written to take much more of a device than they are metered for: what the search of ops/bench metering
// and the tests of the tariff try. A list of numbers spells a job, so that a search can change one number at a time.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/meter/graphs.h"

namespace quarry::testing {

/// Numbers that a job is drawn from. A list that is too short goes on with zeros.
class Draw {
 public:
  explicit Draw(const std::vector<uint32_t>& words) : words_(words) {}
  /// A number in [0, count).
  size_t below(size_t count) { return at_ < words_.size() ? words_[at_++] % count : 0; }
  bool one_in(size_t count) { return below(count) == count - 1; }
  template <class T, size_t kCount>
  T of(const T (&choices)[kCount]) {
    return choices[below(kCount)];
  }
  size_t used() const { return at_; }

 private:
  const std::vector<uint32_t>& words_;
  size_t at_ = 0;
};

struct HostileJob {
  std::string kind;  ///< the name of its family
  graph::Graph graph;
  meter::Usage usage;
};

/// The job that these numbers spell, of a random family or of the one named; `points` bounds the work of each kernel.
HostileJob hostile_job(const std::vector<uint32_t>& words, int64_t points, const std::string& family = "");
const std::vector<std::string>& hostile_families();
/// One op of each dtype, and a CAST of each to each, again and again on nearly nothing that is read or written.
std::vector<HostileJob> jobs_of_one_op(int64_t points);
std::vector<uint32_t> random_words(std::mt19937_64& random, size_t count);

}  // namespace quarry::testing
