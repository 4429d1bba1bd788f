// From a lease to a running job: which blobs, from where, to which executor.
#include "worker/agent.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>

namespace quarry::worker {
namespace {

/// For a server that predicts nothing: what every attempt may take beside its prediction.
constexpr uint32_t kDefaultTimeLimitMs = 60'000;

}  // namespace

void Agent::session(const wire::Welcome& welcome, bool resumed) {
  session_ = welcome.session;
  slice_by_id_.clear();
  for (const wire::WelcomeSlice& slice : welcome.slices) {
    const bool ours = slice.device_key == options_.device_key && slice.index >= 0 &&
                      static_cast<size_t>(slice.index) < slices_.size();
    if (ours) slice_by_id_[slice.slice] = static_cast<size_t>(slice.index);
  }
  if (!resumed) {
    // The old session's leases are void and others may hold them by now. What is finished is still offered: it is
    // refused at worst.
    last_failures_.clear();
    std::vector<AttemptPtr> void_attempts;
    for (const auto& [ticket, attempt] : attempts_)
      if (attempt->stage != Stage::Answering) void_attempts.push_back(attempt);
    for (const AttemptPtr& attempt : void_attempts) forget(attempt);
    fetcher_.forget_all();
  }
  if (!compiled_.empty()) gate_.send(wire::Compiled{compiled_});
  fetcher_.link_up();
  uploader_.link_up();
  completions_.clear();
  for (const auto& [ticket, attempt] : attempts_)
    if (attempt->stage == Stage::Answering) completions_.push_back(attempt->completion);
  failures_.assign(last_failures_.begin(), last_failures_.end());
  send_soon();
  if (!std::exchange(serving_, true))
    handlers_.on_serving(options_.device_key + " slices=" + std::to_string(slice_by_id_.size()));
}

void Agent::received(wire::Message message) {
  if (auto* leases = std::get_if<wire::Leases>(&message)) return handle(*leases);
  if (auto* data = std::get_if<wire::BlobData>(&message)) return fetcher_.received(std::move(*data));
  if (const auto* ack = std::get_if<wire::BlobAck>(&message)) return uploader_.received(*ack);
  if (const auto* results = std::get_if<wire::CompletionResults>(&message)) return handle(*results);
  if (const auto* cancels = std::get_if<wire::Cancels>(&message)) return handle(*cancels);
  spdlog::warn("the server sent a message that is not for workers");
}

void Agent::handle(wire::Leases& message) {
  for (wire::Lease& lease : message.leases) take(std::move(lease));
}

void Agent::take(wire::Lease lease) {
  if (lease.session != session_.id) return;  // of a session that was lost: the server knows already
  if (const auto known = by_fence_.find(lease.fence); known != by_fence_.end()) return said_again(*known->second);
  if (draining_) return fail(lease.fence, "drained", "the worker is stopping");
  const auto slice = slice_by_id_.find(lease.slice);
  if (slice == slice_by_id_.end()) return fail(lease.fence, "device_error", "the box has no such slice");
  auto attempt = std::make_shared<Attempt>();
  attempt->lease = std::move(lease);
  attempt->ticket = next_ticket_++;
  attempt->slice = slice->second;
  list_blobs(*attempt);
  if (attempt->keys.size() > kMaxBlobsPerJob)
    return fail(attempt->lease.fence, "graph_error",
                "the inputs lie in more than " + std::to_string(kMaxBlobsPerJob) + " blobs");
  attempts_.emplace(attempt->ticket, attempt);
  by_fence_.emplace(attempt->lease.fence, attempt);
  fetch(attempt);
}

/// The server says the leases of a resumed session again.
void Agent::said_again(const Attempt& attempt) {
  if (attempt.stage != Stage::Fetching) return;  // session() has offered what is finished
  for (size_t i = 0; i < attempt.keys.size(); ++i)
    if (!attempt.blobs[i]) fetcher_.again(attempt.keys[i]);
}

void Agent::list_blobs(Attempt& attempt) {
  attempt.keys.push_back({attempt.lease.graph, true});
  for (const auto& [name, extents] : attempt.lease.inputs)
    for (const wire::Extent& extent : extents) attempt.keys.push_back({extent.blob, false});
  std::sort(attempt.keys.begin() + 1, attempt.keys.end());
  attempt.keys.erase(std::unique(attempt.keys.begin() + 1, attempt.keys.end()), attempt.keys.end());
}

void Agent::fetch(const AttemptPtr& attempt) {
  attempt->missing = attempt->keys.size();
  attempt->blobs.resize(attempt->keys.size());
  for (size_t i = 0; i < attempt->keys.size(); ++i) {
    if (auto pin = cache_.find(attempt->keys[i])) {
      attempt->blobs[i].emplace(std::move(*pin));
      --attempt->missing;
      continue;
    }
    fetcher_.fetch(attempt->keys[i], [this, i, weak = std::weak_ptr(attempt)](Result<BlobPin> pin) {
      if (const AttemptPtr alive = weak.lock()) return fetched(alive, i, std::move(pin));
      room_may_be_free();
    });
  }
  if (attempt->missing == 0) run(attempt);
}

void Agent::fetched(const AttemptPtr& attempt, size_t blob, Result<BlobPin> pin) {
  const bool full = !pin.ok() && pin.problem().code == "cache_full";
  if (attempt->stage != Stage::Fetching || attempt->waits_for_room) {
    if (!full) room_may_be_free();
    return;
  }
  if (attempt->blobs[blob]) return;  // asked for twice: before it waited for room, and after
  if (full && wait_for_room(*attempt)) return;
  if (!pin.ok()) return failed(attempt->ticket, pin.problem().code, pin.problem().detail);
  attempt->blobs[blob].emplace(std::move(*pin));
  if (--attempt->missing == 0) run(attempt);
}

/// More leases can be in hand than fit the cache together: one that finds no room waits for the others to end, and
/// holds nothing, so that they never wait for each other. False: there are no others, so it never fits.
bool Agent::wait_for_room(Attempt& attempt) {
  for (std::optional<BlobPin>& blob : attempt.blobs) blob.reset();
  const bool others = fetcher_.holds_room() || std::any_of(attempts_.begin(), attempts_.end(), [&](const auto& entry) {
                        const Attempt& other = *entry.second;
                        return &other != &attempt && (other.stage == Stage::Running ||
                                                      (other.stage == Stage::Fetching && !other.waits_for_room));
                      });
  if (!others) return false;
  attempt.waits_for_room = true;
  waiting_for_room_.push_back(attempt.ticket);
  return true;
}

void Agent::room_may_be_free() {
  if (waiting_for_room_.empty()) return;
  // Posted: whoever ends now still holds its blobs.
  boost::asio::post(io_, [this] {
    for (const uint64_t ticket : std::exchange(waiting_for_room_, {})) {
      const auto at = attempts_.find(ticket);
      if (at == attempts_.end() || !std::exchange(at->second->waits_for_room, false)) continue;
      fetch(AttemptPtr(at->second));
    }
  });
}

void Agent::run(const AttemptPtr& attempt) {
  attempt->stage = Stage::Running;
  slices_[attempt->slice]->submit(make_local_job(*attempt));
}

LocalJob Agent::make_local_job(Attempt& attempt) {
  wire::Lease& lease = attempt.lease;
  LocalJob job;
  job.start = {.ticket = attempt.ticket,
               .graph = lease.graph,
               .job_document = std::move(lease.job_document),
               .first_step = lease.first_step,
               .steps = lease.steps,
               .last_segment = lease.last_segment,
               .memory_bound_bytes = lease.memory_bound_bytes};
  job.start.tenant = lease.tenant;
  for (const auto& [name, extents] : lease.inputs) {
    LocalInput& input = job.start.inputs.emplace_back(LocalInput{name, {}});
    for (const wire::Extent& extent : extents) {
      const auto key = std::lower_bound(attempt.keys.begin() + 1, attempt.keys.end(), BlobKey{extent.blob, false});
      input.extents.push_back({static_cast<uint32_t>(key - attempt.keys.begin()), extent.offset, extent.bytes});
    }
  }
  for (std::optional<BlobPin>& pin : attempt.blobs) job.blobs.push_back(std::move(*pin));
  attempt.blobs.clear();
  job.time_limit_ms = lease.time_limit_ms != 0 ? lease.time_limit_ms : kDefaultTimeLimitMs;
  return job;
}

void Agent::handle(const wire::Cancels& message) {
  for (const wire::Fence& fence : message.fences)
    if (const auto at = by_fence_.find(fence); at != by_fence_.end()) cancel(AttemptPtr(at->second), "cancelled");
}

/// What is finished is left to the server, which decides by what it committed first.
void Agent::cancel(const AttemptPtr& attempt, const std::string& code) {
  attempt->code_for_cancelled = code;
  if (attempt->stage == Stage::Fetching) return failed(attempt->ticket, code, "stopped before it started");
  if (attempt->stage == Stage::Running) slices_[attempt->slice]->cancel(attempt->ticket);
}

void Agent::forget(const AttemptPtr& attempt) {
  if (attempt->stage == Stage::Running) slices_[attempt->slice]->cancel(attempt->ticket);
  progress_.erase(attempt->lease.fence);
  by_fence_.erase(attempt->lease.fence);
  attempts_.erase(attempt->ticket);
  room_may_be_free();
  end_drain_if_idle();
}

}  // namespace quarry::worker
