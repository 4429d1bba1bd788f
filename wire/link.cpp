#include "wire/link.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>

#include "wire/tls_link.h"

namespace quarry::wire {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kCoalesceBytes = 256 << 10;           // queued frames join one write up to this size
constexpr size_t kQueuedInTurn = kMaxQueuedBytes / 4;  // past it, what is sent in turn waits; the rest is for others
constexpr size_t kIdleReadBytes = 16 << 10;            // one TLS record
constexpr auto kLinger = std::chrono::seconds(2);      // for a closing side's last messages to arrive

/// Unread input: grows towards the frame that is arriving, never beyond twice what has come, so that a length alone
/// costs nothing.
class InputBuffer {
 public:
  asio::mutable_buffer tail(size_t wanted_frame) {
    if (begin_ > 0) {
      std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    }
    if (end_ == 0 && bytes_.size() > kCoalesceBytes) bytes_ = std::vector<std::byte>(kIdleReadBytes);
    // Only when it is full: a frame of 8 MiB comes in five hundred reads, and each growth copies what has come.
    if (end_ == bytes_.size())
      bytes_.resize(std::min(std::max(wanted_frame, end_ + kIdleReadBytes), std::max(2 * end_, kIdleReadBytes)));
    return asio::buffer(bytes_.data() + end_, bytes_.size() - end_);
  }
  void received(size_t bytes) { end_ += bytes; }
  std::span<const std::byte> unread() const { return std::span(bytes_).subspan(begin_, end_ - begin_); }
  void consume(size_t bytes) { begin_ += bytes; }

 private:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kIdleReadBytes);
  size_t begin_ = 0, end_ = 0;
};

size_t frame_length(std::span<const std::byte> prefix) {
  size_t length = 0;
  for (size_t i = 0; i < kFramePrefixBytes; ++i) length = length << 8 | static_cast<uint8_t>(prefix[i]);
  return length;
}

class TlsLink final : public Link {
 public:
  TlsLink(std::unique_ptr<TlsStream> stream, PeerIdentity peer)
      : stream_(std::move(stream)), linger_(stream_->get_executor()), peer_(std::move(peer)) {}

  void start(Handlers handlers) override {
    asio::post(stream_->get_executor(),
               [self = self(), handlers = std::move(handlers)]() mutable { self->started(std::move(handlers)); });
  }
  void send(const Message& message) override;
  void send_in_turn(const Message& message) override;
  void agree(uint32_t version) override { version_ = version; }
  uint32_t version() const override { return version_; }
  void close() override;
  size_t queued_bytes() const override { return queued_bytes_; }
  const std::string& peer_name() const override { return peer_.name; }
  const Digest& peer_key_sha256() const override { return peer_.key_sha256; }

 private:
  std::shared_ptr<TlsLink> self() { return std::static_pointer_cast<TlsLink>(shared_from_this()); }
  void started(Handlers handlers);
  void read();
  bool deliver_frames();  // false: the link ended
  void write();
  void queue(std::vector<std::byte> frame);  // with mutex_ held, as the next two
  void queue_waiting();
  void start_writing();
  bool take_queued();  // moves the next write's bytes to output_; false: nothing is queued
  void linger();
  void finish(const std::string& reason);

  // Used on the strand only.
  std::unique_ptr<TlsStream> stream_;
  asio::steady_timer linger_;
  const PeerIdentity peer_;
  Handlers handlers_;
  InputBuffer input_;
  std::vector<std::byte> output_;
  bool started_ = false, finished_ = false;
  std::string end_reason_;

  std::atomic<uint32_t> version_ = kOldestVersion;
  std::atomic<bool> closing_ = false;
  std::atomic<size_t> queued_bytes_ = 0;
  std::mutex mutex_;  // guards what follows
  std::deque<std::vector<std::byte>> queue_, waiting_;
  bool writing_ = false;
};

void TlsLink::started(Handlers handlers) {
  if (finished_) {
    if (handlers.on_close) handlers.on_close(end_reason_);
    return;
  }
  handlers_ = std::move(handlers);
  started_ = true;
  read();
}

void TlsLink::send(const Message& message) {
  auto frames = encode_frames(message, version_);
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  for (auto& frame : frames) queue(std::move(frame));
  start_writing();
}

void TlsLink::send_in_turn(const Message& message) {
  auto frames = encode_frames(message, version_);
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  for (auto& frame : frames) waiting_.push_back(std::move(frame));
  queue_waiting();
  start_writing();
}

void TlsLink::queue(std::vector<std::byte> frame) {
  queued_bytes_ += frame.size();
  queue_.push_back(std::move(frame));
}

