#include "worker/gate.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace quarry::worker {
namespace {

using boost::system::error_code;
using std::chrono::milliseconds;

constexpr uint32_t kConnectLimitMs = 10'000;
constexpr milliseconds kWelcomeLimit{10'000};
/// Half of the wait is random, so that a fleet does not return in step; the longest is short beside a lease's life.
constexpr milliseconds kFirstRetry{100}, kLongestRetry{5'000};
constexpr milliseconds kShortestHeartbeat{100}, kLongestHeartbeat{30'000};
constexpr const char* kServerName = "server";

}  // namespace

Gate::Gate(boost::asio::io_context& io, GateAddress address, wire::TlsFiles files, RandomSource& random,
           Handlers handlers)
    : io_(io),
      address_(std::move(address)),
      files_(std::move(files)),
      random_(random),
      handlers_(std::move(handlers)),
      retry_(io),
      welcome_limit_(io),
      heartbeat_timer_(io) {}

Gate::~Gate() {
  stop();
}

void Gate::start() {
  dial();
}

void Gate::stop() {
  stopped_ = true;
  up_ = false;
  *alive_ = false;
  retry_.cancel();
  welcome_limit_.cancel();
  heartbeat_timer_.cancel();
  if (link_) std::exchange(link_, nullptr)->close();
}

bool Gate::send_in_turn(const wire::Message& message) {
  if (!up_) return false;
  link_->send_in_turn(message);
  return true;
}

bool Gate::send(const wire::Message& message) {
  if (!up_) return false;
  link_->send(message);
  return true;
}

void Gate::dial() {
  wire::connect(io_, address_.host, address_.port, files_, kServerName, kConnectLimitMs,
                [this, alive = alive_](Result<std::shared_ptr<wire::Link>> link) {
                  if (!*alive) {
                    if (link.ok()) (*link)->close();
                  } else if (link.ok()) {
                    dialled(std::move(*link));
                  } else {
                    dial_later(link.problem().detail);
                  }
                });
}

void Gate::dialled(std::shared_ptr<wire::Link> link) {
  link_ = std::move(link);
  // A link's callbacks count only while it is the current one.
  wire::Link::Handlers handlers;
  handlers.on_message = [this, alive = alive_, raw = link_.get()](wire::Message message) {
    if (*alive && link_.get() == raw) received(std::move(message));
  };
  handlers.on_close = [this, alive = alive_, raw = link_.get()](const std::string& reason) {
    if (*alive && link_.get() == raw) dial_later(reason);
  };
  link_->start(std::move(handlers));
  wire::Hello hello = handlers_.make_hello();
  hello.resume = session_;
  link_->send(hello);
  welcome_limit_.expires_after(kWelcomeLimit);
  welcome_limit_.async_wait([this](error_code error) {
    if (!error) dial_later("the server did not answer Hello");
  });
}

void Gate::dial_later(const std::string& why) {
  up_ = false;
  welcome_limit_.cancel();
  heartbeat_timer_.cancel();
  if (link_) std::exchange(link_, nullptr)->close();
  if (stopped_) return;
  const milliseconds longest = std::min(kLongestRetry, kFirstRetry * (1 << std::min(failures_, 10)));
  const milliseconds wait =
      longest / 2 +
      milliseconds(static_cast<int64_t>(random_.next_u64() % static_cast<uint64_t>(longest.count() / 2 + 1)));
  ++failures_;
  spdlog::warn("no link to the server at {}:{} ({}); dialling again in {} ms", address_.host, address_.port, why,
               wait.count());
  retry_.expires_after(wait);
  retry_.async_wait([this](error_code error) {
    if (!error) dial();
  });
}

void Gate::received(wire::Message message) {
  if (const auto* welcome = std::get_if<wire::Welcome>(&message)) return welcomed(*welcome);
  if (const auto* refusal = std::get_if<wire::Refusal>(&message))
    return dial_later("refused, " + refusal->code + ": " + refusal->detail);
  if (up_) handlers_.on_message(std::move(message));
}

void Gate::welcomed(const wire::Welcome& welcome) {
  if (up_) return dial_later("the server sent Welcome twice");
  if (!wire::agreed_version(welcome.version, welcome.version))
    return dial_later("the server speaks version " + std::to_string(welcome.version) +
                      ", which this worker does not: update it");
  link_->agree(welcome.version);
  welcome_limit_.cancel();
  failures_ = 0;
  up_ = true;
  const bool resumed = session_ == welcome.session;
  session_ = welcome.session;
  heartbeat_ = std::clamp(milliseconds(welcome.heartbeat_ms), kShortestHeartbeat, kLongestHeartbeat);
  spdlog::info("session {} {}", welcome.session.id.to_string(), resumed ? "resumed" : "opened");
  handlers_.on_session(welcome, resumed);
  beat();
}

void Gate::beat() {
  send(wire::Heartbeat{handlers_.running()});
  heartbeat_timer_.expires_after(heartbeat_);
  heartbeat_timer_.async_wait([this](error_code error) {
    if (!error && up_) beat();
  });
}

}  // namespace quarry::worker
