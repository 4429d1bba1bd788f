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
  T take() {
    if (error) std::rethrow_exception(error);
    if constexpr (!std::is_void_v<T>) return std::move(*value);
  }
};

/// Threads for file and processor work.
class WorkPool {
 public:
  explicit WorkPool(size_t threads);
  ~WorkPool();  ///< finishes what was started

  template <class F>
  Awaitable<std::invoke_result_t<F>> run(F work) {
    co_return co_await start(std::move(work))->wait();
  }

  /// Work under way: lets a coroutine read the next chunk while the last one is hashed and written.
  template <class T>
  class Task {
   public:
    Awaitable<T> wait() {
      co_await until_resumed([state = state_](std::function<void()> resume) { state->when_done(std::move(resume)); });
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
  Awaitable<std::invoke_result_t<F, sql::Store&>> run(F work) {
    using T = std::invoke_result_t<F, sql::Store&>;
    auto outcome = std::make_shared<Outcome<T>>();
    co_await run_erased([outcome, work](sql::Store& store) {
      try {
        outcome->fill([&] { return work(store); });
      } catch (const sql::StoreUnavailable&) {
        throw;  // the pool reconnects and repeats
      } catch (...) {
        outcome->error = std::current_exception();
      }
    });
    co_return outcome->take();
  }
  Awaitable<sql::SubmitOutcome> submit(sql::Submission item);
  Awaitable<sql::CancelOutcome> cancel(sql::CancelRequest item);
  sql::DatabasePool& pool() { return pool_; }

 private:
  Awaitable<void> run_erased(std::function<void(sql::Store&)> work);
  sql::DatabasePool& pool_;
};

}  // namespace quarry::server
