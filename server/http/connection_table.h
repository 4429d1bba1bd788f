// Who is connected, how many from each network, and who gives way when there is no room. Thread-safe; knows no sockets.
//
// A connection that waits for its peer gives way to a new one, so that connections that are only held open keep nobody
// out; so does one whose peer has shown no good key. A request of a known key is never ended to make room.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "server/limits.h"

namespace quarry::http {

/// What one connection tells the table about itself.
struct Seat {
  using TimePoint = std::chrono::steady_clock::time_point;

  const std::string network;        ///< see network_of()
  std::atomic<bool> known{false};   ///< a request with a good key came over it
  std::atomic<bool> waiting{true};  ///< for the peer: to shake hands, to ask, to leave
  std::atomic<TimePoint> since;     ///< of the last change of `waiting`
  std::function<void()> leave;      ///< closes the connection soon; from any thread
};

/// The network that limits are counted by: an IPv4 address, or the first 64 bits of an IPv6 address, for one subscriber
/// has all addresses of those.
std::string network_of(const std::string& address);

class ConnectionTable {
 public:
  explicit ConnectionTable(server::ConnectionLimits limits) : limits_(limits) {}
  /// Takes the seat in, after others have left where there was no room. False: nobody could be asked to leave.
  bool admit(std::shared_ptr<Seat> seat);
  void remove(const std::shared_ptr<Seat>& seat);
  size_t size() const;
  /// Connections that were closed to make room, and those that found none.
  uint64_t gave_way() const;
  uint64_t refused() const;

 private:
  bool make_room(const std::string* network);
  void forget(const std::shared_ptr<Seat>& seat);

  const server::ConnectionLimits limits_;
  mutable std::mutex mutex_;
  std::unordered_set<std::shared_ptr<Seat>> seats_;
  std::unordered_map<std::string, size_t> by_network_;
  uint64_t gave_way_ = 0, refused_ = 0;
};

}  // namespace quarry::http
