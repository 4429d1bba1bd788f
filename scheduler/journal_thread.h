// The thread that speaks to PostgreSQL for the leader. It does one piece of work at a time; what the leader decides
// meanwhile joins the next.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "scheduler/election.h"
#include "scheduler/journal.h"

namespace quarry::scheduler {

class JournalThread {
 public:
  explicit JournalThread(OpenStore open);
  ~JournalThread();  ///< finishes the work under way, drops the rest

  /// Callbacks run on this thread: post to your own and return. A later call replaces one that has not begun: it is of
  /// a newer term. nullopt: PostgreSQL did not answer, and the effect of the work is unknown. Loading is repeated until
  /// it succeeds.
  void load(std::function<void(Snapshot)> done);
  void perform(int64_t leader_epoch, Work work, std::function<void(std::optional<Answer>)> done);

 private:
  void run();
  void submit(std::function<void(sql::Store&)> task, std::function<bool()> failed);

  const OpenStore open_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void(sql::Store&)> task_;
  std::function<bool()> failed_;  // true: try again
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quarry::scheduler
