#include "sql/group_commit.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "common/log.h"
#include "sql/connection.h"

namespace quarry::sql {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kFirstPause{20}, kLongestPause{500};
constexpr milliseconds kGiveUpAfter{30'000};  // a crash recovery of PostgreSQL fits in

/// One database thread's connection, opened when first needed and again after it was lost.
class Session {
 public:
  Session(const std::string& connection, const Clock& clock, RandomSource& random)
      : connection_(connection), clock_(clock), random_(random) {}

  /// Repeats `work` over lost connections until it is done or the time is up, or the pool stops; false then. Other
  /// exceptions pass.
  bool run(const std::function<void(Store&)>& work, const std::atomic<bool>& stopping) {
    const auto deadline = steady_clock::now() + kGiveUpAfter;
    for (milliseconds pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
      try {
        if (!store_) store_ = Store::open(connection_, clock_, random_);
        work(*store_);
        return true;
      } catch (const StoreUnavailable& error) {
        store_.reset();
        if (stopping || steady_clock::now() + pause > deadline) {
          spdlog::error("database unavailable, giving up: {}", error.what());
          return false;
        }
        spdlog::warn("database unavailable, trying again: {}", error.what());
      }
      std::this_thread::sleep_for(pause);
    }
  }

 private:
  const std::string& connection_;
  const Clock& clock_;
  RandomSource& random_;
  std::unique_ptr<Store> store_;
};

Problem unavailable() {
  return {"service_unavailable", "the database cannot be reached now, and whether the request took effect is unknown",
          "", "repeat it with the same Idempotency-Key"};
}
Problem internal() {
  return {"internal_error", "the request could not be stored", "", "report the request id"};
}

/// What an item adds to its transaction. A submission of a thousand jobs is not one of many: a transaction numbers at
/// most 2^20 events, and PostgreSQL takes no parameter over a gigabyte.
template <class Input>
size_t weight(const Input&) {
  return 0;
}
template <>
size_t weight(const Submission& submission) {
  constexpr size_t kJob = 512, kExtent = 96;
  size_t bytes = 0;
  for (const auto& job : submission.jobs) {
    bytes += kJob + job.document.size();
    for (const auto& [name, extents] : job.inputs) bytes += name.size() + kExtent * extents.size();
  }
  return bytes;
}

/// What a database thread can do next.
class Lane {
 public:
  virtual ~Lane() = default;
  /// Called with the pool's lock held. A lane of batches gives one batch at a time, so that what queues meanwhile joins
  /// the next.
  virtual bool ready() const = 0;
  virtual std::function<void(Session&)> take() = 0;
  virtual void finished() = 0;
};

}  // namespace

struct DatabasePool::State {
  std::string connection;
  const Clock& clock;
  RandomSource& random;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<bool> stopping{false};
  std::vector<Lane*> lanes;
  size_t next_lane = 0;  ///< round robin: no kind of work starves another
  std::vector<std::thread> threads;

  State(std::string target, const Clock& c, RandomSource& r) : connection(std::move(target)), clock(c), random(r) {}

  void work();
  Lane* pick() {
    for (size_t i = 0; i < lanes.size(); ++i) {
      Lane* lane = lanes[(next_lane + i) % lanes.size()];
      if (!lane->ready()) continue;
      next_lane = (next_lane + i + 1) % lanes.size();
      return lane;
    }
    return nullptr;
  }

  /// Single pieces of work; any number run at once.
  struct Works final : Lane {
    explicit Works(State& state) : state_(state) {}
    struct Item {
      std::function<void(Store&)> work;
      std::function<void()> failed;
    };
    bool ready() const override { return !queue.empty(); }
    std::function<void(Session&)> take() override {
      auto item = std::make_shared<Item>(std::move(queue.front()));
      queue.pop_front();
      return [this, item](Session& session) {
        try {
          if (session.run(item->work, state_.stopping)) return;
        } catch (const std::exception& error) {
          spdlog::error("database work failed: {}", error.what());
        }
        item->failed();
      };
    }
    void finished() override {}
    std::deque<Item> queue;

   private:
    State& state_;
  };

