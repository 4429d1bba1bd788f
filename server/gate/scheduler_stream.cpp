#include "server/gate/scheduler_stream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/address.h"
#include "common/log.h"

namespace quarry::server {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kLookAgainUp{1'000};  ///< has leadership moved?
constexpr std::chrono::milliseconds kLookAgainDown{100};
constexpr uint32_t kConnectTimeoutMs = 2'000;

}  // namespace

SchedulerStream::SchedulerStream(asio::io_context& io, Database& database, wire::TlsFiles files,
                                 std::string server_name, Handlers handlers)
    : io_(io),
      database_(database),
      files_(std::move(files)),
      server_name_(std::move(server_name)),
      handlers_(std::move(handlers)) {}

void SchedulerStream::start() {
  asio::co_spawn(
      io_, [self = shared_from_this()] { return self->follow_leader(); }, asio::detached);
}

void SchedulerStream::stop() {
  stopped_ = true;
  drop_link();
}

void SchedulerStream::send(const wire::Message& message) {
  std::shared_ptr<wire::Link> link;
  {
    std::lock_guard lock(mutex_);
    link = up_;
  }
  if (link) link->send(message);
}

bool SchedulerStream::speaks(uint32_t version) {
  std::lock_guard lock(mutex_);
  return up_ && up_->version() >= version;
}

Awaitable<void> SchedulerStream::follow_leader() {
  asio::steady_timer timer(io_);
  while (!stopped_) {
    std::optional<sql::Leader> leader;
    try {
      leader = co_await database_.run([](sql::SchedulingStore& store) { return store.current_leader(); });
    } catch (const http::RequestFailed&) {
      // PostgreSQL is away; the link, if there is one, may still be good.
    } catch (const std::exception& error) {  // refused there, for want of memory say: no reason to follow no more
      spdlog::warn("the leading scheduler cannot be looked up: {}", error.what());
    }
    if (leader && !leader->address.empty() && !stopped_ && (!link_ || leader->epoch != epoch_))
      co_await connect(*leader);
    timer.expires_after(link_ ? kLookAgainUp : kLookAgainDown);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

Awaitable<void> SchedulerStream::connect(sql::Leader leader) {
  drop_link();
  const auto where = parse_address(leader.address);
  if (!where) co_return;
  auto answer = std::make_shared<std::optional<Result<std::shared_ptr<wire::Link>>>>();
  co_await until_resumed([&](std::function<void()> resume) {
    wire::connect(io_, where->host, where->port, files_, "scheduler", kConnectTimeoutMs,
                  [answer, resume](Result<std::shared_ptr<wire::Link>> link) {
                    answer->emplace(std::move(link));
                    resume();
                  });
  });
  if (!(*answer)->ok()) {
    spdlog::debug("no stream to the scheduler at {}: {}", leader.address, (*answer)->problem().detail);
    co_return;
  }
  link_ = std::move(**answer).value();
  epoch_ = leader.epoch;
  if (stopped_) co_return drop_link();
  wire::Link::Handlers handlers;
  handlers.on_message = [weak = weak_from_this(), link = std::weak_ptr(link_)](wire::Message message) {
    const auto self = weak.lock();
    const auto alive = link.lock();
    if (self && alive) self->received(alive, std::move(message));
  };
  handlers.on_close = [weak = weak_from_this(), link = std::weak_ptr(link_)](const std::string& reason) {
    const auto self = weak.lock();
    const auto alive = link.lock();
    if (self && alive) self->closed(alive, reason);
  };
  link_->start(std::move(handlers));
  link_->send(wire::ServerHello{server_name_, wire::kOldestVersion, wire::kVersion});
}

void SchedulerStream::received(const std::shared_ptr<wire::Link>& link, wire::Message message) {
  if (link != link_) return;
  if (const auto* hello = std::get_if<wire::SchedulerHello>(&message)) {
    if (!wire::agreed_version(hello->version, hello->version)) return drop_link();
    link->agree(hello->version);
    epoch_ = hello->leader_epoch;
    {
      std::lock_guard lock(mutex_);
      up_ = link;
    }
    spdlog::info("stream to the scheduler is up, leader epoch {}", epoch_);
    handlers_.on_connected(true);
    handlers_.on_up();
    return;
  }
  if (const auto* refusal = std::get_if<wire::Refusal>(&message)) {
    spdlog::warn("the scheduler refuses this server: {}", refusal->detail);
    return drop_link();
  }
  handlers_.on_message(std::move(message));
}

void SchedulerStream::closed(const std::shared_ptr<wire::Link>& link, const std::string& reason) {
  if (link != link_) return;
  spdlog::info("stream to the scheduler ended: {}", reason);
  drop_link();
}

void SchedulerStream::drop_link() {
  {
    std::lock_guard lock(mutex_);
    up_.reset();
  }
  handlers_.on_connected(false);
  if (const auto link = std::exchange(link_, nullptr)) link->close();
}

}  // namespace quarry::server
