// The executor: owns one slice of a device, runs the jobs that its agent sends, one after the other. Knows no network,
// no credentials, no names of files: everything comes and goes through its socket.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "common/clock.h"
#include "engine/device/device.h"
#include "worker/local_protocol.h"
#include "worker/mapped_blobs.h"
#include "worker/program_cache.h"

namespace quarry::worker {

class Executor {
 public:
  Executor(FileDescriptor socket, device::Device& device, uint64_t memory_bytes, const Clock& clock);
  /// Returns when the agent closes its end, with a Problem when the agent broke the protocol.
  Status serve();

 private:
  struct Job {
    StartJob start;
    std::vector<MappedBlob> blobs;
    bool cancelled = false;
    bool in_first_step = false;  ///< of a program that is new: kernels may still be compiled as they are launched
    int64_t kernels = 0;
  };
  struct Outputs {
    std::vector<InlineOutput> small;
    size_t small_bytes = 0;
  };

  Status receive(bool wait);
  Status handle(AttachBlobs message, std::vector<FileDescriptor> files);
  Status handle(StartJob message, std::vector<FileDescriptor> files);
  Status handle(CancelJob message, std::vector<FileDescriptor> files);
  Status handle(Calibrate message, std::vector<FileDescriptor> files);

  void measure(const Calibrate& wanted);
  void bring_next_to_front();
  void run_next_job();
  Result<JobDone> run(Job& job);
  bool observe_compiling(Job& job, size_t compiled, size_t of);
  bool observe_steps(Job& job, const run::StepReport& report);
  bool go_on(const Job& job);
  void tell(const Job& job, JobPhase phase, int64_t done, int64_t total);
  Status collect(const Job& job, const graph::JobDocument& document, const ProgramCache::Prepared& prepared,
                 Outputs& outputs);
  Status give(uint64_t ticket, bool carried, const std::string& name, std::vector<std::byte> bytes, Outputs& outputs);
  void send(const FromExecutor& message, std::vector<FileDescriptor> files = {});

  FileDescriptor socket_;
  device::Device& device_;
  uint64_t memory_bytes_;
  const Clock& clock_;
  ProgramCache programs_;
  std::deque<Job> jobs_;                 ///< the front one runs
  std::map<uint64_t, uint64_t> served_;  ///< tenants with jobs here that had a turn: the number of their last one
  uint64_t turns_ = 0;
  std::vector<MappedBlob> attached_;  ///< of the job whose StartJob comes next
  uint64_t attached_ticket_ = 0;
  std::optional<Calibrate> calibrate_;
  std::optional<Problem> closed_;          ///< why there is no more to receive
  Instant last_look_{}, last_progress_{};  ///< for a cancel; of the job that runs
};

}  // namespace quarry::worker
