#include "scheduler/journal_thread.h"

#include <chrono>
#include <utility>

#include "common/log.h"

namespace quarry::scheduler {
namespace {

constexpr auto kRetry = std::chrono::milliseconds(300);

class StoreJournal final : public Journal {
 public:
  explicit StoreJournal(sql::Store& store) : store_(store) {}
  std::vector<wire::ReadyJob> load_ready() override { return store_.load_ready(); }
  std::vector<sql::Store::RunningAttempt> load_running() override { return store_.load_running(); }
  std::vector<wire::SessionUp> load_sessions() override { return store_.load_sessions(); }
  std::vector<wire::Lease> load_leases(const std::vector<wire::Fence>& fences) override {
    return store_.load_leases(fences);
  }
  std::vector<wire::Lease> lease(int64_t epoch, const std::vector<sql::Placement>& batch) override {
    return store_.lease(epoch, batch);
  }
  bool fault(int64_t epoch, JobId job, const std::string& detail) override { return store_.fault(epoch, job, detail); }
  std::vector<sql::FailureOutcome> expire_sessions(int64_t epoch,
                                                   const std::vector<wire::SessionKey>& sessions) override {
    return store_.expire_sessions(epoch, sessions);
  }

 private:
  sql::Store& store_;
};

}  // namespace

JournalThread::JournalThread(OpenStore open) : open_(std::move(open)), thread_([this] { run(); }) {}

JournalThread::~JournalThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void JournalThread::load(std::function<void(Snapshot)> done) {
  submit(
      [done = std::move(done)](sql::Store& store) {
        StoreJournal journal(store);
        done(scheduler::load(journal));
      },
      [] { return true; });
}

void JournalThread::perform(int64_t leader_epoch, Work work, std::function<void(std::optional<Answer>)> done) {
  submit(
      [=, work = std::move(work)](sql::Store& store) {
        StoreJournal journal(store);
        done(scheduler::perform(journal, leader_epoch, work));
      },
      [done] {
        done(std::nullopt);
        return false;
      });
}

void JournalThread::submit(std::function<void(sql::Store&)> task, std::function<bool()> failed) {
  {
    const std::lock_guard lock(mutex_);
    task_ = std::move(task);
    failed_ = std::move(failed);
  }
  changed_.notify_all();
}

void JournalThread::run() {
  std::unique_ptr<sql::Store> store;
  bool down = false;  // said once, not with each try
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || task_; });
    if (stopping_) return;
    const auto task = std::exchange(task_, nullptr);
    const auto failed = std::exchange(failed_, nullptr);
    lock.unlock();
    bool again = false;
    try {
      if (!store) store = open_();
      task(*store);
      if (std::exchange(down, false)) spdlog::info("PostgreSQL answers again");
    } catch (const sql::StoreUnavailable& error) {
      if (!std::exchange(down, true)) spdlog::warn("PostgreSQL does not answer, trying again: {}", error.what());
      store.reset();
      again = failed();
    } catch (const std::exception& error) {
      // perform() has tried each item alone; this is about what it reads, and the next try reads it anew.
      spdlog::error("the journal cannot be read, trying again: {}", error.what());
      again = failed();
    }
    lock.lock();
    if (!again) continue;
    changed_.wait_for(lock, kRetry, [&] { return stopping_; });
    if (task_) continue;  // a newer term asks
    task_ = task;
    failed_ = failed;
  }
}

}  // namespace quarry::scheduler
