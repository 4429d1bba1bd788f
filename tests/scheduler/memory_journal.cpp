#include "tests/scheduler/memory_journal.h"

#include <algorithm>

#include "tests/scheduler/fixtures.h"

namespace quarry::scheduler::test {
namespace {

constexpr uint64_t kIncarnation = 7;

}  // namespace

template <class Work>
auto MemoryJournal::transact(Work work) {
  const Fault fault = next_fault();
  if (fault == Fault::BeforeCommit) throw sql::StoreUnavailable("lost before the commit");
  auto result = work();
  if (fault == Fault::AfterCommit) throw sql::StoreUnavailable("lost after the commit");
  return result;
}

wire::Lease MemoryJournal::lease_of(const Job& job) const {
  wire::Lease lease;
  lease.fence = *job.fence;
  lease.session = job.session;
  lease.slice = job.slice;
  lease.steps = 1;
  lease.last_segment = job.ready.segment + 1 == job.segments;
  return lease;
}

bool MemoryJournal::is_current(const Job& job, const wire::Fence& fence) const {
  if (!check_fences) return !is_terminal(job.state) && job.ready.segment <= fence.segment + 1;
  return job.state == JobState::Running && job.fence == fence;
}

std::vector<wire::ReadyJob> MemoryJournal::load_ready() {
  return transact([&] {
    std::vector<wire::ReadyJob> ready;
    for (const auto& [id, job] : jobs_)
      if (job.state == JobState::Queued) ready.push_back(job.ready);
    return ready;
  });
}

std::vector<sql::Store::RunningAttempt> MemoryJournal::load_running() {
  return transact([&] {
    std::vector<sql::Store::RunningAttempt> running;
    for (const auto& [id, job] : jobs_)
      if (job.state == JobState::Running) running.push_back({*job.fence, job.session, job.slice, job.ready});
    return running;
  });
}

std::vector<wire::SessionUp> MemoryJournal::load_sessions() {
  return transact([&] {
    std::vector<wire::SessionUp> sessions;
    for (const auto& [id, session] : sessions_)
      if (session.open) sessions.push_back(session.up);
    return sessions;
  });
}

std::vector<wire::Lease> MemoryJournal::load_leases(const std::vector<wire::Fence>& fences) {
  return transact([&] {
    std::vector<wire::Lease> leases;
    for (const auto& fence : fences)
      if (const Job& job = jobs_.at(fence.job); job.state == JobState::Running && job.fence == fence)
        leases.push_back(lease_of(job));
    return leases;
  });
}

std::vector<wire::Lease> MemoryJournal::lease(int64_t leader_epoch, const std::vector<sql::Placement>& batch) {
  return transact([&] {
    std::vector<wire::Lease> leases;
    if (leader_epoch != epoch_) {
      ++counts_.deposed;
      return leases;
    }
    for (const auto& placement : batch) {
      Job& job = jobs_.at(placement.job);
      const Session& session = sessions_.at(placement.session.id);
      if (job.state != JobState::Queued || job.ready.segment != placement.segment || !session.open ||
          session.up.session != placement.session) {
        ++counts_.refused_placements;
        continue;
      }
      const auto& slice = session.up.slices.front();
      if (job.ready.memory_bound_bytes > slice.memory_bytes)
        violations_.push_back("a job was placed where it does not fit");
      job.state = JobState::Running;
      job.fence = wire::Fence{kIncarnation, placement.job, placement.segment, placement.session.epoch, ++job.attempt};
      job.session = placement.session.id;
      job.slice = placement.slice;
      leases.push_back(lease_of(job));
      ++counts_.leases;
    }
    return leases;
  });
}

bool MemoryJournal::fault(int64_t leader_epoch, JobId job, const std::string&) {
  return transact([&] {
    Job& row = jobs_.at(job);
    if (leader_epoch != epoch_ || row.state != JobState::Queued) return false;
    row.state = JobState::Failed;
    return true;
  });
}

std::vector<sql::FailureOutcome> MemoryJournal::expire_sessions(int64_t leader_epoch,
                                                                const std::vector<wire::SessionKey>& sessions) {
  return transact([&] {
    std::vector<sql::FailureOutcome> outcomes;
    if (leader_epoch != epoch_) {
      ++counts_.deposed;
      return outcomes;
    }
    for (const auto& key : sessions) {
      Session& session = sessions_.at(key.id);
      if (session.open) ++counts_.expired;
      session.open = false;
      for (auto& [id, job] : jobs_) {
        if (job.state != JobState::Running || job.session != key.id) continue;
        sql::FailureOutcome outcome;
        outcome.fence = *job.fence;
        outcome.next = retry(job);
        outcomes.push_back(outcome);
      }
    }
    return outcomes;
  });
}

int64_t MemoryJournal::try_lead(int holder, Instant now, std::chrono::milliseconds ttl) {
  if (holder_ != holder && now < led_until_) return 0;
  if (holder_ != holder || now >= led_until_) ++epoch_;
  holder_ = holder;
  led_until_ = now + ttl;
  return epoch_;
}

std::optional<int> MemoryJournal::leader(Instant now) const {
  return now < led_until_ ? std::optional(holder_) : std::nullopt;
}

void MemoryJournal::submit(const wire::ReadyJob& job, int32_t segments) {
  Job& row = jobs_[job.job];
  row.ready = job;
  row.segments = segments;
}

wire::SessionUp MemoryJournal::open_session(BoxId box, const std::optional<wire::SessionKey>& resume,
                                            const wire::SessionSlice& slice) {
  if (resume)
    if (const Session& session = sessions_.at(resume->id); session.open) return session.up;
  const auto n = static_cast<uint64_t>(next_session_++);
  Session& session = sessions_[id<SessionId>(n)];
  session.up = {session_key(n), box, id<AccountId>(900), {slice}};
  return session.up;
}

std::optional<wire::ReadyJob> MemoryJournal::retry(Job& job) {
  job.fence.reset();
  if (job.attempt >= sql::kMaxAttempts) {
    job.state = JobState::Failed;
    ++counts_.exhausted;
    return std::nullopt;
  }
  job.state = JobState::Queued;
  return job.ready;
}

MemoryJournal::Outcome MemoryJournal::complete(const wire::Fence& fence) {
  Job& job = jobs_.at(fence.job);
  auto& accepted = accepted_[{fence.job, fence.segment}];
  if (check_fences && std::find(accepted.begin(), accepted.end(), fence) != accepted.end()) {
    ++counts_.repeated;
    return {"already_accepted", {}};
  }
  if (!is_current(job, fence)) {
    ++counts_.stale;
    return {"stale_fence", {}};
  }
  accepted.push_back(fence);
  ++counts_.accepted;
  job.fence.reset();
  job.attempt = 0;
  if (++job.ready.segment < job.segments) {
    job.state = JobState::Queued;
    return {"accepted", job.ready};
  }
  job.state = JobState::Succeeded;
  return {"accepted", {}};
}

MemoryJournal::Outcome MemoryJournal::fail(const wire::Fence& fence) {
  Job& job = jobs_.at(fence.job);
  if (job.state != JobState::Running || job.fence != fence) {
    ++counts_.stale;
    return {"stale_fence", {}};
  }
  return {"failed", retry(job)};
}

void MemoryJournal::cancel(JobId job) {
  Job& row = jobs_.at(job);
  if (is_terminal(row.state)) return;
  row.state = JobState::Cancelled;
  row.fence.reset();
  ++counts_.cancelled;
}

size_t MemoryJournal::unended() const {
  return static_cast<size_t>(
      std::count_if(jobs_.begin(), jobs_.end(), [](const auto& entry) { return !is_terminal(entry.second.state); }));
}

std::string MemoryJournal::describe_unended() const {
  std::string text;
  for (const auto& [id, job] : jobs_) {
    if (is_terminal(job.state)) continue;
    text += " " + id.to_string() + " is " + std::string(name(job.state)) + " at segment " +
            std::to_string(job.ready.segment) + ", attempt " + std::to_string(job.attempt);
    if (job.fence) text += ", session " + std::to_string(job.fence->session_epoch);
    text += ";";
  }
  return text;
}

void MemoryJournal::check_ends() {
  for (const auto& [key, fences] : accepted_)
    if (fences.size() > 1)
      violations_.push_back("segment " + std::to_string(key.second) + " of " + key.first.to_string() + " was charged " +
                            std::to_string(fences.size()) + " times");
  for (const auto& [id, job] : jobs_) {
    const int32_t due = job.state == JobState::Succeeded ? job.segments : job.ready.segment;
    for (int32_t segment = 0; segment < due; ++segment)
      if (const auto at = accepted_.find({id, segment}); at == accepted_.end() || at->second.empty())
        violations_.push_back("segment " + std::to_string(segment) + " of " + id.to_string() + " was lost");
  }
}

}  // namespace quarry::scheduler::test
