// From a finished job to the server's answer: progress, outputs, completions, failures; and draining.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>

#include "worker/agent.h"

namespace quarry::worker {
namespace {

using boost::system::error_code;

constexpr std::chrono::milliseconds kProgressEvery{100};
constexpr std::chrono::seconds kDrainRunning{5}, kDrainAnswers{5};
/// More than the leases that can be in flight: nothing that still matters falls out.
constexpr size_t kMaxLastFailures = 2'000;
constexpr int kMaxRepeats = 3;
/// The typed failures that servers know (wire::AttemptFailure). Whatever else goes wrong on a box is its device's
/// failure.
constexpr std::array<std::string_view, 6> kTypedFailures{"cancelled",   "drained",       "executor_crashed",
                                                         "graph_error", "out_of_memory", "time_limit"};

std::string typed(const std::string& code) {
  const bool known = std::find(kTypedFailures.begin(), kTypedFailures.end(), code) != kTypedFailures.end();
  return known ? code : "device_error";
}

}  // namespace

void Agent::progressed(const JobProgress& progress) {
  const auto at = attempts_.find(progress.ticket);
  if (at == attempts_.end()) return;
  const wire::Fence& fence = at->second->lease.fence;
  const bool timer_runs = !progress_.empty();
  wire::AttemptProgress said{fence, 0, at->second->lease.steps};
  if (progress.phase == JobPhase::Running) {
    said.steps_done = progress.done;
    said.steps_total = progress.total;
  } else {  // to a renter the first step of some drivers is compiling too
    said.phase = wire::Phase::Compiling;
    said.phase_done = static_cast<uint64_t>(progress.done);
    said.phase_total = static_cast<uint64_t>(progress.total);
  }
  progress_[fence] = said;
  if (timer_runs) return;
  progress_timer_.expires_after(kProgressEvery);
  progress_timer_.async_wait([this](error_code error) {
    if (!error) send_progress();
  });
}

void Agent::send_progress() {
  wire::Progress message;
  for (const auto& [fence, progress] : progress_) message.attempts.push_back(progress);
  progress_.clear();
  gate_.send(message);  // lost while there is no link: the next one says more
}

void Agent::finished(uint64_t ticket, LocalResult result) {
  const auto at = attempts_.find(ticket);
  if (at == attempts_.end()) return;  // of a session that was lost
  const AttemptPtr attempt = at->second;
  progress_.erase(attempt->lease.fence);
  attempt->stage = Stage::Delivering;
  room_may_be_free();
  attempt->completion.fence = attempt->lease.fence;
  attempt->completion.device_ns = result.device_ns;
  attempt->completion.compile_ns = result.compile_ns;
  remember_compiled(attempt->lease.graph);
  auto done = [this, weak = std::weak_ptr(attempt)](Result<Delivered> delivered_result) {
    if (const AttemptPtr alive = weak.lock()) delivered(alive, std::move(delivered_result));
  };
  attempt->delivery = ResultDelivery::start(io_, uploader_, std::move(result.outputs), std::move(done));
}

/// What ran once is compiled here: the scheduler prefers this box for it where that saves time.
void Agent::remember_compiled(const Digest& graph) {
  if (std::find(compiled_.begin(), compiled_.end(), graph) != compiled_.end()) return;
  compiled_.push_back(graph);
  if (compiled_.size() > wire::kMaxCompiledGraphs) compiled_.erase(compiled_.begin());
  gate_.send(wire::Compiled{{graph}});
}

void Agent::delivered(const AttemptPtr& attempt, Result<Delivered> result) {
  if (!result.ok()) return failed(attempt->ticket, result.problem().code, result.problem().detail);
  attempt->completion.kept = std::move(result->kept);
  attempt->completion.carried = std::move(result->carried);
  attempt->stage = Stage::Answering;
  completions_.push_back(attempt->completion);
  send_soon();
}

void Agent::failed(uint64_t ticket, const std::string& code, const std::string& detail) {
  const auto at = attempts_.find(ticket);
  if (at == attempts_.end()) return;
  const AttemptPtr attempt = at->second;
  if (code == "graph_mismatch")
    cache_.discard(attempt->keys.front());  // the file is bad, not the job: the next attempt fetches it again
  fail(attempt->lease.fence, code == "cancelled" ? attempt->code_for_cancelled : typed(code), detail);
  attempt->stage = Stage::Answering;  // forget() has nothing to stop
  forget(attempt);
}

void Agent::fail(const wire::Fence& fence, const std::string& code, const std::string& detail) {
  spdlog::info("attempt {} of {} segment {}: {}, {}", fence.attempt, fence.job.to_string(), fence.segment, code,
               detail);
  const wire::AttemptFailure failure{fence, code, detail};
  failures_.push_back(failure);
  last_failures_.push_back(failure);
  if (last_failures_.size() > kMaxLastFailures) last_failures_.pop_front();
  send_soon();
}

/// Everything that ends in one turn of the loop travels in one message.
void Agent::send_soon() {
  if (std::exchange(send_posted_, true)) return;
  boost::asio::post(io_, [this] {
    send_posted_ = false;
    send_answers();
  });
}

void Agent::send_answers() {
  // Nothing is lost without a link: on reconnect, session() resends every answer that the server has not acknowledged.
  // Completions go in turn, because all of them at once, after a long break, can be more than a link may queue.
  if (!completions_.empty()) gate_.send_in_turn(wire::Completions{std::exchange(completions_, {})});
  if (!failures_.empty()) gate_.send(wire::Failures{std::exchange(failures_, {})});
}

void Agent::handle(const wire::CompletionResults& message) {
  for (const wire::CompletionResult& result : message.results)
    if (const auto at = by_fence_.find(result.fence); at != by_fence_.end() && at->second->stage == Stage::Answering)
      answered(AttemptPtr(at->second), result);
}

void Agent::answered(const AttemptPtr& attempt, const wire::CompletionResult& result) {
  if (result.code == "blob_missing" && attempt->repeats < kMaxRepeats) {
    ++attempt->repeats;
    attempt->stage = Stage::Delivering;
    attempt->delivery->repeat([this, weak = std::weak_ptr(attempt)](Result<Delivered> again) {
      if (const AttemptPtr alive = weak.lock()) delivered(alive, std::move(again));
    });
    return;
  }
  if (!result.accepted)
    spdlog::info("the completion of {} segment {} was answered {}", attempt->lease.fence.job.to_string(),
                 attempt->lease.fence.segment, result.code);
  forget(attempt);
}

void Agent::drain() {
  if (std::exchange(draining_, true)) return;
  spdlog::info("stopping: {} attempts in hand", attempts_.size());
  std::vector<AttemptPtr> in_hand;
  for (const auto& [ticket, attempt] : attempts_) in_hand.push_back(attempt);
  for (const AttemptPtr& attempt : in_hand) {
    const bool runs = attempt->stage == Stage::Running && slices_[attempt->slice]->front() == attempt->ticket;
    if (!runs) cancel(attempt, "drained");
  }
  drain_limit_.expires_after(kDrainRunning);
  drain_limit_.async_wait([this](error_code error) {
    if (error) return;
    for (const auto& slice : slices_) slice->stop("drained", "the worker is stopping");
    drain_limit_.expires_after(kDrainAnswers);
    drain_limit_.async_wait([this](error_code second) {
      if (!second) handlers_.on_drained();
    });
  });
  end_drain_if_idle();
}

void Agent::end_drain_if_idle() {
  if (!draining_ || !attempts_.empty() || std::exchange(drained_, true)) return;
  // Posted after the answers of this turn, which are to be sent first.
  drain_limit_.cancel();
  send_answers();
  boost::asio::post(io_, [this] {
    for (const auto& slice : slices_) slice->stop("drained", "the worker is stopping");
    gate_.stop();
    handlers_.on_drained();
  });
}

}  // namespace quarry::worker
