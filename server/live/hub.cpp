#include "server/live/hub.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace quarry::server {

namespace asio = boost::asio;

class Hub::Watcher final : public Hub::Subscription {
 public:
  Watcher(Hub& hub, JobId job) : hub_(hub), job_(job) {
    std::lock_guard lock(hub_.mutex_);
    hub_.watchers_.emplace(job_, this);
  }
  ~Watcher() override {
    std::lock_guard lock(hub_.mutex_);  // notify() holds it too, so it never wakes a watcher that is being destroyed
    const auto [first, last] = hub_.watchers_.equal_range(job_);
    hub_.watchers_.erase(std::find_if(first, last, [this](const auto& entry) { return entry.second == this; }));
  }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

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
  Hub& hub_;
  const JobId job_;
  std::mutex mutex_;
  std::shared_ptr<asio::steady_timer> timer_;
  bool woken_ = false, changed_ = false, ended_ = false;
  std::optional<LiveProgress> progress_;
};

std::unique_ptr<Hub::Subscription> Hub::subscribe(JobId job) {
  return std::make_unique<Watcher>(*this, job);
}

void Hub::notify(JobId job, const std::optional<LiveProgress>& progress, bool ended) {
  std::lock_guard lock(mutex_);
  if (progress) progress_[job] = *progress;
  if (ended) progress_.erase(job);
  const auto [first, last] = watchers_.equal_range(job);
  for (auto it = first; it != last; ++it) it->second->wake(progress, ended);
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

size_t Hub::watchers() const {
  std::lock_guard lock(mutex_);
  return watchers_.size();
}

}  // namespace quarry::server
