// A compiler as a child process. Its input and outputs are files in memory, so neither side can wait for the other.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "engine/device/gpu/compilers.h"

namespace quarry::device::gpu {

namespace {

constexpr rlim_t kMostMemoryBytes = rlim_t{4} << 30;  // clang takes 0.2 GiB for the largest kernels
constexpr size_t kMostOutputBytes = size_t{64} << 20;
constexpr std::chrono::milliseconds kLook{2};  // between looks at the child: a kernel takes 100 ms

class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : descriptor_(memfd_create(name, MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  int descriptor() const { return descriptor_; }

  bool write(const std::string& text) const {
    for (size_t done = 0; done < text.size();) {
      const ssize_t count = ::pwrite(descriptor_, text.data() + done, text.size() - done, static_cast<off_t>(done));
      if (count <= 0) return false;
      done += static_cast<size_t>(count);
    }
    return true;
  }
  std::string read() const {
    const off_t end = ::lseek(descriptor_, 0, SEEK_END);
    std::string text(std::min(static_cast<size_t>(end < 0 ? 0 : end), kMostOutputBytes), '\0');
    const ssize_t count = ::pread(descriptor_, text.data(), text.size(), 0);
    text.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return text;
  }

 private:
  int descriptor_;
};

// Only what is safe after a fork of a process with threads.
[[noreturn]] void become(char* const* arguments, int input, int output, int errors, rlim_t seconds) {
  const rlimit memory{kMostMemoryBytes, kMostMemoryBytes}, time{seconds, seconds}, none{0, 0};
  ::setrlimit(RLIMIT_AS, &memory);
  ::setrlimit(RLIMIT_CPU, &time);
  ::setrlimit(RLIMIT_CORE, &none);
  // The process may hold sockets and other tenants' files that a compiler must not have.
  if (::dup2(input, 0) == 0 && ::dup2(output, 1) == 1 && ::dup2(errors, 2) == 2 && ::close_range(3, ~0U, 0) == 0)
    ::execvp(arguments[0], arguments);
  ::_exit(127);
}

Problem child_problem(const char* what) {
  return {"device_error", std::string(what) + ": " + std::strerror(errno), "", ""};
}

// False when the time is over: the child is then killed and gone.
bool wait_for(pid_t child, int seconds, int& status) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (true) {
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (done == child || (done < 0 && errno != EINTR)) return true;
    if (std::chrono::steady_clock::now() > end) break;
    std::this_thread::sleep_for(kLook);
  }
  ::kill(child, SIGKILL);
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return false;
}

}  // namespace

Result<Finished> run_child(const std::vector<std::string>& command, const std::string& input, int seconds) {
  const MemoryFile in("compiler's input"), out("compiler's output"), errors("compiler's errors");
  if (in.descriptor() < 0 || out.descriptor() < 0 || errors.descriptor() < 0 || !in.write(input))
    return child_problem("cannot make a file in memory");
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return child_problem("cannot start a compiler");
  if (child == 0)
    become(arguments.data(), in.descriptor(), out.descriptor(), errors.descriptor(), static_cast<rlim_t>(seconds));
  Finished finished;
  if (!wait_for(child, seconds, finished.status))
    return Problem{"compiler_timeout", command[0] + " took longer than " + std::to_string(seconds) + " s", "", ""};
  finished.output = out.read();
  finished.errors = errors.read();
  return finished;
}

}  // namespace quarry::device::gpu
