#include "engine/run/pacer.h"

#include <catch2/catch.hpp>

using namespace quarry::run;
using namespace std::chrono_literals;

namespace {

struct Queue {
  Pacer::Clock::time_point now{};
  Pacer pacer{now};
  int64_t in_flight = 0, waits = 0;
  Pacer::Clock::duration longest{};

  // Queues a launch that keeps the device busy for `cost` and the host for no time.
  void launch(Pacer::Clock::duration cost) {
    ++in_flight;
    if (!pacer.launched(now)) return;
    longest = std::max(longest, in_flight * cost);
    now += in_flight * cost;
    in_flight = 0;
    ++waits;
    pacer.waited(now);
  }
};

}  // namespace

TEST_CASE("the host waits about ten times a second, whatever a launch costs") {
  for (const Pacer::Clock::duration cost :
       {std::chrono::nanoseconds(50us), std::chrono::nanoseconds(1ms), std::chrono::nanoseconds(30ms)}) {
    Queue queue;
    while (queue.now < Pacer::Clock::time_point(10s)) queue.launch(cost);
    CHECK(queue.waits >= 50);
    CHECK(queue.waits <= 220);
    CHECK(queue.longest <= 250ms);
  }
}

TEST_CASE("launches longer than the interval are waited for one by one") {
  Queue queue;
  for (int i = 0; i < 100; ++i) queue.launch(std::chrono::seconds(1));
  CHECK(queue.longest == 1s);
}

TEST_CASE("a queue of free launches stays bounded, so that dear ones after them are not queued by the million") {
  Queue queue;
  for (int i = 0; i < 1'000'000; ++i) queue.launch(Pacer::Clock::duration(1));
  const int64_t waits = queue.waits;
  for (int i = 0; i < 5000; ++i) queue.launch(1ms);
  CHECK(queue.waits > waits);
  CHECK(queue.longest <= 5s);
}
