// One slice: an executor process that is kept alive, and the jobs handed to it. Several are handed over ahead, so that
// the device never waits for the network; the executor lets tenants take turns among them, and says which one it runs.
// That one is at the front here.
//
// A crash costs the front job one attempt and nothing else: the others are handed to the next executor. When none
// comes up for long, they fail, so that another box may have them. Threading: the io_context's thread.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/blob_cache.h"
#include "worker/executor_process.h"

namespace quarry::worker {

/// A job whose blobs are all here.
struct LocalJob {
  StartJob start;
  std::vector<BlobPin> blobs;  ///< blob 0 is the graph
  uint32_t time_limit_ms = 0;
};

/// One output of a finished job: a memory file of the executor's, or its bytes.
struct LocalOutput {
  bool carried = false;
  std::string name;
  uint64_t bytes = 0;
  FileDescriptor file;  ///< valid when the bytes are not inline
  std::vector<std::byte> small;
};
struct LocalResult {
  std::vector<LocalOutput> outputs;
  uint64_t device_ns = 0, compile_ns = 0;
};

class Slice {
 public:
  struct Handlers {
    std::function<void(const Ready&)> on_ready;               ///< each time an executor has started
    std::function<void(const std::string&)> on_cannot_serve;  ///< the device cannot be opened; it is tried again
    std::function<void(const JobProgress&)> on_progress;
    std::function<void(uint64_t ticket, LocalResult)> on_done;
    std::function<void(uint64_t ticket, const std::string& code, const std::string& detail)> on_failed;
    std::function<void(const Calibrated&)> on_calibrated;
  };
  Slice(boost::asio::io_context& io, ExecutorSpec spec, Handlers handlers);
  ~Slice();

  void start();
  /// on_calibrated follows, unless the executor ends before.
  void calibrate(bool whole);
  /// Ends with exactly one on_done or on_failed, never from inside this call.
  void submit(LocalJob job);
  /// The front job stops between two launches, or with its executor when it does not within a bound. Any other fails at
  /// once, from inside this call.
  void cancel(uint64_t ticket);
  /// Ends the executor and fails what is left as `code`.
  void stop(const std::string& code, const std::string& detail);
  /// The job that the executor runs now; 0: none.
  uint64_t front() const { return ready_ && !jobs_.empty() ? jobs_.front().job.start.ticket : 0; }
  int executor_pid() const { return executor_ ? executor_->pid() : 0; }

 private:
  struct Held {
    LocalJob job;
    LocalResult result;
    bool handed_over = false;  ///< to the executor that runs now
    bool cancelled = false;
    bool reported = false;                ///< its end; the executor's answer is still to come
    std::optional<JobProgress> progress;  ///< the last of this executor
    std::chrono::steady_clock::time_point phase_since;
  };

  void launch();
  void hand_over_ahead();
  void hand_over(Held& held);
  void watch_front();
  void watch_cancelled();
  void limit_front(std::chrono::milliseconds limit, const std::string& code, const std::string& detail);
  void limit_compiling(const Held& held, const JobProgress& progress);
  std::chrono::milliseconds for_kernels(int64_t kernels) const;
  bool is_possible(const JobProgress& progress) const;
  void watch_waiting();
  void give_back_waiting();
  void kill(const std::string& code, const std::string& detail);
  void executor_ended(const std::string& reason);
  void restart_later();
  void end_front(const std::function<void(Held)>& report);
  bool is_front(uint64_t ticket);
  void protocol_error(const std::string& what);

  void handle(const Ready& message, std::vector<FileDescriptor> files);
  void handle(const CannotServe& message, std::vector<FileDescriptor> files);
  void handle(const JobStarted& message, std::vector<FileDescriptor> files);
  void handle(const JobProgress& message, std::vector<FileDescriptor> files);
  void handle(const JobOutput& message, std::vector<FileDescriptor> files);
  void handle(JobDone& message, std::vector<FileDescriptor> files);
  void handle(const JobFailed& message, std::vector<FileDescriptor> files);
  void handle(const Calibrated& message, std::vector<FileDescriptor> files);

  boost::asio::io_context& io_;
  ExecutorSpec spec_;
  Handlers handlers_;
  std::shared_ptr<ExecutorProcess> executor_;
  bool ready_ = false, stopped_ = false;
  bool waiting_ = false;  ///< jobs are, for an executor to start
  std::deque<Held> jobs_;
  bool front_started_ = false;           ///< the executor has said that it runs the front one
  size_t handed_blobs_ = 0;              ///< of the jobs that are handed over
  std::string kill_code_, kill_detail_;  ///< why this side killed the executor
  boost::asio::steady_timer time_limit_, cancel_limit_, restart_, start_limit_, wait_limit_;
  int fruitless_starts_ = 0;  ///< in a row, without a finished job
};

}  // namespace quarry::worker
