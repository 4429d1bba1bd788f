// Random lives of jobs: whatever comes in whatever order, the books agree and money is neither made nor lost.
#include <map>

#include "tests/sql/fixture.h"

namespace quarry::test {
namespace {

class RandomLife {
 public:
  explicit RandomLife(uint64_t seed) : dice_(seed) {
    boxes_ = {world_.first, world_.second};
    poor_ = world_.add_account("poor");
    world_.store->deposit(poor_, dollars("3"), "x");
  }

  void step() {
    switch (dice_.next_u64() % 10) {
      case 0:
      case 1:
      case 2:
        return submit();
      case 3:
      case 4:
        return lease();
      case 5:
      case 6:
        return complete();
      case 7:
        return fail();
      case 8:
        return cancel();
      default:
        return pick(4) == 0 ? expire() : complete_again();
    }
  }

  void check() {
    const auto wrong = world_.store->reconcile();
    CAPTURE(wrong);
    CHECK(wrong.empty());
    CHECK(world_.ask("select sum(amount) = 0 from balance") == "t");
    CHECK(world_.ask("select sum(amount) from balance where book <> 5") ==
          "1003.000000000000");  // all that was deposited
    for (const auto& [job, accepted] : accepted_)
      CHECK(world_.ask("select count(*) from meter where segment >= 0 and job = '" + job.uuid() + "'") ==
            std::to_string(accepted));
  }

 private:
  size_t pick(size_t n) { return dice_.next_u64() % n; }

  void submit() {
    std::vector<sql::Submission> batch;
    for (size_t i = 0; i <= pick(4); ++i) {
      const AccountId account = pick(3) == 0 ? poor_ : world_.renter;
      sql::Submission submission{account, {}, {}, "", 201};
      if (pick(2) == 0) submission.idempotency = {"key " + std::to_string(pick(20)), digest(std::to_string(pick(2)))};
      for (size_t j = 0; j <= pick(3); ++j)
        submission.jobs.push_back(
            new_job(account, world_.random, static_cast<int64_t>(1 + pick(5)), static_cast<int64_t>(1 + pick(3))));
      batch.push_back(std::move(submission));
    }
    const auto outcomes = world_.store->submit(batch);
    for (size_t i = 0; i < batch.size(); ++i)
      if (outcomes[i].kind == sql::SubmitOutcome::Kind::Accepted)
        for (const auto& job : batch[i].jobs) jobs_.push_back({job.id, job.account});
  }

  void lease() {
    std::vector<sql::Placement> batch;
    for (const auto& ready : world_.store->load_ready()) {
      const auto& box = boxes_[pick(2)];
      if (pick(2) == 0) batch.push_back({ready.job, ready.segment, box.session.session, box.slice()});
    }
    for (auto& lease : world_.store->lease(world_.leader_epoch, batch)) leases_.push_back(std::move(lease));
  }

  void complete() {
    std::vector<wire::Completion> batch;
    for (size_t i = 0; i < 3 && !leases_.empty(); ++i)
      batch.push_back(world_.completion(leases_[pick(leases_.size())]));
    count(world_.store->complete(batch));
    sent_.insert(sent_.end(), batch.begin(), batch.end());
  }
  void complete_again() {
    if (!sent_.empty()) count(world_.store->complete({sent_[pick(sent_.size())]}));
  }
  void count(const std::vector<sql::CompletionOutcome>& outcomes) {
    for (const auto& outcome : outcomes)
      if (outcome.result.code == "accepted") ++accepted_[outcome.result.fence.job];
  }

  void fail() {
    static constexpr std::array kCodes{"device_error", "out_of_memory", "graph_error"};
    if (!leases_.empty())
      world_.store->fail({{leases_[pick(leases_.size())].fence, kCodes[pick(kCodes.size())], "because"}});
  }

  void cancel() {
    if (jobs_.empty()) return;
    const auto& [job, account] = jobs_[pick(jobs_.size())];
    world_.store->cancel({{account, job}});
  }

  void expire() {
    auto& box = boxes_[pick(2)];
    world_.store->expire_sessions(world_.leader_epoch, {box.session.session});
    wire::Hello hello;
    hello.devices = {{"opencl:0", "PoCL", "opencl", "3.1", 1u << 30, 2, {}, {{0, 0, 2, 1u << 30}}}};
    hello.slots_per_slice = 8;
    box.session = world_.store->open_session(box.id, hello);
  }

  SeededRandom dice_;
  World world_;
  AccountId poor_;
  std::vector<World::Box> boxes_;
  std::vector<std::pair<JobId, AccountId>> jobs_;
  std::vector<wire::Lease> leases_;
  std::vector<wire::Completion> sent_;
  std::map<JobId, int> accepted_;
};

}  // namespace

TEST_CASE("Random sequences of events keep every balance, charge and state derivable from the history") {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    RandomLife life(seed);
    for (int step = 1; step <= 150; ++step) {
      life.step();
      if (step % 50 == 0) life.check();
    }
  }
}

}  // namespace quarry::test
