// A deadline that moves with each read and write of a connection. Moving it later costs one store: the timer is set
// again only when it fires too early, or when the deadline moves before it.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace quarry::http {

class Deadline : public std::enable_shared_from_this<Deadline> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// `expired` runs on the executor each time a set deadline passes; never after cancel().
  Deadline(const boost::asio::any_io_executor& executor, std::function<void()> expired)
      : timer_(executor), expired_(std::move(expired)) {}

  void set(TimePoint at) {
    at_ = at;
    if (!armed_ || at < timer_.expiry()) arm();
  }
  void set_after(std::chrono::milliseconds delay) { set(std::chrono::steady_clock::now() + delay); }
  void clear() { at_ = TimePoint::max(); }  ///< nothing is awaited from the peer
  void cancel() {
    expired_ = nullptr;
    timer_.cancel();
  }

 private:
  void arm() {
    armed_ = true;
    timer_.expires_at(at_);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error || !self->expired_) return;
      self->armed_ = false;
      if (self->at_ == TimePoint::max()) return;
      if (std::chrono::steady_clock::now() < self->at_) return self->arm();
      self->at_ = TimePoint::max();
      self->expired_();
    });
  }

  boost::asio::steady_timer timer_;
  std::function<void()> expired_;
  TimePoint at_{};
  bool armed_ = false;
};

}  // namespace quarry::http
