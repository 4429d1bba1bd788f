#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <stdexcept>
#include <thread>

#include "server/metrics.h"

namespace quarry::server {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kMaxHead = 4 << 10;
constexpr std::chrono::seconds kTimeLimit{5};

/// Reads one head, answers, closes: enough for a scraper on this machine.
asio::awaitable<void> answer(tcp::socket socket, const Metrics& metrics) {
  auto guard = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, kTimeLimit);
  auto shared = std::make_shared<tcp::socket>(std::move(socket));
  guard->async_wait([guard, shared](const boost::system::error_code& error) {
    boost::system::error_code ignored;
    if (!error) shared->close(ignored);
  });
  std::string head;
  char buffer[1024];
  while (head.find("\r\n\r\n") == std::string::npos && head.size() < kMaxHead) {
    auto [error, got] = co_await shared->async_read_some(asio::buffer(buffer), kAwait);
    if (error) co_return;
    head.append(buffer, got);
  }
  const bool known = head.starts_with("GET /metrics ");
  const std::string body = known ? metrics.text() : "the metrics are at /metrics\n";
  const std::string reply =
      std::string(known ? "HTTP/1.1 200 OK" : "HTTP/1.1 404 Not Found") +
      "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nConnection: close\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  co_await asio::async_write(*shared, asio::buffer(reply), kAwait);
  guard->cancel();
  boost::system::error_code ignored;
  shared->shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace

struct MetricsListener::State {
  State(const std::string& address, uint16_t port, const Metrics& metrics)
      : acceptor(io, tcp::endpoint(asio::ip::make_address(address), port)) {
    asio::co_spawn(io, accept_all(metrics), asio::detached);
    thread = std::thread([this] { io.run(); });
  }
  asio::awaitable<void> accept_all(const Metrics& metrics) {
    for (;;) {
      auto [error, socket] = co_await acceptor.async_accept(kAwait);
      if (error == asio::error::operation_aborted) co_return;
      if (!error) {
        asio::co_spawn(io, answer(std::move(socket), metrics), asio::detached);
        continue;
      }
      asio::steady_timer pause(io, std::chrono::milliseconds(50));  // out of descriptors, most likely
      co_await pause.async_wait(kAwait);
    }
  }
  asio::io_context io{1};
  tcp::acceptor acceptor;
  std::thread thread;
};

MetricsListener::MetricsListener(const std::string& address, uint16_t port, const Metrics& metrics) try
    : state_(std::make_unique<State>(address, port, metrics)) {
} catch (const boost::system::system_error& error) {
  throw std::runtime_error("cannot listen on " + address + ":" + std::to_string(port) + ": " + error.code().message());
}
MetricsListener::~MetricsListener() {
  state_->io.stop();
  state_->thread.join();
}
uint16_t MetricsListener::port() const {
  return state_->acceptor.local_endpoint().port();
}

}  // namespace quarry::server
