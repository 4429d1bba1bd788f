#include "worker/executor_process.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "common/child_process.h"

namespace quarry::worker {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

/// Messages handled before other work of the agent gets its turn.
constexpr size_t kMessagesPerTurn = 64;
constexpr int kSocketInChild = 3;
constexpr std::chrono::seconds kPartingTime{2};

std::vector<std::string> make_arguments(const ExecutorSpec& spec) {
  std::vector<std::string> arguments{spec.program,
                                     "--device",
                                     spec.device,
                                     "--cache",
                                     spec.cache,
                                     "--seal",
                                     spec.cache + ".seal",
                                     "--first-unit",
                                     std::to_string(spec.first_unit),
                                     "--units",
                                     std::to_string(spec.units),
                                     "--memory",
                                     std::to_string(spec.memory_bytes),
                                     "--user",
                                     std::to_string(spec.user_id)};
  if (spec.drop_new_kernels) arguments.push_back("--drop-new-kernels");
  return arguments;
}

/// The whole environment of an executor: nothing of the agent's own is passed on but its log level.
std::vector<std::string> make_environment(const ExecutorSpec& spec) {
  std::vector<std::string> environment{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + spec.cache,
                                       "POCL_CACHE_DIR=pocl"};  // in its working directory, the cache
  if (const char* level = std::getenv("QUARRY_LOG")) environment.push_back(std::string("QUARRY_LOG=") + level);
  return environment;
}

}  // namespace

Result<std::shared_ptr<ExecutorProcess>> ExecutorProcess::start(asio::io_context& io, const ExecutorSpec& spec,
                                                                Handlers handlers) {
  std::error_code error;
  std::filesystem::create_directories(spec.cache, error);
  if (error) return Problem{"system_error", "cannot create " + spec.cache + ": " + error.message(), "", ""};
  QUARRY_ASSIGN(auto ends, make_local_pair());
  QUARRY_ASSIGN(const pid_t pid,
                start_child({.arguments = make_arguments(spec),
                             .environment = make_environment(spec),
                             .descriptors = {{STDERR_FILENO, STDERR_FILENO}, {ends.second.get(), kSocketInChild}}}));
  FileDescriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    const Problem problem = system_problem("cannot watch an executor");
    ::kill(pid, SIGKILL);
    wait_for_child(pid);
    return problem;
  }
  auto self =
      std::make_shared<ExecutorProcess>(io, pid, std::move(ends.first), std::move(process), std::move(handlers));
  self->watch();
  return self;
}

ExecutorProcess::ExecutorProcess(asio::io_context& io, int pid, FileDescriptor socket, FileDescriptor process,
                                 Handlers handlers)
    : pid_(pid),
      handlers_(std::move(handlers)),
      socket_(io, socket.release()),
      process_(io, process.release()),
      parting_(io) {}

ExecutorProcess::~ExecutorProcess() {
  if (reaped_) return;
  ::kill(pid_, SIGKILL);
  wait_for_child(pid_);
}

void ExecutorProcess::watch() {
  process_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
    if (!error) self->exited();
  });
  wait_readable();
}

void ExecutorProcess::wait_readable() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
    if (!error && self->deliver(kMessagesPerTurn)) self->wait_readable();
  });
}

/// False when there will be nothing more: closed, or the executor broke the protocol and is killed.
bool ExecutorProcess::deliver(size_t at_most) {
  for (size_t i = 0; i < at_most; ++i) {
    auto packet = receive_packet(socket_.native_handle(), false);
    if (!packet.ok()) {
      if (packet.problem().code == "closed") {
        part();
      } else {
        misbehaved("broke the local protocol: " + packet.problem().detail);
      }
      return false;
    }
    if (!packet->has_value()) return true;
    auto message = decode_from_executor((**packet).bytes);
    if (!message.ok()) {
      misbehaved("broke the local protocol: " + message.problem().detail);
      return false;
    }
    const auto on_message = handlers_.on_message;  // a copy: the receiver may abandon this process meanwhile
    if (on_message) on_message(std::move(*message), std::move((**packet).descriptors));
  }
  return true;
}

/// Its socket is closed, so it is ending; one that only closed its socket is made to.
void ExecutorProcess::part() {
  parting_.expires_after(kPartingTime);
  parting_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->misbehaved("closed its socket");
  });
}

void ExecutorProcess::exited() {
  parting_.cancel();
  const int status = wait_for_child(pid_);
  reaped_ = true;
  if (kill_reason_.empty()) {
    // What it sent before it ended counts: only the job that it had not answered is lost.
    kill_reason_ = describe_end(status);
    deliver(SIZE_MAX);
  }
  error_code ignored;
  socket_.close(ignored);
  const auto on_exit = std::move(handlers_.on_exit);
  handlers_ = {};
  if (on_exit) on_exit(kill_reason_, misbehaved_ || ended_by_fault(status));
}

void ExecutorProcess::send(const ToExecutor& message, std::vector<FileDescriptor> files) {
  unsent_.push_back({encode(message), std::move(files)});
  if (!writing_) wait_writable();
}

void ExecutorProcess::wait_writable() {
  while (!unsent_.empty()) {
    auto sent = send_packet(socket_.native_handle(), unsent_.front(), false);
    if (!sent.ok()) {
      unsent_.clear();
      if (sent.problem().code != "closed") kill("could not be spoken to: " + sent.problem().detail);
      return;  // a closed socket is noticed by the reading side
    }
    if (!*sent) {
      writing_ = true;
      socket_.async_wait(asio::posix::stream_descriptor::wait_write, [self = shared_from_this()](error_code error) {
        self->writing_ = false;
        if (!error) self->wait_writable();
      });
      return;
    }
    unsent_.pop_front();
  }
}

void ExecutorProcess::misbehaved(const std::string& how) {
  misbehaved_ = true;
  kill(how);
}

void ExecutorProcess::kill(const std::string& reason) {
  if (reaped_ || !kill_reason_.empty()) return;
  kill_reason_ = reason;
  ::kill(pid_, SIGKILL);
}

void ExecutorProcess::abandon() {
  handlers_ = {};
  kill("abandoned");
}

}  // namespace quarry::worker
