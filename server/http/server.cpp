#include "server/http/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>
#include <thread>

#include "common/log.h"

namespace quarry::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// No more connections than the process has descriptors for: without one left nobody at all is accepted.
server::ConnectionLimits within_descriptors(server::ConnectionLimits limits) {
  rlimit descriptors{};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return limits;
  const size_t all = descriptors.rlim_cur;
  limits.total = std::min(limits.total, std::max(all / 2, all - std::min(all, server::kOtherDescriptors)));
  return limits;
}

/// One I/O thread and the connections that live on it.
struct Lane {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::set<std::shared_ptr<Connection>> connections;  ///< touched only on this lane's thread
  std::thread thread;
};

}  // namespace

struct Server::State {
  State(const ServerOptions& options, Handler handler)
      : context{TlsContext(options.certificate_file, options.key_file),
                std::move(handler),
                options.times,
                {},
                {},
                options.request_prefix},
        table(within_descriptors(options.connections)) {
    for (size_t i = 0; i < std::max<size_t>(options.threads, 1); ++i) lanes.push_back(std::make_unique<Lane>());
    open_acceptor(options);
    asio::co_spawn(lanes.front()->io, accept_all(), asio::detached);
    for (auto& lane : lanes) lane->thread = std::thread([&io = lane->io] { io.run(); });
  }

  void open_acceptor(const ServerOptions& options) {
    const std::string where = options.address + ":" + std::to_string(options.port);
    error_code error;
    const auto address = asio::ip::make_address(options.address, error);
    if (error) throw std::runtime_error("cannot listen on " + where + ": not an IP address");
    acceptor.emplace(lanes.front()->io);
    const tcp::endpoint endpoint(address, options.port);
    acceptor->open(endpoint.protocol());
    acceptor->set_option(tcp::acceptor::reuse_address(true));
    acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(4096, error);
    if (error) throw std::runtime_error("cannot listen on " + where + ": " + error.message());
    port = acceptor->local_endpoint().port();
  }

  Awaitable<void> accept_all() {
    for (size_t next = 0;; ++next) {
      Lane& lane = *lanes[next % lanes.size()];
      auto [error, socket] = co_await acceptor->async_accept(lane.io.get_executor(), kAwait);
      if (context.stopping || error == asio::error::operation_aborted) co_return;
      if (error) {  // out of descriptors, most likely: wait for some to be freed
        asio::steady_timer pause(co_await asio::this_coro::executor, std::chrono::milliseconds(50));
        co_await pause.async_wait(kAwait);
        continue;
      }
      admit(lane, std::move(socket));
    }
  }

  void admit(Lane& lane, tcp::socket socket) {
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    socket.set_option(tcp::no_delay(true), error);
    auto seat = std::make_shared<Seat>(network_of(peer.address().to_string()));
    const auto connection = make_connection(std::move(socket), seat, context);
    seat->leave = [&lane, weak = std::weak_ptr(connection)] {
      asio::post(lane.io, [weak] {
        if (const auto leaver = weak.lock()) leaver->close_now();
      });
    };
    if (!table.admit(seat)) return;
    asio::post(lane.io, [this, &lane, connection, seat] {
      asio::co_spawn(lane.io, serve(lane, connection, seat), asio::detached);
    });
  }

  Awaitable<void> serve(Lane& lane, std::shared_ptr<Connection> connection, std::shared_ptr<Seat> seat) {
    lane.connections.insert(connection);
    co_await connection->serve();
    lane.connections.erase(connection);
    table.remove(seat);
  }

  void stop() {
    if (context.stopping.exchange(true)) return;
    asio::post(lanes.front()->io, [this] { acceptor->close(); });
    for_all_connections([](Connection& connection) { connection.finish_soon(); });
    const auto until = std::chrono::steady_clock::now() + context.times.drain;
    while (table.size() > 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for_all_connections([](Connection& connection) { connection.close_now(); });
    const auto closed = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (table.size() > 0 && std::chrono::steady_clock::now() < closed)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for (auto& lane : lanes) lane->io.stop();
    for (auto& lane : lanes) lane->thread.join();
  }

  void for_all_connections(void (*action)(Connection&)) {
    for (auto& lane : lanes)
      asio::post(lane->io, [&lane, action] {
        const auto now = lane->connections;  // closing may end one at once
        for (const auto& connection : now) action(*connection);
      });
  }

  ConnectionContext context;
  ConnectionTable table;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::optional<tcp::acceptor> acceptor;
  uint16_t port = 0;
};

Server::Server(const ServerOptions& options, Handler handler)
    : state_(std::make_unique<State>(options, std::move(handler))) {}
Server::~Server() {
  stop();
}
uint16_t Server::port() const {
  return state_->port;
}
const ConnectionTable& Server::connections() const {
  return state_->table;
}
void Server::stop() {
  state_->stop();
}

}  // namespace quarry::http
