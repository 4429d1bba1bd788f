#include "engine/device/compiled/recorder.h"

#include <algorithm>

#include "engine/codegen/dialects/dialect.h"
#include "engine/device/compiled/executable.h"
#include "engine/device/compiled/hazards.h"
#include "engine/device/compiled/pieces.h"

namespace quarry::device {

namespace {

constexpr uint32_t kCopyItems = 256;  // work-items a group, of four bytes each
// A part is predicted to end within this share of what pieces_of() lets one launch take: a tenth of a second.
constexpr double kMostPart = 0.4, kMostLaunchUs = 250'000;

// A row of words from row `step mod rows` to row `slot`; and the end of a step.
std::string step_text(codegen::Dialect dialect) {
  const codegen::DialectText& text = codegen::text_of(dialect);
  const std::string last = text.has_first_group ? ", uint first_group" : "";
  return std::string(text.prelude) + R"(
KERNEL(256) copy_row(GLOBAL uint* RESTRICT to, long to_stride, GLOBAL const uint* RESTRICT from, long from_stride,
    long rows, long words, GLOBAL const int* counters)" +
         last + R"() {
  const long word = (long)GRID_ITEM(256);
  if (word < words) to[counters[1] * to_stride + word] = from[counters[0] % rows * from_stride + word];
}
KERNEL(1) count_on(GLOBAL int* counters)" +
         last + R"() {
  if (GRID_ITEM(1) == 0) {
    counters[0] += 1;
    counters[1] += 1;
  }
}
)";
}

class Recorded final : public Recording {
 public:
  void add(std::shared_ptr<RecordedCalls> part, int64_t launches_done) {
    calls.push_back(std::move(part));
    parts_.push_back(launches_done);
  }
  std::vector<std::shared_ptr<RecordedCalls>> calls;
  std::vector<std::shared_ptr<Buffer>> held;  // what calls name and no plan knows
};

// The calls of a step, cut into parts as they are added.
class Parts {
 public:
  explicit Parts(Driver& driver) : driver_(driver) {}

  Status add(BoundCall call, Access access, double share) {
    if (calls_.size() == kMostAccesses || (!calls_.empty() && share_ + share > kMostPart)) QUARRY_TRY(end_part());
    calls_.push_back(std::move(call));
    accesses_.push_back(std::move(access));
    share_ += share;
    return {};
  }
  void launch_done() { ++launches_done_; }
  void hold(std::shared_ptr<Buffer> buffer) { recorded_->held.push_back(std::move(buffer)); }

  Result<std::shared_ptr<Recording>> finish() {
    QUARRY_TRY(end_part());
    return std::shared_ptr<Recording>(recorded_);
  }

 private:
  Status end_part() {
    auto after = hazards(accesses_);
    for (size_t i = 0; i < calls_.size(); ++i) calls_[i].after = std::move(after[i]);
    QUARRY_ASSIGN(auto part, driver_.record(calls_));
    recorded_->add(std::move(part), launches_done_);
    calls_.clear();
    accesses_.clear();
    share_ = 0;
    return {};
  }

  Driver& driver_;
  std::shared_ptr<Recorded> recorded_ = std::make_shared<Recorded>();
  std::vector<BoundCall> calls_;
  std::vector<Access> accesses_;
  double share_ = 0;  // of what one launch may take
  int64_t launches_done_ = 0;
};

uint64_t words_of(uint64_t bytes) {
  return (bytes + 3) / 4;
}

// All rows that a copy may touch: how many there are is the buffer's affair.
BufferRange rows_of(const BufferRange& first, uint64_t stride) {
  return {first.buffer, first.offset, stride == 0 ? first.bytes : first.buffer->bytes() - first.offset};
}

