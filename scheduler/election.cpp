#include "scheduler/election.h"

#include <utility>

#include "common/log.h"

namespace quarry::scheduler {

Election::Election(OpenStore open, std::string holder, std::string address, std::chrono::milliseconds ttl,
                   const Clock& clock, Handlers handlers)
    : open_(std::move(open)),
      holder_(std::move(holder)),
      address_(std::move(address)),
      ttl_(ttl),
      clock_(clock),
      handlers_(std::move(handlers)),
      thread_([this] { run(); }) {}

Election::~Election() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool Election::sleep() {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, ttl_ / 3, [&] { return stopping_; });
}

void Election::run() {
  std::unique_ptr<sql::Store> store;
  bool down = false;  // said once, not with each try
  do {
    try {
      if (!store) store = open_();
      round(store);
      down = false;
    } catch (const sql::StoreUnavailable& error) {
      if (!std::exchange(down, true))
        spdlog::warn("the election cannot reach PostgreSQL, trying again: {}", error.what());
      store.reset();
    }
    // By our own clock, counted from before the last answered question: never later than by the database's.
    if (epoch_ != 0 && clock_.now() >= held_until_) set_epoch(0);
  } while (sleep());
  if (epoch_ == 0 || !store) return;
  try {
    store->resign(epoch_);
  } catch (const sql::StoreUnavailable&) {
    // The row runs out by itself.
  }
}

void Election::round(std::unique_ptr<sql::Store>& store) {
  if (std::exchange(first_round_, false)) take_over_own_address(*store);
  const Instant asked = clock_.now();
  const sql::Leader leader = store->try_lead(holder_, address_, ttl_);
  if (leader.mine) held_until_ = asked + ttl_;
  set_epoch(leader.mine ? leader.epoch : 0);
}

void Election::take_over_own_address(sql::Store& store) {
  const auto leader = store.current_leader();
  if (!leader || leader->address != address_ || leader->holder == holder_) return;
  spdlog::info("taking over from {}, which led from this address and no longer listens here", leader->holder);
  store.resign(leader->epoch);
}

void Election::set_epoch(int64_t epoch) {
  if (epoch == epoch_) return;
  if (std::exchange(epoch_, epoch) != 0) handlers_.lost();
  if (epoch != 0) handlers_.won(epoch);
}

}  // namespace quarry::scheduler
