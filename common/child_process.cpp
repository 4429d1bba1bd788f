#include "common/child_process.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace quarry {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

/// All that the child needs, made before fork().
struct Plan {
  std::vector<char*> arguments, environment;
  std::vector<std::pair<int, int>> descriptors;
  int first_free = 3;  ///< above every number that the child is given
  int errors = -1;     ///< the child writes errno here when it cannot become the program
  pid_t parent = 0;
};

Plan plan(const ChildOptions& options, int errors) {
  Plan plan;
  plan.arguments = pointers(options.arguments);
  if (options.environment) plan.environment = pointers(*options.environment);
  plan.descriptors = options.descriptors;
  for (const auto& [here, there] : plan.descriptors) plan.first_free = std::max(plan.first_free, there + 1);
  plan.errors = errors;
  plan.parent = ::getpid();
  return plan;
}

// What follows runs between fork() and exec() in a process that may have had threads: system calls only.

/// Sources are moved above all targets first, so that no target overwrites a source.
bool place_descriptors(Plan& plan) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  plan.errors = ::fcntl(plan.errors, F_DUPFD_CLOEXEC, plan.first_free);
  if (null < 0 || plan.errors < 0) return false;
  for (auto& [here, there] : plan.descriptors)
    if ((here = ::fcntl(here, F_DUPFD_CLOEXEC, plan.first_free)) < 0) return false;
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::dup2(null, standard) < 0) return false;
  for (const auto& [here, there] : plan.descriptors)
    if (::dup2(here, there) < 0) return false;
  for (int number = STDERR_FILENO + 1; number < plan.first_free; ++number) {
    const bool given = std::any_of(plan.descriptors.begin(), plan.descriptors.end(),
                                   [number](const auto& descriptor) { return descriptor.second == number; });
    if (!given) ::close(number);
  }
  // What is left above closes at exec, the one for errors too.
  return ::close_range(static_cast<unsigned>(plan.first_free), ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool become_user(uid_t user, gid_t group) {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(group, group, group) == 0 && ::setresuid(user, user, user) == 0;
}

/// After the change of user, which clears it.
bool die_with_parent(int signal, pid_t parent) {
  if (signal == 0) return true;
  if (::prctl(PR_SET_PDEATHSIG, signal) != 0) return false;
  if (::getppid() != parent) ::_exit(127);  // it has ended already
  return true;
}

[[noreturn]] void become(Plan& plan, const ChildOptions& options) {
  ::setsid();
  reset_signals();
  const bool ready = place_descriptors(plan) && ::chdir("/") == 0 &&
                     (!options.user || become_user(options.user->first, options.user->second)) &&
                     die_with_parent(options.death_signal, plan.parent);
  char* const* const environment = plan.environment.empty() ? environ : plan.environment.data();
  if (ready) ::execve(plan.arguments[0], plan.arguments.data(), environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(plan.errors, &error, sizeof error);
  ::_exit(127);
}

// Here runs the parent again.

Problem cannot_start(const ChildOptions& options, int error) {
  return {"cannot_start", "cannot start " + options.arguments.at(0) + ": " + std::strerror(error), "", ""};
}

}  // namespace

Result<pid_t> start_child(const ChildOptions& options) {
  std::array<int, 2> pipe{-1, -1};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return cannot_start(options, errno);
  Plan planned = plan(options, pipe[1]);
  const pid_t child = ::fork();
  if (child == 0) become(planned, options);
  int error = child < 0 ? errno : 0;
  ::close(pipe[1]);
  while (error == 0 && ::read(pipe[0], &error, sizeof error) < 0 && errno == EINTR) error = 0;
  ::close(pipe[0]);
  if (error == 0) return child;
  if (child > 0) wait_for_child(child);
  return cannot_start(options, error);
}

int wait_for_child(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) return std::string("was killed by ") + ::strsignal(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

bool ended_by_fault(int status) {
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128;
  constexpr std::array<int, 7> kFaults{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
  return std::find(kFaults.begin(), kFaults.end(), signal) != kFaults.end();
}

}  // namespace quarry
