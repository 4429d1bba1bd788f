// The agent: takes leases from the server, sees to their blobs, hands them to the slices' executors, and answers for
// each exactly once per session, as often as it takes to be heard. Has the network and no device; knows no graph.
//
// Threading: the io_context's thread, and only it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/random.h"
#include "worker/blob_cache.h"
#include "worker/blob_fetcher.h"
#include "worker/blob_uploader.h"
#include "worker/gate.h"
#include "worker/rate_card.h"
#include "worker/result_delivery.h"
#include "worker/slice.h"

namespace quarry::worker {

struct AgentOptions {
  std::string device_key;            ///< selector of the device, e.g. "opencl:0"
  std::vector<ExecutorSpec> slices;  ///< of that device, at least one
  int32_t slots_per_slice = 8;
  std::string rate_card_file;
  std::chrono::milliseconds (*next_measurement)(int) = worker::next_measurement;
  GateAddress gate;
  wire::TlsFiles tls;
};

class Agent {
 public:
  struct Handlers {
    std::function<void(const std::string& description)> on_serving;  ///< once, with the first session
    std::function<void(const std::string& problem)> on_fatal;        ///< the device cannot be opened at the first start
    std::function<void()> on_drained;                                ///< after drain()
  };
  Agent(boost::asio::io_context& io, AgentOptions options, BlobCache& cache, RandomSource& random, Handlers handlers);

  void start();
  /// Takes no more leases, lets what runs finish within a bound, gives the rest back as "drained".
  void drain();
  /// For tests: the process of a slice's executor.
  int executor_pid(size_t slice) const { return slices_.at(slice)->executor_pid(); }

 private:
  enum class Stage { Fetching, Running, Delivering, Answering };
  struct Attempt {
    wire::Lease lease;
    uint64_t ticket = 0;
    size_t slice = 0;
    Stage stage = Stage::Fetching;
    std::vector<BlobKey> keys;                  ///< the graph, then each blob of the inputs once
    std::vector<std::optional<BlobPin>> blobs;  ///< in the order of keys
    size_t missing = 0;
    bool waits_for_room = false;  ///< in the cache; holds no blob meanwhile
    std::string code_for_cancelled = "cancelled";
    wire::Completion completion;
    std::shared_ptr<ResultDelivery> delivery;
    int repeats = 0;  ///< of the delivery
  };
  using AttemptPtr = std::shared_ptr<Attempt>;

  // start (agent_start.cpp)
  Slice::Handlers slice_handlers(size_t slice);
  void slice_ready(size_t slice, const Ready& ready);
  void calibrated(const Calibrated& figures);
  void measure_later();
  bool idle() const { return attempts_.empty(); }
  void dial_when_ready();
  wire::Hello make_hello() const;

  // leases (agent.cpp)
  void session(const wire::Welcome& welcome, bool resumed);
  void received(wire::Message message);
  void handle(wire::Leases& message);
  void handle(const wire::Cancels& message);
  void handle(const wire::CompletionResults& message);
  void take(wire::Lease lease);
  void said_again(const Attempt& attempt);
  void list_blobs(Attempt& attempt);
  void fetch(const AttemptPtr& attempt);
  void fetched(const AttemptPtr& attempt, size_t blob, Result<BlobPin> pin);
  bool wait_for_room(Attempt& attempt);
  void room_may_be_free();
  void run(const AttemptPtr& attempt);
  LocalJob make_local_job(Attempt& attempt);
  void cancel(const AttemptPtr& attempt, const std::string& code);
  void forget(const AttemptPtr& attempt);

  // answers (agent_answers.cpp)
  void progressed(const JobProgress& progress);
  void finished(uint64_t ticket, LocalResult result);
  void failed(uint64_t ticket, const std::string& code, const std::string& detail);
  void remember_compiled(const Digest& graph);
  void delivered(const AttemptPtr& attempt, Result<Delivered> result);
  void answered(const AttemptPtr& attempt, const wire::CompletionResult& result);
  void fail(const wire::Fence& fence, const std::string& code, const std::string& detail);
  void send_soon();
  void send_answers();
  void send_progress();
  void end_drain_if_idle();

  boost::asio::io_context& io_;
  const AgentOptions options_;
  BlobCache& cache_;
  Handlers handlers_;
  Gate gate_;
  BlobFetcher fetcher_;
  BlobUploader uploader_;
  std::vector<std::unique_ptr<Slice>> slices_;
  std::vector<std::optional<Ready>> ready_;  ///< by slice, as first reported
  std::optional<RateCard> rate_card_;
  int measurements_ = 0;      ///< after the first
  bool measure_due_ = false;  ///< the device was busy when it was due
  std::map<SliceId, size_t> slice_by_id_;
  std::vector<Digest> compiled_;  ///< graphs that ran here, the latest last; at most wire::kMaxCompiledGraphs
  wire::SessionKey session_;
  bool dialled_ = false, serving_ = false, draining_ = false, drained_ = false;

  uint64_t next_ticket_ = 1;
  std::unordered_map<uint64_t, AttemptPtr> attempts_;
  std::map<wire::Fence, AttemptPtr> by_fence_;
  std::deque<uint64_t> waiting_for_room_;       ///< tickets, the first come first
  std::vector<wire::Completion> completions_;   ///< to be sent in this turn
  std::vector<wire::AttemptFailure> failures_;  ///< likewise
  std::deque<wire::AttemptFailure>
      last_failures_;  ///< nobody answers a failure: said again on a new link of the session
  std::map<wire::Fence, wire::AttemptProgress> progress_;
  bool send_posted_ = false;
  boost::asio::steady_timer progress_timer_, drain_limit_, measure_timer_;
};

}  // namespace quarry::worker