void TlsLink::queue_waiting() {
  for (; !waiting_.empty() && queued_bytes_ < kQueuedInTurn; waiting_.pop_front()) queue(std::move(waiting_.front()));
}

void TlsLink::start_writing() {
  if (queued_bytes_ > kMaxQueuedBytes || waiting_.size() > kMaxWaitingFrames) {
    closing_ = true;
    asio::post(stream_->get_executor(), [self = self()] { self->finish("the peer reads too slowly"); });
  } else if (!std::exchange(writing_, true)) {
    asio::post(stream_->get_executor(), [self = self()] { self->write(); });
  }
}

void TlsLink::close() {
  const std::lock_guard lock(mutex_);
  if (closing_.exchange(true)) return;
  asio::post(stream_->get_executor(), [self = self()] { self->linger(); });
}

// What was sent before close() still goes out; then the sending half is shut and the peer's end awaited, since closing
// with unread input would reset the connection and could destroy the last messages on their way.
void TlsLink::linger() {
  if (finished_) return;
  linger_.expires_after(kLinger);
  linger_.async_wait([self = self()](error_code error) {
    if (!error) self->finish("closed by this side");
  });
  if (!started_) read();
  const std::lock_guard lock(mutex_);
  if (!std::exchange(writing_, true)) asio::post(stream_->get_executor(), [self = self()] { self->write(); });
}

void TlsLink::read() {
  const auto unread = input_.unread();
  const size_t wanted = unread.size() < kFramePrefixBytes ? 0 : kFramePrefixBytes + frame_length(unread);
  stream_->async_read_some(input_.tail(wanted), [self = self()](error_code error, size_t bytes) {
    if (error) return self->finish(self->closing_ ? "closed by this side" : "closed by the peer: " + error.message());
    self->input_.received(bytes);
    if (self->deliver_frames()) self->read();
  });
}

bool TlsLink::deliver_frames() {
  for (;;) {
    const auto unread = input_.unread();
    if (closing_) {
      input_.consume(unread.size());
      return !finished_;
    }
    if (unread.size() < kFramePrefixBytes) return true;
    const size_t length = frame_length(unread);
    if (length > kMaxFrameBytes) {
      finish("the peer sent a frame over 8 MiB");
      return false;
    }
    if (unread.size() - kFramePrefixBytes < length) return true;
    auto message = decode(unread.subspan(kFramePrefixBytes, length), version_);
    if (!message) {
      finish("the peer sent a malformed message: " + message.problem().detail);
      return false;
    }
    input_.consume(kFramePrefixBytes + length);
    if (handlers_.on_message) handlers_.on_message(std::move(*message));
  }
}

bool TlsLink::take_queued() {
  const std::lock_guard lock(mutex_);
  queue_waiting();
  if (queue_.empty()) {
    writing_ = false;
    return false;
  }
  if (output_.capacity() > kCoalesceBytes) output_ = {};
  output_.clear();
  if (queue_.front().size() >= kCoalesceBytes / 2) {
    output_ = std::move(queue_.front());
    queue_.pop_front();
    return true;
  }
  while (!queue_.empty() && output_.size() + queue_.front().size() <= kCoalesceBytes) {
    output_.insert(output_.end(), queue_.front().begin(), queue_.front().end());
    queue_.pop_front();
  }
  return true;
}

void TlsLink::write() {
  if (finished_) return;
  if (!take_queued()) {
    error_code ignored;  // a connection that is gone shows in the read
    if (closing_) stream_->lowest_layer().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    return;
  }
  asio::async_write(*stream_, asio::buffer(output_), [self = self()](error_code error, size_t) {
    if (error) return self->finish("closed by the peer: " + error.message());
    self->queued_bytes_ -= self->output_.size();
    self->write();
  });
}

void TlsLink::finish(const std::string& reason) {
  if (std::exchange(finished_, true)) return;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    writing_ = true;  // nothing is written any more
    queue_.clear();
    waiting_.clear();
    queued_bytes_ = 0;
  }
  end_reason_ = reason;
  linger_.cancel();
  error_code ignored;
  stream_->lowest_layer().close(ignored);
  // The handlers often own this link: let go of them.
  const Handlers handlers = std::exchange(handlers_, {});
  if (started_ && handlers.on_close) handlers.on_close(reason);
}

}  // namespace

std::shared_ptr<Link> make_link(std::unique_ptr<TlsStream> stream, PeerIdentity peer) {
  return std::make_shared<TlsLink>(std::move(stream), std::move(peer));
}

}  // namespace quarry::wire
