// One worker's link, from its Hello to its end. Runs on the gate's thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "server/gate/blob_transfer.h"
#include "server/gate/held_leases.h"
#include "sql/store.h"
#include "wire/link.h"

namespace quarry::server {

class BoxSession;

/// What a session needs of the gate; outlives it.
class GateHost {
 public:
  virtual ~GateHost() = default;
  virtual boost::asio::io_context& io() = 0;
  virtual Database& database() = 0;
  virtual WorkPool& work() = 0;
  virtual BlobStore& blobs() = 0;
  virtual Hub& hub() = 0;
  virtual Metrics& metrics() = 0;
  /// The session is open: its link gets the leases from now on, in place of any earlier link of the same session.
  virtual void opened(const std::shared_ptr<BoxSession>& session) = 0;
  virtual void ended(BoxSession& session) = 0;
  virtual void seen(const wire::SessionKey& session) = 0;
  virtual void tell_scheduler(wire::AttemptEnded ended) = 0;
  virtual void compiled(BoxSession& session, const std::vector<uint64_t>& graphs) = 0;
};

class BoxSession : public std::enable_shared_from_this<BoxSession> {
 public:
  BoxSession(GateHost& host, std::shared_ptr<wire::Link> link);

  void start();
  void close();
  /// Sends leases on to the worker, and notes what they let it read.
  void lease(std::vector<wire::Lease> leases);
  void cancel(std::vector<wire::Fence> fences, const std::string& reason);
  const wire::SessionUp& up() const { return up_; }
  /// The graphs that the box has said it compiled, the latest last.
  const std::vector<uint64_t>& compiled() const { return compiled_; }
  bool is_open() const { return open_; }

 private:
  void received(wire::Message message);
  void closed(const std::string& reason);
  void refuse(const std::string& code, const std::string& detail);
  Awaitable<void> open(wire::Hello hello);
  void handle(wire::Progress progress);
  void handle(wire::Completions completions);
  void handle(wire::Failures failures);
  void handle(const wire::Compiled& compiled);
  void handle(wire::Rates rates);
  /// Whether the fence is of this session: what another box runs is not for this one to end, however well it guesses.
  /// Epochs are unique among sessions.
  bool is_ours(const wire::Fence& fence) const { return fence.session_epoch == up_.session.epoch; }
  /// Every produced value travelled inline or was delivered by this session. The journal looks at the rest.
  bool is_backed(const wire::Completion& completion) const;
  void not_backed(const wire::Completion& completion);
  void submit(std::shared_ptr<const wire::Completion> completion);
  void submit(std::shared_ptr<const wire::AttemptFailure> failure);
  void retry(std::function<void()> again);
  void completed(const sql::CompletionOutcome& outcome, uint64_t compile_ns);
  void failed(const wire::AttemptFailure& failure, const sql::FailureOutcome& outcome);
  /// Results of one turn of the loop leave in one message.
  void answer(wire::CompletionResult result);

  GateHost& host_;
  std::shared_ptr<wire::Link> link_;
  std::shared_ptr<BlobTransfer> blobs_;
  BoxId box_{};
  wire::SessionUp up_;
  HeldLeases leases_;
  std::vector<wire::CompletionResult> answers_;
  std::vector<uint64_t> compiled_;
  bool greeted_ = false, open_ = false, gone_ = false;
};

}  // namespace quarry::server
