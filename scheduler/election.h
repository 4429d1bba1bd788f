// Seeks the leadership, and holds it, on a thread and a connection of its own: a long transaction elsewhere must not
// cost it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/clock.h"
#include "sql/store.h"

namespace quarry::scheduler {

/// Opens a connection; throws sql::StoreUnavailable.
using OpenStore = std::function<std::unique_ptr<sql::Store>()>;

class Election {
 public:
  struct Handlers {  ///< called on the election's thread
    std::function<void(int64_t epoch)> won;
    std::function<void()> lost;
  };
  /// `address` is where servers reach this candidate, which must listen there already: a row that still names the
  /// address then belongs to a process that is gone, and is taken over at once.
  Election(OpenStore open, std::string holder, std::string address, std::chrono::milliseconds ttl, const Clock& clock,
           Handlers handlers);
  /// Resigns, if it leads.
  ~Election();

 private:
  void run();
  void round(std::unique_ptr<sql::Store>& store);
  void take_over_own_address(sql::Store& store);
  void set_epoch(int64_t epoch);
  bool sleep();  // false: stopped

  const OpenStore open_;
  const std::string holder_, address_;
  const std::chrono::milliseconds ttl_;
  const Clock& clock_;
  const Handlers handlers_;
  int64_t epoch_ = 0;  // 0: not leading
  Instant held_until_;
  bool first_round_ = true;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quarry::scheduler
