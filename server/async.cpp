#include "server/async.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace quarry::server {

namespace asio = boost::asio;

Awaitable<void> until_resumed(std::function<void(std::function<void()>)> start) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [](auto handler, std::function<void(std::function<void()>)> begin) {
        auto executor = asio::get_associated_executor(handler);
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        begin([executor, shared] { asio::post(executor, [shared] { std::move (*shared)(); }); });
      },
      asio::use_awaitable, std::move(start));
}

struct WorkPool::Threads {
  explicit Threads(size_t count) : pool(count) {}
  asio::thread_pool pool;
};

WorkPool::WorkPool(size_t threads) : threads_(std::make_unique<Threads>(threads)) {}
WorkPool::~WorkPool() {
  threads_->pool.join();
}
void WorkPool::post(std::function<void()> work) {
  asio::post(threads_->pool, std::move(work));
}

namespace {

http::RequestFailed overloaded() {
  return {503, {"overloaded", "too much work waits for the database", "", "try again after the stated time"}, 1};
}
http::RequestFailed unavailable() {
  return {503, {"database_unavailable", "the database cannot be reached", "", "try again after the stated time"}, 2};
}

/// The batched paths of the pool answer with a Result: wait for it.
template <class T, class Start>
Awaitable<T> batched(Start start) {
  auto answer = std::make_shared<std::optional<Result<T>>>();
  co_await until_resumed([&](std::function<void()> resume) {
    const bool queued = start([answer, resume](Result<T> result) {
      answer->emplace(std::move(result));
      resume();
    });
    if (!queued) resume();
  });
  if (!*answer) throw overloaded();
  if (!(*answer)->ok()) throw unavailable();
  co_return std::move(**answer).value();
}

}  // namespace

Awaitable<void> Database::run_erased(std::function<void(sql::Store&)> work) {
  enum class End { Done, Failed, Refused };
  auto end = std::make_shared<End>(End::Done);
  co_await until_resumed([&](std::function<void()> resume) {
    const bool queued = pool_.run(
        [work, resume](sql::Store& store) {
          work(store);
          resume();
        },
        [end, resume] {
          *end = End::Failed;
          resume();
        });
    if (queued) return;
    *end = End::Refused;
    resume();
  });
  if (*end == End::Refused) throw overloaded();
  if (*end == End::Failed) throw unavailable();
}

Awaitable<sql::SubmitOutcome> Database::submit(sql::Submission item) {
  return batched<sql::SubmitOutcome>(
      [this, item = std::move(item)](auto done) mutable { return pool_.submit(std::move(item), std::move(done)); });
}

Awaitable<sql::CancelOutcome> Database::cancel(sql::CancelRequest item) {
  return batched<sql::CancelOutcome>([this, item](auto done) { return pool_.cancel(item, std::move(done)); });
}

}  // namespace quarry::server
