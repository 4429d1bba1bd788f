// One executor process as the agent sees it: started with nothing but its socket, read and written without blocking,
// killed and reaped.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "worker/local_protocol.h"

namespace quarry::worker {

struct ExecutorSpec {
  std::string program;  ///< path of quarry-executor
  std::string device;   ///< selector
  std::string cache;    ///< directory of compiled kernels; made when it is missing. Their hashes are beside it
  bool drop_new_kernels = false;  ///< those that the executor before has compiled are not to be trusted
  uint32_t first_unit = 0, units = 0;
  uint64_t memory_bytes = 0;  ///< 0: all of the device's
  uint32_t user_id = 0;       ///< becomes this user when the agent is root
  /// What the kernels of a job that is new to the executor may take to be compiled: `base`, which is also what any one
  /// of them may take, and `per_kernel` for each, up to `longest`. On an idle machine a kernel takes 0.1 s, a large one
  /// 3 s.
  struct CompileLimit {
    std::chrono::milliseconds base{120'000}, per_kernel{5'000}, longest{std::chrono::hours(6)};
  };
  CompileLimit compile_limit;
  /// How long it may take to open its device, and how long a job waits for one that can: then the device is in trouble.
  std::chrono::milliseconds start_limit{60'000};
};

/// Executors become users from here on: above what Debian, systemd and container tools hand out; 2^26 of them are below
/// 2^31.
inline constexpr uint32_t kFirstExecutorUser = 1'999'000'000;

class ExecutorProcess : public std::enable_shared_from_this<ExecutorProcess> {
 public:
  struct Handlers {
    /// A message that passed decoding; whether it makes sense is for the receiver to judge.
    std::function<void(FromExecutor, std::vector<FileDescriptor>)> on_message;
    /// Once, when the process has ended and everything it sent was delivered. `faulted`: it crashed or
    /// broke the protocol.
    std::function<void(const std::string& reason, bool faulted)> on_exit;
  };
  static Result<std::shared_ptr<ExecutorProcess>> start(boost::asio::io_context& io, const ExecutorSpec& spec,
                                                        Handlers handlers);
  ExecutorProcess(boost::asio::io_context& io, int pid, FileDescriptor socket, FileDescriptor process,
                  Handlers handlers);
  ~ExecutorProcess();

  void send(const ToExecutor& message, std::vector<FileDescriptor> files = {});
  /// Ends the process; on_exit follows with `reason`.
  void kill(const std::string& reason);
  /// Forgets the handlers and ends the process.
  void abandon();
  int pid() const { return pid_; }

 private:
  void watch();
  void wait_readable();
  void wait_writable();
  bool deliver(size_t at_most);
  void part();
  void misbehaved(const std::string& how);
  void exited();

  int pid_;
  Handlers handlers_;
  boost::asio::posix::stream_descriptor socket_, process_;
  boost::asio::steady_timer parting_;  ///< from its socket closing to its end
  std::deque<Packet> unsent_;
  bool writing_ = false, reaped_ = false, misbehaved_ = false;
  std::string kill_reason_;
};

}  // namespace quarry::worker
