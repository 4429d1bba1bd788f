#include "server/http/connection_table.h"

#include <catch2/catch.hpp>

using namespace quarry;
using http::ConnectionTable;
using http::Seat;

namespace {

/// A table and the connections that hold seats in it.
struct Room {
  explicit Room(size_t total, size_t per_network) : table({total, per_network}) {}

  std::shared_ptr<Seat> come(const std::string& network, bool known = false, bool waiting = true) {
    auto seat = std::make_shared<Seat>(network);
    seat->known = known;
    seat->waiting = waiting;
    seat->since = Seat::TimePoint(std::chrono::seconds(++clock));
    seat->leave = [this, raw = seat.get()] { left.push_back(raw); };
    return table.admit(seat) ? seat : nullptr;
  }

  ConnectionTable table;
  int clock = 0;
  std::vector<Seat*> left;
};

}  // namespace

TEST_CASE("where there is room nobody leaves") {
  Room room(3, 2);
  CHECK(room.come("a"));
  CHECK(room.come("a"));
  CHECK(room.come("b"));
  CHECK(room.left.empty());
  CHECK(room.table.size() == 3);
}

TEST_CASE("a full network makes room itself: the one that waits longest leaves, strangers before those with a key") {
  Room room(100, 3);
  const auto known = room.come("a", true), older = room.come("a"), newer = room.come("a");
  const auto elsewhere = room.come("b");
  REQUIRE(room.come("a"));
  CHECK(room.left == std::vector{older.get()});
  REQUIRE(room.come("a"));
  CHECK(room.left == std::vector{older.get(), newer.get()});
  CHECK(room.table.size() == 4);
  CHECK(room.table.gave_way() == 2);
}

TEST_CASE("in a full house the network with the most connections loses first") {
  Room room(5, 4);
  const auto lonely = room.come("b");
  for (int i = 0; i < 4; ++i) room.come("a");
  const auto late = room.come("c");
  REQUIRE(late);
  REQUIRE(room.left.size() == 1);
  CHECK(room.left[0]->network == "a");
  REQUIRE(room.come("c"));
  CHECK(room.left[1]->network == "a");
}

TEST_CASE("a request of a stranger gives way when nobody waits, one with a key never does") {
  Room room(2, 2);
  const auto stranger = room.come("a", false, false), known = room.come("a", true, false);
  REQUIRE(room.come("b", true, false));
  CHECK(room.left == std::vector{stranger.get()});
  CHECK_FALSE(room.come("c"));
  CHECK(room.table.refused() == 1);
  known->waiting = true;
  CHECK(room.come("c"));
}

TEST_CASE("who left of himself is not counted, nor twice") {
  Room room(1, 1);
  auto seat = room.come("a");
  room.table.remove(seat);
  CHECK(room.table.size() == 0);
  const auto next = room.come("a");
  REQUIRE(room.come("a"));  // next gave way
  room.table.remove(next);
  CHECK(room.table.size() == 1);
  CHECK(room.left.size() == 1);
}

TEST_CASE("limits count an IPv4 address, and the half of an IPv6 address that one subscriber has") {
  CHECK(http::network_of("192.0.2.7") == "192.0.2.7");
  CHECK(http::network_of("::ffff:192.0.2.7") == "192.0.2.7");
  CHECK(http::network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
  CHECK(http::network_of("2001:db8:1:2::9") == http::network_of("2001:db8:1:2:ffff::1"));
  CHECK(http::network_of("2001:db8:1:3::9") != http::network_of("2001:db8:1:2::9"));
}
