#include "tests/sql/fixture.h"

namespace quarry::test {

wire::Hello hello_of(std::vector<wire::SliceReport> slices, uint32_t units = 8) {
  wire::Hello hello;
  hello.devices = {{"opencl:0", "device", "opencl", "1", 1u << 30, units, {}, std::move(slices)}};
  hello.slots_per_slice = 2;
  return hello;
}

TEST_CASE("A claim code binds a box to one key") {
  World world;
  const auto box = world.store->create_box(world.renter, "rack 1", digest("code"));
  CHECK_FALSE(world.store->find_box(box)->key_sha256);
  CHECK_THROWS_AS(world.store->open_session(box, hello_of({})), std::invalid_argument);
  CHECK_FALSE(world.store->claim_box(digest("another code"), digest("key")));
  REQUIRE(world.store->claim_box(digest("code"), digest("key")));
  CHECK(world.store->claim_box(digest("code"), digest("key"))->id == box);  // its answer was lost
  CHECK_FALSE(world.store->claim_box(digest("code"), digest("thief's key")));
  CHECK(world.store->find_box(box)->key_sha256 == digest("key"));
  CHECK(world.store->boxes(world.renter).size() == 1);
  CHECK_FALSE(world.store->find_box(BoxId{}));
}

TEST_CASE("A revoked box opens no session and gets no lease") {
  World world;
  const JobId job = world.submit_job();
  CHECK_FALSE(world.store->revoke_box(world.renter, world.first.id));
  CHECK(world.store->revoke_box(world.first.owner, world.first.id));
  CHECK_THROWS_AS(world.store->open_session(world.first.id, hello_of({})), std::invalid_argument);
  CHECK(world.try_lease(job, 0, world.first).empty());
  CHECK_FALSE(world.store->claim_box(digest("claim first"), digest("key first")));
}

TEST_CASE("A reconnecting box resumes its open session, and only its own") {
  World world;
  auto hello = hello_of({{0, 0, 8, 100}});
  const auto opened = world.store->open_session(world.first.id, hello);
  CHECK_FALSE(opened.resumed);
  CHECK(opened.session.epoch > world.second.session.session.epoch);
  hello.resume = opened.session;
  const auto resumed = world.store->open_session(world.first.id, hello);
  CHECK(resumed.resumed);
  CHECK(resumed.session == opened.session);
  CHECK(resumed.slices.at(0).slice == opened.slices.at(0).slice);
  CHECK_FALSE(world.store->open_session(world.second.id, hello).resumed);
  world.store->expire_sessions(world.leader_epoch, {opened.session});
  const auto after = world.store->open_session(world.first.id, hello);
  CHECK_FALSE(after.resumed);
  CHECK(after.session.epoch > opened.session.epoch);
}

TEST_CASE("Slices keep their ids while their shape stays, and are retired when it changes") {
  World world;
  const auto two = world.store->open_session(world.first.id, hello_of({{0, 0, 4, 100}, {1, 4, 4, 100}}));
  REQUIRE(two.slices.size() == 2);
  const auto again = world.store->open_session(world.first.id, hello_of({{0, 0, 4, 100}, {1, 4, 4, 100}}));
  CHECK(again.slices[1].slice == two.slices[1].slice);
  const auto changed =
      world.store->open_session(world.first.id, hello_of({{0, 0, 4, 100}, {1, 4, 2, 50}, {2, 6, 2, 50}}));
  REQUIRE(changed.slices.size() == 3);
  CHECK(changed.slices[0].slice == two.slices[0].slice);
  CHECK(changed.slices[1].slice != two.slices[1].slice);
  CHECK(changed.scheduling[2].memory_bytes == 50);
}

TEST_CASE("No unit of a device is in two slices") {
  World world;
  CHECK_THROWS_AS(world.store->open_session(world.first.id, hello_of({{0, 0, 5, 1}, {1, 4, 4, 1}})),
                  std::invalid_argument);
  CHECK_THROWS_AS(world.store->open_session(world.first.id, hello_of({{0, 0, 9, 1}})), std::invalid_argument);
  CHECK_THROWS_AS(world.store->open_session(world.first.id, hello_of({{0, 4'000'000'000, 500'000'000, 1}})),
                  std::invalid_argument);
  CHECK(world.store->open_session(world.first.id, hello_of({{0, 0, 4, 1}, {1, 4, 4, 1}})).slices.size() == 2);
}

}  // namespace quarry::test