Status add_tile(Driver& driver, TileLaunch& tile, const BoundLaunch& launch, const BufferRange& scratch, Parts& parts) {
  QUARRY_ASSIGN(TileLaunch::Bound bound, tile.bind(driver, launch.result, launch.reads, scratch));
  Access access{launch.reads, {launch.result}};
  if (bound.counters) {
    access.writes.push_back(scratch);
    access.writes.push_back({bound.counters.get(), 0, bound.counters->bytes()});
    parts.hold(bound.counters);
  }
  parts.hold(bound.views);
  const double share = bound.microseconds / kMostLaunchUs / static_cast<double>(bound.calls.size());
  for (BoundCall& call : bound.calls) QUARRY_TRY(parts.add(std::move(call), access, share));
  return {};
}

}  // namespace

Result<std::unique_ptr<Recorder>> Recorder::make(Driver& driver, ModuleCache& modules,
                                                 std::shared_ptr<Buffer> counters) {
  std::unique_ptr<Recorder> recorder(new Recorder(driver));
  recorder->counters_ = std::move(counters);
  QUARRY_ASSIGN(const auto module, modules.module(step_text(driver.capabilities().target.dialect)));
  QUARRY_ASSIGN(recorder->copy_row_, module->entry("copy_row"));
  QUARRY_ASSIGN(recorder->count_on_, module->entry("count_on"));
  return recorder;
}

Result<std::shared_ptr<Recording>> Recorder::record(const BoundStep& step) const {
  Parts parts(driver_);
  const BufferRange counters{counters_.get(), 0, sizeof(StepCounters)};
  const auto add_copies = [&](const std::vector<BoundCopy>& copies) -> Status {
    for (const BoundCopy& copy : copies) {
      const uint64_t words = words_of(copy.to.bytes);
      if (words == 0) continue;
      BoundCall call{copy_row_, {0, (words + kCopyItems - 1) / kCopyItems, kCopyItems}, {}, {}};
      call.arguments = {Argument::address(copy.to.buffer, copy.to.offset),
                        Argument::number(static_cast<int64_t>(copy.to_stride / 4)),
                        Argument::address(copy.from.buffer, copy.from.offset),
                        Argument::number(static_cast<int64_t>(copy.from_stride / 4)),
                        Argument::number(copy.rows),
                        Argument::number(static_cast<int64_t>(words)),
                        Argument::address(counters_.get())};
      QUARRY_TRY(parts.add(std::move(call),
                           {{rows_of(copy.from, copy.from_stride), counters}, {rows_of(copy.to, copy.to_stride)}}, 0));
    }
    return {};
  };
  QUARRY_TRY(add_copies(step.before));
  const Properties& properties = driver_.capabilities().properties;
  for (const BoundLaunch& bound : step.launches) {
    auto& executable = static_cast<CompiledExecutable&>(*bound.executable);
    if (executable.tile) QUARRY_TRY(add_tile(driver_, *executable.tile, bound, step.scratch, parts));
    for (const CompiledExecutable::Launch& launch : executable.launches) {
      const codegen::Entry& shape = launch.shape;
      Access access;
      access.writes = {shape.writes_scratch ? step.scratch : bound.result};
      if (shape.reads_scratch) {
        access.reads = {step.scratch};
      } else {
        access.reads = bound.reads;
      }
      if (reads_counters(shape)) access.reads.push_back(counters);
      const double share = share_of_one_launch(shape, properties);
      const auto pieces = pieces_of(shape, properties);
      for (const Groups& groups : pieces)
        QUARRY_TRY(parts.add({launch.entry,
                              groups,
                              executable.arguments(shape, bound.result, bound.reads, step.scratch, counters_.get()),
                              {}},
                             access, share / static_cast<double>(pieces.size())));
    }
    parts.launch_done();
  }
  QUARRY_TRY(add_copies(step.after));
  QUARRY_TRY(parts.add({count_on_, {0, 1, 1}, {Argument::address(counters_.get())}, {}}, {{}, {counters}}, 0));
  return parts.finish();
}

Status Recorder::replay(Recording& recording, size_t part) const {
  return driver_.replay(*static_cast<Recorded&>(recording).calls[part]);
}

}  // namespace quarry::device