  /// One batched method: all that queued while its last transaction ran joins the next one.
  template <class Input, class Output, auto Method>
  struct Batches final : Lane {
    explicit Batches(State& state) : state_(state) {}
    struct Item {
      Input input;
      std::function<void(Result<Output>)> done;
    };
    bool ready() const override { return !running_ && !queue.empty(); }
    std::function<void(Session&)> take() override {
      running_ = true;
      auto inputs = std::make_shared<std::vector<Input>>();
      auto callbacks = std::make_shared<std::vector<std::function<void(Result<Output>)>>>();
      for (size_t bytes = 0; !queue.empty() && inputs->size() < kMaxGroup && bytes < kMaxGroupBytes;) {
        bytes += weight(queue.front().input);
        inputs->push_back(std::move(queue.front().input));
        callbacks->push_back(std::move(queue.front().done));
        queue.pop_front();
      }
      return [this, inputs, callbacks](Session& session) { run(session, *inputs, *callbacks); };
    }
    void finished() override { running_ = false; }
    std::deque<Item> queue;

   private:
    using Callbacks = std::vector<std::function<void(Result<Output>)>>;
    void run(Session& session, const std::vector<Input>& inputs, const Callbacks& callbacks) {
      std::vector<Output> outputs;
      bool ran = false;
      try {
        ran = session.run([&](Store& store) { outputs = (store.*Method)(inputs); }, state_.stopping);
      } catch (const std::exception& error) {
        spdlog::error("a batch of {} failed: {}", inputs.size(), error.what());
        if (inputs.size() == 1) return callbacks[0](internal());
        // One item that PostgreSQL refuses must not fail its neighbours: each again alone.
        for (size_t n = 0; n < inputs.size(); ++n) run(session, {inputs[n]}, {callbacks[n]});
        return;
      }
      for (size_t n = 0; n < callbacks.size(); ++n) {
        if (ran)
          callbacks[n](std::move(outputs[n]));
        else
          callbacks[n](unavailable());
      }
    }
    State& state_;
    bool running_ = false;
  };

  Works works{*this};
  Batches<Submission, SubmitOutcome, &Store::submit> submits{*this};
  Batches<CancelRequest, CancelOutcome, &Store::cancel> cancels{*this};
  Batches<wire::Completion, CompletionOutcome, &Store::complete> completes{*this};
  Batches<wire::AttemptFailure, FailureOutcome, &Store::fail> fails{*this};

  template <class Queueing, class Item>
  bool enqueue(Queueing& lane, Item item) {
    {
      const std::lock_guard lock(mutex);
      if (stopping || lane.queue.size() >= kMaxQueued) return false;
      lane.queue.push_back(std::move(item));
    }
    wake.notify_one();
    return true;
  }
};

void DatabasePool::State::work() {
  Session session(connection, clock, random);
  std::unique_lock lock(mutex);
  for (;;) {
    Lane* lane = pick();
    if (lane == nullptr) {
      if (stopping) return;
      wake.wait(lock);
      continue;
    }
    {
      const auto task = lane->take();
      lock.unlock();
      task(session);
    }
    lock.lock();
    lane->finished();
    if (lane->ready()) wake.notify_one();
  }
}

DatabasePool::DatabasePool(std::string connection, size_t threads, const Clock& clock, RandomSource& random)
    : state_(std::make_unique<State>(std::move(connection), clock, random)) {
  state_->lanes = {&state_->works, &state_->submits, &state_->cancels, &state_->completes, &state_->fails};
  for (size_t i = 0; i < threads; ++i) state_->threads.emplace_back([this] { state_->work(); });
}

DatabasePool::~DatabasePool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

bool DatabasePool::run(std::function<void(Store&)> work, std::function<void()> failed) {
  return state_->enqueue(state_->works, State::Works::Item{std::move(work), std::move(failed)});
}
bool DatabasePool::submit(Submission item, std::function<void(Result<SubmitOutcome>)> done) {
  for (const auto& job : item.jobs) {
    if (auto fits = fits_a_lease(job); !fits) {
      done(std::move(fits).problem());
      return true;
    }
  }
  return state_->enqueue(state_->submits, decltype(state_->submits)::Item{std::move(item), std::move(done)});
}
bool DatabasePool::cancel(CancelRequest item, std::function<void(Result<CancelOutcome>)> done) {
  return state_->enqueue(state_->cancels, decltype(state_->cancels)::Item{std::move(item), std::move(done)});
}
bool DatabasePool::complete(wire::Completion item, std::function<void(Result<CompletionOutcome>)> done) {
  return state_->enqueue(state_->completes, decltype(state_->completes)::Item{std::move(item), std::move(done)});
}
bool DatabasePool::fail(wire::AttemptFailure item, std::function<void(Result<FailureOutcome>)> done) {
  return state_->enqueue(state_->fails, decltype(state_->fails)::Item{std::move(item), std::move(done)});
}

}  // namespace quarry::sql
