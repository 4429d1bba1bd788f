// What Ctrl-C says and does while a command only looks on.
#pragma once

#include <signal.h>

#include <string>

namespace quarry::cli {

inline constexpr int kInterruptedExit = 130;  ///< as shells report SIGINT

/// While it lives, SIGINT writes the message to stderr and ends the process with kInterruptedExit. One at a time.
class OnInterrupt {
 public:
  explicit OnInterrupt(const std::string& message);
  ~OnInterrupt();
  OnInterrupt(const OnInterrupt&) = delete;
  OnInterrupt& operator=(const OnInterrupt&) = delete;

 private:
  struct sigaction before_ {};
};

}  // namespace quarry::cli
