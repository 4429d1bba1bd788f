#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "common/random.h"
#include "server/live/hub.h"

using namespace quarry;
using namespace quarry::server;

namespace {

JobId some_job() {
  SystemRandom random;
  return JobId::make(WallTime{}, random);
}

/// Runs a wait to its end on a thread of its own, as a request does.
void wait_on(Hub::Subscription& subscription, std::chrono::milliseconds limit) {
  boost::asio::io_context io;
  boost::asio::co_spawn(io, subscription.wait(limit), boost::asio::detached);
  io.run();
}

}  // namespace

TEST_CASE("the hub forgets a subscription when it ends, also one that was never woken") {
  Hub hub;
  const JobId job = some_job();
  {
    const auto first = hub.subscribe(job), second = hub.subscribe(job), other = hub.subscribe(some_job());
    CHECK(hub.watchers() == 3);
    wait_on(*first, std::chrono::milliseconds(1));
  }
  CHECK(hub.watchers() == 0);
  hub.changed(job);
  CHECK(hub.watchers() == 0);
}

TEST_CASE("a change wakes each watcher of the job and no other, also one that does not wait yet") {
  Hub hub;
  const JobId job = some_job();
  const auto early = hub.subscribe(job), waiting = hub.subscribe(job), other = hub.subscribe(some_job());
  std::thread waits([&] { wait_on(*waiting, std::chrono::minutes(10)); });
  hub.ended(job);
  waits.join();
  wait_on(*early, std::chrono::minutes(10));
  CHECK(waiting->take_ended());
  CHECK(early->take_changed());
  CHECK_FALSE(early->take_changed());
  CHECK_FALSE(other->take_changed());
}

TEST_CASE("progress is kept until the attempt ends") {
  Hub hub;
  const JobId job = some_job();
  const auto watcher = hub.subscribe(job);
  hub.progress(job, {3, 10});
  hub.progress(job, {4, 10});
  CHECK(hub.current(job) == LiveProgress{4, 10});
  CHECK(watcher->take_progress() == LiveProgress{4, 10});
  CHECK_FALSE(watcher->take_progress());
  hub.ended(job);
  CHECK_FALSE(hub.current(job));
}

TEST_CASE("subscriptions come and go while others notify") {
  Hub hub;
  const JobId job = some_job();
  std::atomic<bool> over{false};
  std::thread notifies([&] {
    for (int64_t step = 0; !over; ++step) hub.progress(job, {step, step});
  });
  for (int i = 0; i < 20'000; ++i) hub.subscribe(job)->take_progress();
  over = true;
  notifies.join();
  CHECK(hub.watchers() == 0);
}
