// Starts child programs, waits until each says "ready ...", starts them again when they die, and stops them in reverse
// order.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/result.h"

namespace quarry::cli {

/// A first start measures its device, on a machine that may be busy.
inline constexpr std::chrono::milliseconds kReadyTimeout{120'000};
inline constexpr std::chrono::milliseconds kStopTimeout{10'000};  ///< after SIGTERM, before SIGKILL
inline constexpr std::chrono::milliseconds kFirstRestart{100};    ///< doubles with each crash in a row
inline constexpr std::chrono::milliseconds kSlowestRestart{5'000};

struct ChildSpec {
  std::string name;                    ///< "server": for messages and the log's file name
  std::vector<std::string> arguments;  ///< [0] is the program
  std::filesystem::path log;           ///< stderr is appended here
};

/// Moves each *.log of the folder that is longer than `most_bytes` to *.log.1, over the one before, and empties it: its
/// writers append, so they go on at its begin. A line that is written in between may be lost.
void bound_logs(const std::filesystem::path& folder, uint64_t most_bytes = 16 << 20);

/// Not thread-safe: one thread starts, tends and stops the children.
class Supervisor {
 public:
  explicit Supervisor(const Clock& clock) : clock_(clock) {}
  ~Supervisor();  ///< stops what still runs
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Starts a child and waits for its "ready" line; returns the rest of that line. A Problem quotes the end of its log.
  /// A SIGINT or SIGTERM that the caller has blocked ends the wait.
  Result<std::string> start(ChildSpec spec);

  /// Reaps and restarts children that have died; `on_restart` is told their names. Call it about ten times a second.
  void tend(const std::function<void(const std::string& name, const std::string& how)>& on_restart);

  /// SIGTERM to the last started first, one after the other; SIGKILL after kStopTimeout.
  void stop();

 private:
  struct Child {
    ChildSpec spec;
    pid_t pid = -1;
    int crashes_in_a_row = 0;
    Instant started, restart_at;
  };
  /// Returns the read end of its stdout, or -1 when `to_log` sends stdout to the log as well.
  Result<int> spawn(Child& child, bool to_log);
  const Clock& clock_;
  std::vector<Child> children_;
};

}  // namespace quarry::cli
