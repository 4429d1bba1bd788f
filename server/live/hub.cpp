#include "server/live/hub.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace quarry::server {

namespace asio = boost::asio;

class Hub::Watcher final : public Hub::Subscription, public std::enable_shared_from_this<Hub::Watcher> {
 public:
  Awaitable<void> wait(std::chrono::milliseconds limit) override {
    const auto executor = co_await asio::this_coro::executor;
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(woken_, false)) co_return;
      timer_ = std::make_shared<asio::steady_timer>(executor, limit);
    }
    // A wake from now on posts to this coroutine's thread, so it cannot come before the wait has begun.
    co_await timer_->async_wait(asio::as_tuple(asio::use_awaitable));
    std::lock_guard lock(mutex_);
    timer_.reset();
    woken_ = false;
  }

  bool take_changed() override {
    std::lock_guard lock(mutex_);
    return std::exchange(changed_, false);
  }
  bool take_ended() override {
    std::lock_guard lock(mutex_);
    return std::exchange(ended_, false);
  }
  std::optional<LiveProgress> take_progress() override {
    std::lock_guard lock(mutex_);
    return std::exchange(progress_, std::nullopt);
  }

  void wake(const std::optional<LiveProgress>& progress, bool ended) {
    std::lock_guard lock(mutex_);
    progress ? void(progress_ = progress) : void(changed_ = true);
    ended_ = ended_ || ended;
    woken_ = true;
    if (timer_) asio::post(timer_->get_executor(), [timer = timer_] { timer->cancel(); });
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<asio::steady_timer> timer_;
  bool woken_ = false, changed_ = false, ended_ = false;
  std::optional<LiveProgress> progress_;
};

std::shared_ptr<Hub::Subscription> Hub::subscribe(JobId job) {
  auto watcher = std::make_shared<Watcher>();
  std::lock_guard lock(mutex_);
  // Dead watchers of the same job go when a new one comes; those of other jobs when they are notified.
  const auto [first, last] = watchers_.equal_range(job);
  for (auto it = first; it != last;) it = it->second.expired() ? watchers_.erase(it) : std::next(it);
  watchers_.emplace(job, watcher);
  return watcher;
}

void Hub::notify(JobId job, const std::optional<LiveProgress>& progress, bool ended) {
  std::lock_guard lock(mutex_);
  if (progress) progress_[job] = *progress;
  if (ended) progress_.erase(job);
  const auto [first, last] = watchers_.equal_range(job);
  for (auto it = first; it != last;) {
    if (const auto watcher = it->second.lock()) {
      watcher->wake(progress, ended);
      ++it;
    } else {
      it = watchers_.erase(it);
    }
  }
}

void Hub::changed(JobId job) {
  notify(job, std::nullopt, false);
}
void Hub::progress(JobId job, LiveProgress progress) {
  notify(job, progress, false);
}
void Hub::ended(JobId job) {
  notify(job, std::nullopt, true);
}

std::optional<LiveProgress> Hub::current(JobId job) const {
  std::lock_guard lock(mutex_);
  const auto found = progress_.find(job);
  return found == progress_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace quarry::server
