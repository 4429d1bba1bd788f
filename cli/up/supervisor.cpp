#include "cli/up/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include "common/child_process.h"

namespace quarry::cli {
namespace {

constexpr int kTendEveryMs = 100;
constexpr std::chrono::seconds kHealthyAfter{10};  // a child that lived this long starts counting crashes anew

std::string last_lines(const std::filesystem::path& file, size_t count) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
    if (lines.size() > count) lines.erase(lines.begin());
  }
  std::string text;
  for (const auto& line : lines) text += "\n    " + line;
  return text;
}

bool told_to_stop() {
  sigset_t pending;
  return sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1);
}

}  // namespace

void bound_logs(const std::filesystem::path& folder, uint64_t most_bytes) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (at->path().extension() != ".log" || at->file_size(gone) <= most_bytes || gone) continue;
    fs::copy_file(at->path(), at->path().string() + ".1", fs::copy_options::overwrite_existing, gone);
    fs::resize_file(at->path(), 0, gone);
  }
}

Supervisor::~Supervisor() {
  stop();
}

Result<int> Supervisor::spawn(Child& child, bool to_log) {
  int pipe_ends[2] = {-1, -1};
  const int log = open(child.spec.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0 || (!to_log && pipe2(pipe_ends, O_CLOEXEC) != 0)) {
    if (log >= 0) close(log);
    return Problem{"cannot_start", "cannot open " + child.spec.log.string() + ": " + std::strerror(errno), "", ""};
  }
  const auto started = start_child({.arguments = child.spec.arguments,
                                    .descriptors = {{to_log ? log : pipe_ends[1], STDOUT_FILENO}, {log, STDERR_FILENO}},
                                    .death_signal = SIGTERM});
  close(log);
  if (!to_log) close(pipe_ends[1]);
  if (!started.ok()) {
    if (!to_log) close(pipe_ends[0]);
    return started.problem();
  }
  child.pid = *started;
  child.started = clock_.now();
  return pipe_ends[0];
}

Result<std::string> Supervisor::start(ChildSpec spec) {
  Child child;
  child.spec = std::move(spec);
  QUARRY_ASSIGN(const int output, spawn(child, false));
  const auto fail = [&](const std::string& how) {
    close(output);
    kill(child.pid, SIGKILL);
    wait_for_child(child.pid);
    return Problem{"cannot_start", "the " + child.spec.name + " " + how + last_lines(child.spec.log, 5), "",
                   "Its log is " + child.spec.log.string() + "."};
  };
  std::string text;
  for (const Instant deadline = clock_.now() + kReadyTimeout; clock_.now() < deadline;) {
    tend([](const std::string&, const std::string&) {});  // those that this one needs may die meanwhile
    if (told_to_stop()) return fail("was not ready yet when it was told to stop");
    pollfd ready{output, POLLIN, 0};
    if (poll(&ready, 1, kTendEveryMs) <= 0) continue;
    char chunk[512];
    const ssize_t got = read(output, chunk, sizeof chunk);
    if (got == 0) return fail("ended before it was ready");
    if (got > 0) text.append(chunk, static_cast<size_t>(got));
    const auto at = text.find("ready");
    const auto end = at == std::string::npos ? at : text.find('\n', at);
    if (end == std::string::npos) continue;
    close(output);
    children_.push_back(std::move(child));
    return text.substr(at + 5, end - at - 5);
  }
  return fail("did not become ready in time");
}

void Supervisor::tend(const std::function<void(const std::string&, const std::string&)>& on_restart) {
  for (Child& child : children_) {
    int status = 0;
    if (child.pid > 0 && waitpid(child.pid, &status, WNOHANG) == child.pid) {
      child.pid = -1;
      child.crashes_in_a_row = clock_.now() - child.started > kHealthyAfter ? 1 : child.crashes_in_a_row + 1;
      const auto pause = std::min(kSlowestRestart, kFirstRestart * (1 << std::min(child.crashes_in_a_row - 1, 10)));
      child.restart_at = clock_.now() + pause;
      on_restart(child.spec.name, describe_end(status));
    }
    if (child.pid < 0 && clock_.now() >= child.restart_at) {
      if (!spawn(child, true).ok()) child.restart_at = clock_.now() + kSlowestRestart;
    }
  }
}

void Supervisor::stop() {
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    if (child->pid <= 0) continue;
    kill(child->pid, SIGTERM);
    const Instant deadline = clock_.now() + kStopTimeout;
    while (waitpid(child->pid, nullptr, WNOHANG) == 0) {
      if (clock_.now() > deadline) kill(child->pid, SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    child->pid = -1;
  }
  children_.clear();
}

}  // namespace quarry::cli
