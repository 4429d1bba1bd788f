#include "server/http/connection_table.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <tuple>

namespace quarry::http {

namespace {

/// Many at once, because finding them reads the whole table.
constexpr size_t kLeavingAtOnce = 64;

/// Who leaves first: strangers that wait, known ones that wait, strangers in the middle of a request.
int rank_of(const Seat& seat) {
  if (seat.waiting) return seat.known ? 1 : 0;
  return seat.known ? 3 : 2;
}
constexpr int kStays = 3;

}  // namespace

std::string network_of(const std::string& text) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(text, error);
  if (error || address.is_v4()) return text;
  auto v6 = address.to_v6();
  if (v6.is_v4_mapped()) return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6).to_string();
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), uint8_t{0});
  return boost::asio::ip::address_v6(bytes).to_string() + "/64";
}

bool ConnectionTable::admit(std::shared_ptr<Seat> seat) {
  std::lock_guard lock(mutex_);
  const auto from_there = by_network_.find(seat->network);
  const bool network_full = from_there != by_network_.end() && from_there->second >= limits_.per_network;
  if ((network_full && !make_room(&seat->network)) || (seats_.size() >= limits_.total && !make_room(nullptr))) {
    ++refused_;
    return false;
  }
  ++by_network_[seat->network];
  seats_.insert(std::move(seat));
  return true;
}

/// Asks some to leave, all of `network` or, when that is null, of any. The network that has the most loses first, and
/// within one who waits the longest.
bool ConnectionTable::make_room(const std::string* network) {
  struct Candidate {
    int rank;
    size_t connections;
    Seat::TimePoint since;
    const std::shared_ptr<Seat>* seat;
  };
  std::vector<Candidate> candidates;
  for (const auto& seat : seats_) {
    const int rank = rank_of(*seat);
    if (rank == kStays || (network != nullptr && seat->network != *network)) continue;
    candidates.push_back({rank, by_network_.at(seat->network), seat->since, &seat});
  }
  const auto first_to_leave = [](const Candidate& a, const Candidate& b) {
    return std::tuple(a.rank, b.connections, a.since) < std::tuple(b.rank, a.connections, b.since);
  };
  const size_t limit = network != nullptr ? limits_.per_network : limits_.total;
  const size_t leaving = std::min({candidates.size(), kLeavingAtOnce, std::max<size_t>(limit / 16, 1)});
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(leaving), candidates.end(),
                    first_to_leave);
  std::vector<std::shared_ptr<Seat>> leavers;
  for (size_t i = 0; i < leaving; ++i) leavers.push_back(*candidates[i].seat);
  for (const auto& seat : leavers) {
    seat->leave();
    forget(seat);
  }
  gave_way_ += leavers.size();
  return !leavers.empty();
}

void ConnectionTable::forget(const std::shared_ptr<Seat>& seat) {
  if (seats_.erase(seat) == 0) return;  // it gave way before
  const auto found = by_network_.find(seat->network);
  if (--found->second == 0) by_network_.erase(found);
}

void ConnectionTable::remove(const std::shared_ptr<Seat>& seat) {
  std::lock_guard lock(mutex_);
  forget(seat);
}

size_t ConnectionTable::size() const {
  std::lock_guard lock(mutex_);
  return seats_.size();
}
uint64_t ConnectionTable::gave_way() const {
  std::lock_guard lock(mutex_);
  return gave_way_;
}
uint64_t ConnectionTable::refused() const {
  std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace quarry::http
