// How a coroutine on an I/O thread waits for what must not run there: files, hashing and parsing on the work pool,
// PostgreSQL on the database threads. Each wait ends back on the coroutine's own thread.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "server/http/message.h"
#include "sql/group_commit.h"

namespace quarry::server {

using http::Awaitable;

/// Calls `start` with a function that resumes this coroutine; it may be called once, from any thread.
Awaitable<void> until_resumed(std::function<void(std::function<void()>)> start);

/// What a piece of work on another thread leaves for the coroutine: a value or an exception. Shared by both, because at
/// shutdown the coroutine may be gone first.
template <class T>
struct Outcome {
  std::conditional_t<std::is_void_v<T>, std::optional<std::monostate>, std::optional<T>> value;
  std::exception_ptr error;

  template <class F>
  void fill(F&& work) {
    if constexpr (std::is_void_v<T>) {
      work();
      value.emplace();
    } else {
      value.emplace(work());
    }
  }
  /// The exception goes with the caller: its last owner must not be the other thread, which may still hold the Outcome.
  T take() {
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
    if constexpr (!std::is_void_v<T>) return std::move(*value);
  }
};

/// g++ 12 destroys what a lambda captures twice when the lambda is written inside a co_await expression; named before,
/// it is fine.
#define QUARRY_CHECK_WORK(F)                                                                        \
  static_assert(std::is_lvalue_reference_v<F> || std::is_trivially_destructible_v<std::decay_t<F>>, \
                "name a lambda that captures objects before the co_await expression")

/// Threads for file and processor work.
class WorkPool {
 public:
  explicit WorkPool(size_t threads);
  ~WorkPool();  ///< finishes what was started

  template <class F>
  Awaitable<std::invoke_result_t<F>> run(F&& work) {
    QUARRY_CHECK_WORK(F);
    return finish(start(std::decay_t<F>(std::forward<F>(work))));
  }

  /// Work under way: lets a coroutine read the next chunk while the last one is hashed and written.
  template <class T>
  class Task {
   public:
    Awaitable<T> wait() {
      const auto begin = [state = state_](std::function<void()> resume) { state->when_done(std::move(resume)); };
      co_await until_resumed(begin);
      co_return state_->outcome.take();
    }

   private:
    friend class WorkPool;
    struct State {
      Outcome<T> outcome;
      std::mutex mutex;
      bool done = false;
      std::function<void()> resume;

      void when_done(std::function<void()> then) {
        {
          std::lock_guard lock(mutex);
          if (!done) {
            resume = std::move(then);
            return;
          }
        }
        then();
      }
      void finish() {
        std::function<void()> then;
        {
          std::lock_guard lock(mutex);
          done = true;
          then = std::move(resume);
        }
        if (then) then();
      }
    };
    std::shared_ptr<State> state_ = std::make_shared<State>();
  };

  template <class F>
  std::shared_ptr<Task<std::invoke_result_t<F>>> start(F work) {
    auto task = std::make_shared<Task<std::invoke_result_t<F>>>();
    post([state = task->state_, work = std::make_shared<F>(std::move(work))]() mutable {
      try {
        state->outcome.fill(*work);
      } catch (...) {
        state->outcome.error = std::current_exception();
      }
      work.reset();
      state->finish();
    });
    return task;
  }

 private:
  template <class T>
  static Awaitable<T> finish(std::shared_ptr<Task<T>> task) {
    co_return co_await task->wait();
  }
  void post(std::function<void()> work);
  struct Threads;
  std::unique_ptr<Threads> threads_;
};

/// The awaitable face of the database threads. Every call throws RequestFailed 503 when the queue is full or PostgreSQL
/// stays away.
class Database {
 public:
  explicit Database(sql::DatabasePool& pool) : pool_(pool) {}

  template <class F>
  Awaitable<std::invoke_result_t<F, sql::Store&>> run(F&& work) {
    QUARRY_CHECK_WORK(F);
    return run_copy<std::decay_t<F>>(work);
  }
  Awaitable<sql::SubmitOutcome> submit(sql::Submission item);
  Awaitable<sql::CancelOutcome> cancel(sql::CancelRequest item);
  sql::DatabasePool& pool() { return pool_; }

 private:
  template <class F>
  Awaitable<std::invoke_result_t<F, sql::Store&>> run_copy(F work) {
    using T = std::invoke_result_t<F, sql::Store&>;
    auto outcome = std::make_shared<Outcome<T>>();
    const auto guarded = [outcome, work](sql::Store& store) {
      try {
        outcome->fill([&] { return work(store); });
      } catch (const sql::StoreUnavailable&) {
        throw;  // the pool reconnects and repeats
      } catch (...) {
        outcome->error = std::current_exception();
      }
    };
    co_await run_erased(guarded);
    co_return outcome->take();
  }
  Awaitable<void> run_erased(std::function<void(sql::Store&)> work);
  sql::DatabasePool& pool_;
};

}  // namespace quarry::server
