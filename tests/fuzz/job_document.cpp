#include "common/text.h"
#include "engine/graph/job.h"
#include "tests/fuzz/require.h"

using namespace quarry;
using namespace quarry::graph;

namespace {

/// Inputs x and w, output y: names that the seeds use.
Result<Graph> small_graph() {
  Builder b;
  b.output("y", b.binary(Op::Add, b.input("x", DType::F32, {}), b.input("w", DType::F32, {})));
  return b.finish();
}

void check_problem(const Problem& problem) {
  FUZZ_REQUIRE(!problem.code.empty() && !problem.detail.empty());
  FUZZ_REQUIRE(is_plain_text(problem.detail) && is_plain_text(problem.pointer));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto graph = small_graph();
  const auto job = parse_job({reinterpret_cast<const char*>(data), size});
  if (!job.ok()) {
    check_problem(job.problem());
    return 0;
  }
  const std::string text = write_job(*job);
  const auto again = parse_job(text);
  FUZZ_REQUIRE(again.ok() && write_job(*again) == text);
  if (const Status status = check_job(*job, *graph); !status.ok()) check_problem(status.problem());
  return 0;
}
