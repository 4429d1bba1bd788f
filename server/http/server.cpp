#include "server/http/server.h"

#include <openssl/ssl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "common/log.h"

namespace quarry::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

asio::ssl::context make_tls(const ServerOptions& options) {
  asio::ssl::context tls(asio::ssl::context::tls_server);
  tls.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                  asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
  SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set1_groups_list(tls.native_handle(), "X25519:P-256");
  SSL_CTX_set_options(tls.native_handle(), SSL_OP_NO_RENEGOTIATION);
  // Nothing is resumed: the key of a ticket, kept for as long as the process runs, would open every recorded session.
  // Clients keep their connections; a handshake costs 0.7 ms.
  SSL_CTX_set_options(tls.native_handle(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(tls.native_handle(), 0);
  SSL_CTX_set_session_cache_mode(tls.native_handle(), SSL_SESS_CACHE_OFF);
  error_code error;
  tls.use_certificate_chain_file(options.certificate_file, error);
  if (error) throw std::runtime_error("cannot read the TLS certificate " + options.certificate_file);
  tls.use_private_key_file(options.key_file, asio::ssl::context::pem, error);
  if (error) throw std::runtime_error("cannot read the TLS key " + options.key_file);
  return tls;
}

/// One I/O thread and the connections that live on it.
struct Lane {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::set<Connection*> connections;  ///< touched only on this lane's thread
  std::thread thread;
};

}  // namespace

struct Server::State {
  State(const ServerOptions& options, Handler handler)
      : tls(make_tls(options)), context{tls, std::move(handler), options.times, {}, {}, options.request_prefix} {
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
    std::string address = peer.address().to_string();
    {
      std::lock_guard lock(mutex);
      if (total >= server::kMaxConnections || per_address[address] >= server::kMaxConnectionsPerAddress) return;
      ++total;
      ++per_address[address];
    }
    socket.set_option(tcp::no_delay(true), error);
    auto shared = std::make_shared<tcp::socket>(std::move(socket));
    asio::post(lane.io, [this, &lane, shared, address] {
      asio::co_spawn(lane.io, serve(lane, std::move(*shared), address), asio::detached);
    });
  }

  Awaitable<void> serve(Lane& lane, tcp::socket socket, std::string address) {
    auto connection = make_connection(std::move(socket), address, context);
    lane.connections.insert(connection.get());
    co_await connection->serve();
    lane.connections.erase(connection.get());
    std::lock_guard lock(mutex);
    --total;
    if (--per_address[address] == 0) per_address.erase(address);
  }

  void stop() {
    if (context.stopping.exchange(true)) return;
    asio::post(lanes.front()->io, [this] { acceptor->close(); });
    for_all_connections([](Connection& connection) { connection.finish_soon(); });
    const auto until = std::chrono::steady_clock::now() + context.times.drain;
    while (connections() > 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for_all_connections([](Connection& connection) { connection.close_now(); });
    const auto closed = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (connections() > 0 && std::chrono::steady_clock::now() < closed)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    for (auto& lane : lanes) lane->io.stop();
    for (auto& lane : lanes) lane->thread.join();
  }

  void for_all_connections(void (*action)(Connection&)) {
    for (auto& lane : lanes)
      asio::post(lane->io, [&lane, action] {
        const auto now = lane->connections;  // closing may end one at once
        for (Connection* connection : now) action(*connection);
      });
  }
  size_t connections() {
    std::lock_guard lock(mutex);
    return total;
  }

  asio::ssl::context tls;
  ConnectionContext context;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::optional<tcp::acceptor> acceptor;
  uint16_t port = 0;
  std::mutex mutex;
  size_t total = 0;
  std::unordered_map<std::string, size_t> per_address;
};

Server::Server(const ServerOptions& options, Handler handler)
    : state_(std::make_unique<State>(options, std::move(handler))) {}
Server::~Server() {
  stop();
}
uint16_t Server::port() const {
  return state_->port;
}
size_t Server::connections() const {
  return state_->connections();
}
void Server::stop() {
  state_->stop();
}

}  // namespace quarry::http
