// Starting another program and telling how it ended. Who starts it waits for it: a child that nobody waits for stays a
// zombie.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"

namespace quarry {

struct ChildOptions {
  std::vector<std::string> arguments;                   ///< [0] is the program's path
  std::optional<std::vector<std::string>> environment;  ///< "NAME=value"; nullopt: this process's own
  /// (number here, number in the child). 0, 1 and 2 are /dev/null unless they are named; no other descriptor of this
  /// process is open in the child.
  std::vector<std::pair<int, int>> descriptors;
  int death_signal = SIGKILL;                   ///< the child gets it when the calling thread ends; 0: none
  std::optional<std::pair<uid_t, gid_t>> user;  ///< whom the child becomes, without other groups; needs root
};

/// The child is in a session of its own, so a Ctrl-C at the terminal reaches its parent alone; no signal is blocked or
/// ignored in it, and its working directory is "/". Problem "cannot_start": also when the program cannot be executed.
Result<pid_t> start_child(const ChildOptions& options);

/// Waits for the end of a child: its status, as of waitpid().
int wait_for_child(pid_t child);

/// "exited with status 1", "was killed by Segmentation fault".
std::string describe_end(int status);

/// Whether the end is a crash's: a signal that faulty code raises. A status of 128 + n counts as signal n, which is
/// how a process passes on its child's end.
bool ended_by_fault(int status);

}  // namespace quarry
