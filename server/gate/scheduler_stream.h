// This server's one stream to the leading scheduler. Finds the leader in its row, connects, follows when leadership
// moves. What is sent while no leader is connected is dropped: all of it is hints, and a new leader reads PostgreSQL.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "server/async.h"
#include "wire/link.h"

namespace quarry::server {

class SchedulerStream : public std::enable_shared_from_this<SchedulerStream> {
 public:
  struct Handlers {
    std::function<void()> on_up;  ///< say which sessions live here
    std::function<void(wire::Message)> on_message;
    std::function<void(bool)> on_connected;  ///< for the metric
  };
  SchedulerStream(boost::asio::io_context& io, Database& database, wire::TlsFiles files, std::string server_name,
                  Handlers handlers);

  void start();
  /// On the io_context's thread.
  void stop();
  /// Thread-safe.
  void send(const wire::Message& message);
  /// Whether a leader is connected that speaks this version. Thread-safe.
  bool speaks(uint32_t version);

 private:
  Awaitable<void> follow_leader();
  Awaitable<void> connect(sql::Leader leader);
  void received(const std::shared_ptr<wire::Link>& link, wire::Message message);
  void closed(const std::shared_ptr<wire::Link>& link, const std::string& reason);
  void drop_link();

  boost::asio::io_context& io_;
  Database& database_;
  wire::TlsFiles files_;
  std::string server_name_;
  Handlers handlers_;
  bool stopped_ = false;
  int64_t epoch_ = 0;                 ///< of the leader that link_ goes to
  std::shared_ptr<wire::Link> link_;  ///< touched on the io_context's thread only
  std::mutex mutex_;
  std::shared_ptr<wire::Link> up_;  ///< link_ once the leader has said hello
};

}  // namespace quarry::server
