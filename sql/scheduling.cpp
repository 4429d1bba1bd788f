// The scheduler's queries: leadership, rebuilding the ready queue, leases, expiry of sessions.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>

#include "sql/outputs.h"
#include "sql/pg_store.h"
#include "sql/stored_json.h"

namespace quarry::sql {
namespace {

// The database's clock decides, for all candidates alike. The same holder keeps its epoch while its time has not run
// out; whoever takes over, also the same holder after a lapse, gets the next one.
constexpr Statement kLead =
    "update leader set epoch = epoch + case when holder = $1 and expires_at > clock_timestamp() then 0 else 1 end, "
    "holder = $1, "
    "address = $2, expires_at = clock_timestamp() + $3::int8 * interval '1 millisecond' "
    "where holder = $1 or expires_at <= clock_timestamp() returning epoch";
constexpr Statement kCurrentLeader = "select epoch, holder, address from leader where expires_at > clock_timestamp()";
constexpr Statement kResign = "update leader set expires_at = '-infinity' where epoch = $1";
constexpr Statement kHoldLeader = "select 1 from leader where epoch = $1 and expires_at > clock_timestamp() for share";

// Open jobs are recent ones or among the old ones: see the migration 0010_recent_jobs.
constexpr Statement kRaiseRecent = "select raise_recent($1)";
constexpr int32_t kMostOldJobs = 20'000;
constexpr auto kIsRecent = joined("j.id >= (select recent from queue_floor)");
// In pages: a million rows at once would be a gigabyte of results.
constexpr auto kLoadReady =
    joined("select ", kJobColumns, " from job j where ", kIsRecent, " and j.state = 1 order by j.id limit $1");
constexpr auto kLoadReadyAfter =
    joined("select ", kJobColumns, " from job j where j.id > $2 and j.state = 1 order by j.id limit $1");
constexpr int32_t kReadyPage = 20'000;
constexpr auto kLoadOldReady =
    joined("select ", kJobColumns, " from old_job o join job j on j.id = o.job where j.state = 1 order by o.job");
// Each join names the side that is read first: the planner's guess flips between a few rows and all history.
constexpr auto kCurrentAttempt = joined(
    "cross join lateral (select * from attempt a where a.job = j.id and a.segment = j.segment and a.attempt = "
    "j.attempt offset 0) a ");
constexpr auto kLoadRunning =
    joined("select ", kJobColumns, ", ", kAttemptColumns, " from job j ", kCurrentAttempt, "where ", kIsRecent,
           " and j.state = 2 union all select ", kJobColumns, ", ", kAttemptColumns,
           " from (select j.* from old_job o cross join lateral (select * from job j where j.id = o.job and j.state = "
           "2 offset 0) j offset 0) j ",
           kCurrentAttempt, "where not ", kIsRecent, " order by 1");
constexpr Statement kLoadSessions =
    "select s.id, s.epoch, b.id, b.account, l.id, l.memory_bytes, l.slots, l.flops_per_s from box_session s join box b "
    "on b.id = "
    "s.box "
    "left join device d on d.box = b.id left join slice l on l.device = d.id and l.retired_at is null "
    "where s.closed_at is null order by s.epoch, d.key, l.index";

constexpr Statement kHoldSessions =
    "select s.id from unnest($1::uuid[]) u(id) join box_session s on s.id = u.id order by s.id for share of s";
constexpr Statement kPlaces =
    "select u.n, b.account, c.incarnation, l.flops_per_s, b.id from unnest($1::uuid[], $2::int8[], $3::uuid[]) with "
    "ordinality u(session, epoch, slice, n) "
    "join box_session s on s.id = u.session and s.epoch = u.epoch and s.closed_at is null join box b on b.id = s.box "
    "join slice l on l.id = u.slice and l.retired_at is null join device d on d.id = l.device and d.box = s.box "
    "join cluster c on c.incarnation = s.incarnation where b.revoked_at is null";
/// What a lease carries beside the job's own row.
constexpr Statement kSpecs =
    "select s.job, s.document, s.inputs, coalesce(p.carried, '{}'), s.outputs from unnest($1::uuid[]) u(id) join job j "
    "on j.id = u.id join job_spec s on s.job = j.id "
    "left join segment p on p.job = j.id and p.segment = j.segment - 1 and p.revision = 0";
constexpr auto kReadLeases =
    joined("select ", kJobColumns, ", ", kAttemptColumns,
           ", s.document, s.inputs, coalesce(p.carried, '{}'), l.flops_per_s, s.outputs, b.box "
           "from unnest($1::uuid[], $2::int4[], $3::int4[]) with ordinality u(job, segment, attempt, n) "
           "join attempt a on a.job = u.job and a.segment = u.segment and a.attempt = u.attempt and a.state in (0, 1) "
           "join job j on j.id = a.job join job_spec s on s.job = j.id join slice l on l.id = a.slice "
           "join box_session b on b.id = a.session "
           "left join segment p on p.job = j.id and p.segment = a.segment - 1 and p.revision = 0 order by u.n");

constexpr auto kSessionFences =
    joined("select ", kAttemptColumns,
           " from attempt a where a.session = $1 and a.session_epoch = $2 and a.state in (0, 1) "
           "and (a.job >= (select recent from queue_floor) or a.job in (select job from old_job))");

constexpr Statement kCloseSessions =
    "update box_session s set closed_at = business_now() from unnest($1::uuid[], $2::int8[]) u(id, epoch) "
    "where s.id = u.id and s.epoch = u.epoch and s.closed_at is null "
    "and exists (select from leader where epoch = $3 and expires_at > clock_timestamp())";
// Attempts already marked lost are read as well: the answer to the commit that did it may have been lost.
constexpr auto kSessionJobs = joined(
    "select a.job from unnest($1::uuid[]) u(session) cross join lateral (select a.job from attempt a where a.session = "
    "u.session and a.state in (0, 1, 2, 6) and a.job >= (select recent from queue_floor) offset 0) a "
    "cross join lateral (select from job j where j.id = a.job and j.state in (1, 2) offset 0) j union "
    "select j.id from old_job o cross join lateral (select * from job j where j.id = o.job and j.state in (1, 2) "
    "offset 0) j ",
    kCurrentAttempt, "where a.session = any($1::uuid[]) and a.state in (0, 1, 2, 6)");
constexpr auto kLatestAttempts =
    joined("select ", kAttemptColumns,
           " from unnest($1::uuid[]) u(job) join job j on j.id = u.job "
           "join attempt a on a.job = j.id and a.segment = j.segment and a.attempt = j.attempt order by a.job");

constexpr double kTimeLimitBaseMs = 60'000, kTimeLimitFactor = 20;

/// 60 s and 20 times the predicted time, as far as 32 bits of milliseconds go (49 days).
uint32_t time_limit_ms(const Flops& metered, double flops_per_s) {
  const double predicted_ms = static_cast<double>(metered.count) / flops_per_s * 1'000;
  return static_cast<uint32_t>(std::min(kTimeLimitBaseMs + kTimeLimitFactor * predicted_ms, 4e9));
}

/// The texts of job_spec and of the segment before, as far as they live: views into rows.
struct SpecTexts {
  std::string_view document, inputs, carried;
  std::optional<std::string_view> outputs;
};
std::optional<std::string_view> maybe_text(const Rows& rows, size_t row, int column) {
  return rows.is_null(row, column) ? std::nullopt : std::optional(rows.text(row, column));
}

/// Where a lease goes.
struct Place {
  SessionId session;
  SliceId slice;
  BoxId box;
  double flops_per_s = 0;
};
/// Leases of one account on one box share the number; it says nothing about the account to anybody else.
uint64_t tenant_of(AccountId account, BoxId box) {
  const Digest hash = sha256("tenant " + account.to_string() + " " + box.to_string());
  uint64_t tenant = 0;
  std::memcpy(&tenant, hash.data(), sizeof tenant);
  return tenant;
}

wire::Lease make_lease(StoredJob job, const wire::Fence& fence, const Place& place, const SpecTexts& spec) {
  wire::Lease lease;
  lease.fence = fence;
  lease.session = place.session;
  lease.slice = place.slice;
  lease.tenant = tenant_of(job.account, place.box);
  job.segment = fence.segment;
  const SegmentWork work = segment_work(job, job.segment);
  lease.graph = job.graph;
  lease.job_document = spec.document;
  lease.first_step = job.first_step + job.segment * job.steps_per_segment;
  lease.steps = work.steps;
  lease.last_segment = job.last_segment();
  lease.inputs = inputs_from_json(spec.inputs);
  // What a box carried on under another name is no input: it would only make the lease grow.
  for (const auto& [name, value] : values_from_json(spec.carried))
    if (const auto input = lease.inputs.find(name); input != lease.inputs.end())
      input->second = {{value.blob, 0, value.bytes}};
  lease.memory_bound_bytes = job.memory_bound_bytes;
  lease.time_limit_ms = time_limit_ms(work.work.metered, place.flops_per_s);
  if (spec.outputs) lease.outputs = segment_outputs(outputs_from_json(*spec.outputs), lease.steps, lease.last_segment);
  return lease;
}

/// Submit refuses what no message could carry (fits_a_lease); a row that is larger all the same must show here, and not
/// where the message is sent. Throws std::length_error.
void require_sendable(const wire::Lease& lease) {
  constexpr size_t kSmallDocument = 64 << 10, kFew = 64;
  const bool small = lease.job_document.size() <= kSmallDocument && lease.inputs.size() <= kFew &&
                     (!lease.outputs || lease.outputs->size() <= kFew);
  if (!small && wire::encode(wire::Leases{{lease}}).size() > wire::kMaxFrameBytes)
    throw std::length_error("a lease does not fit into a message to a box");
}

wire::Lease lease_from(const Rows& rows, size_t row) {
  constexpr int kAfter = kJobColumnCount + kAttemptColumnCount;
  const auto attempt = read_row<StoredAttempt>(rows, row, kJobColumnCount);
  const Place place{attempt.session, attempt.slice, rows.get<BoxId>(row, kAfter + 5),
                    rows.get<double>(row, kAfter + 3)};
  return make_lease(read_row<StoredJob>(rows, row), attempt.fence(), place,
                    {rows.text(row, kAfter), rows.text(row, kAfter + 1), rows.text(row, kAfter + 2),
                     maybe_text(rows, row, kAfter + 4)});
}

std::vector<wire::Lease> read_leases(Connection::Transaction& tx, const std::vector<wire::Fence>& fences) {
  std::vector<JobId> jobs;
  std::vector<int32_t> segments, attempts;
  for (const auto& fence : fences) {
    jobs.push_back(fence.job);
    segments.push_back(fence.segment);
    attempts.push_back(fence.attempt);
  }
  const auto read = tx.queue(kReadLeases, jobs, segments, attempts);
  const Rows rows = tx.flush_and_commit()[read];
  const std::set<wire::Fence> asked(fences.begin(), fences.end());
  std::vector<wire::Lease> leases;
  for (size_t row = 0; row < rows.size(); ++row) {
    readable(rows, row, [&] {
      wire::Lease lease = lease_from(rows, row);
      require_sendable(lease);
      if (asked.contains(lease.fence)) leases.push_back(std::move(lease));
    });
  }
  return leases;
}

void add_ready(const Rows& rows, size_t row, std::vector<wire::ReadyJob>& ready, JobId& last) {
  last = rows.get<JobId>(row, 0);
  readable(rows, row, [&] { ready.push_back(ready_job(read_row<StoredJob>(rows, row))); });
}

}  // namespace

Leader PgStore::try_lead(const std::string& holder, const std::string& address, std::chrono::milliseconds ttl) {
  return transact([&](Transaction& tx) {
    const Rows led = tx.query(kLead, holder, address, static_cast<int64_t>(ttl.count()));
    if (!led.empty()) return Leader{led.get<int64_t>(0, 0), holder, address, true};
    const Rows other = tx.query(kCurrentLeader);
    if (other.empty()) return Leader{};
    return Leader{other.get<int64_t>(0, 0), other.get<std::string>(0, 1), other.get<std::string>(0, 2), false};
  });
}

std::optional<Leader> PgStore::current_leader() {
  return transact([&](Transaction& tx) -> std::optional<Leader> {
    const Rows rows = tx.query(kCurrentLeader);
    if (rows.empty()) return std::nullopt;
    return Leader{rows.get<int64_t>(0, 0), rows.get<std::string>(0, 1), rows.get<std::string>(0, 2), false};
  });
}

void PgStore::resign(int64_t leader_epoch) {
  transact([&](Transaction& tx) { tx.queue(kResign, leader_epoch); });
}

void PgStore::raise_recent() {
  transact([&](Transaction& tx) {
    tx.queue(kRaiseRecent, kMostOldJobs);
    tx.flush_and_commit();
  });
}

std::vector<wire::ReadyJob> PgStore::load_ready() {
  raise_recent();
  return transact([&](Transaction& tx) {
    std::vector<wire::ReadyJob> recent, old;
    JobId last;
    for (Rows rows = tx.query(kLoadReady, kReadyPage); !rows.empty();
         rows = tx.query(kLoadReadyAfter, kReadyPage, last))
      for (size_t row = 0; row < rows.size(); ++row) add_ready(rows, row, recent, last);
    // Last: what another leader moves there meanwhile is read twice rather than not at all.
    const Rows rows = tx.query(kLoadOldReady);
    if (rows.empty()) return recent;
    for (size_t row = 0; row < rows.size(); ++row) add_ready(rows, row, old, last);
    std::vector<wire::ReadyJob> ready;
    std::set_union(std::move_iterator(old.begin()), std::move_iterator(old.end()), std::move_iterator(recent.begin()),
                   std::move_iterator(recent.end()), std::back_inserter(ready),
                   [](const auto& a, const auto& b) { return a.job < b.job; });
    return ready;
  });
}

std::vector<PgStore::RunningAttempt> PgStore::load_running() {
  raise_recent();
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kLoadRunning);
    std::vector<RunningAttempt> running;
    for (size_t row = 0; row < rows.size(); ++row) {
      readable(rows, row, [&] {
        const auto attempt = read_row<StoredAttempt>(rows, row, kJobColumnCount);
        running.push_back({attempt.fence(), attempt.session, attempt.slice, ready_job(read_row<StoredJob>(rows, row))});
      });
    }
    return running;
  });
}

std::vector<wire::SessionUp> PgStore::load_sessions() {
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kLoadSessions);
    std::vector<wire::SessionUp> sessions;
    for (size_t row = 0; row < rows.size(); ++row) {
      const wire::SessionKey key{rows.get<SessionId>(row, 0), rows.get<int64_t>(row, 1)};
      if (sessions.empty() || sessions.back().session != key)
        sessions.push_back({key, rows.get<BoxId>(row, 2), rows.get<AccountId>(row, 3), {}});
      if (!rows.is_null(row, 4))
        sessions.back().slices.push_back({rows.get<SliceId>(row, 4), rows.get<uint64_t>(row, 5), kEveryDtype,
                                          rows.get<int32_t>(row, 6), rows.get<double>(row, 7)});
    }
    return sessions;
  });
}

std::vector<wire::Lease> PgStore::load_leases(const std::vector<wire::Fence>& fences) {
  return transact([&](Transaction& tx) { return read_leases(tx, fences); });
}

std::vector<wire::Lease> PgStore::session_leases(const wire::SessionKey& session) {
  return transact([&](Transaction& tx) -> std::vector<wire::Lease> {
    const Rows rows = tx.query(kSessionFences, session.id, session.epoch);
    std::vector<wire::Fence> fences;
    for (size_t row = 0; row < rows.size(); ++row) fences.push_back(read_row<StoredAttempt>(rows, row).fence());
    return fences.empty() ? std::vector<wire::Lease>{} : read_leases(tx, fences);
  });
}

std::vector<wire::Lease> PgStore::lease(int64_t leader_epoch, const std::vector<Placement>& batch) {
  return transact([&](Transaction& tx) -> std::vector<wire::Lease> {
    std::vector<JobId> ids;
    std::set<SessionId> distinct;
    std::vector<SessionId> sessions;
    std::vector<int64_t> epochs;
    std::vector<SliceId> slices;
    for (const auto& placement : batch) {
      ids.push_back(placement.job);
      distinct.insert(placement.session.id);
      sessions.push_back(placement.session.id);
      epochs.push_back(placement.session.epoch);
      slices.push_back(placement.slice);
    }
    tx.commit_without_flush();
    const auto leader = tx.queue(kHoldLeader, leader_epoch);
    tx.queue(kHoldSessions, std::vector<SessionId>(distinct.begin(), distinct.end()));
    const auto locked = queue_locked_jobs(tx, ids);
    const auto placed = tx.queue(kPlaces, sessions, epochs, slices);
    const auto specified = tx.queue(kSpecs, ids);
    const Answers answers = tx.flush();
    if (answers[leader].empty()) return {};
    const Rows &places = answers[placed], &specs = answers[specified];
    JobMap jobs = locked_jobs(answers[locked]);
    std::map<JobId, SpecTexts> spec_of;
    for (size_t row = 0; row < specs.size(); ++row)
      spec_of[specs.get<JobId>(row, 0)] = {specs.text(row, 1), specs.text(row, 2), specs.text(row, 3),
                                           maybe_text(specs, row, 4)};
    JobChanges changes;
    std::vector<wire::Lease> leases;
    for (size_t row = 0; row < places.size(); ++row) {
      const Placement& placement = batch[places.get<size_t>(row, 0) - 1];
      const auto job = jobs.find(placement.job);
      const auto spec = spec_of.find(placement.job);
      if (job == jobs.end() || job->second.state != JobState::Queued || job->second.segment != placement.segment ||
          spec == spec_of.end())
        continue;
      const wire::Fence fence{places.get<uint64_t>(row, 2), placement.job, placement.segment, placement.session.epoch,
                              job->second.attempt + 1};
      changes.lease(job->second, fence, placement.session.id, placement.slice, places.get<AccountId>(row, 1));
      const Place place{placement.session.id, placement.slice, places.get<BoxId>(row, 4), places.get<double>(row, 3)};
      leases.push_back(make_lease(job->second, fence, place, spec->second));
      require_sendable(leases.back());
    }
    changes.write(tx, clock_.wall(), random_);
    return leases;
  });
}

bool PgStore::fault(int64_t leader_epoch, JobId job, const std::string& detail) {
  return transact([&](Transaction& tx) {
    const auto leader = tx.queue(kHoldLeader, leader_epoch);
    const auto locked = queue_locked_jobs(tx, {job});
    const Answers answers = tx.flush();
    JobMap jobs = locked_jobs(answers[locked]);
    const auto found = jobs.find(job);
    if (answers[leader].empty() || found == jobs.end() || found->second.state != JobState::Queued) return false;
    JobChanges changes;
    changes.end(found->second, JobState::Failed, EndReason::ServiceFault, detail, {});
    changes.write(tx, clock_.wall(), random_);
    return true;
  });
}

std::vector<FailureOutcome> PgStore::expire_sessions(int64_t leader_epoch,
                                                     const std::vector<wire::SessionKey>& sessions) {
  return transact([&](Transaction& tx) -> std::vector<FailureOutcome> {
    std::vector<SessionId> ids;
    std::vector<int64_t> epochs;
    for (const auto& session : sessions) {
      ids.push_back(session.id);
      epochs.push_back(session.epoch);
    }
    const auto leader = tx.queue(kHoldLeader, leader_epoch);
    tx.queue(kCloseSessions, ids, epochs, leader_epoch);
    const auto theirs = tx.queue(kSessionJobs, ids);
    const Answers found = tx.flush();
    if (found[leader].empty()) return {};
    std::vector<JobId> affected;
    for (size_t row = 0; row < found[theirs].size(); ++row) affected.push_back(found[theirs].get<JobId>(row, 0));
    const auto locked = queue_locked_jobs(tx, affected);
    const auto latest = tx.queue(kLatestAttempts, affected);
    const auto attempts = queue_counted_attempts(tx, affected);
    const Answers answers = tx.flush();
    JobMap jobs = locked_jobs(answers[locked]);
    const AttemptCounts counted = counted_attempts(answers[attempts]);
    const std::set<wire::SessionKey> expired(sessions.begin(), sessions.end());
    JobChanges changes;
    std::vector<FailureOutcome> outcomes;
    for (size_t row = 0; row < answers[latest].size(); ++row) {
      const auto attempt = read_row<StoredAttempt>(answers[latest], row);
      StoredJob& job = jobs.at(attempt.job);
      if (!expired.contains({attempt.session, attempt.session_epoch}) || is_terminal(job.state)) continue;
      if (attempt.live()) {
        changes.end_attempt(attempt, {.code = {}, .detail = {}, .schedules_hash = {}});
        if (!may_try_again(job, EndReason::LeaseExpired, counted))
          changes.end(job, JobState::Failed, EndReason::AttemptsExhausted, "the box was lost each time", {});
        else
          changes.requeue(job, EndReason::LeaseExpired);
      }
      FailureOutcome outcome{attempt.fence(), false, is_terminal(job.state), job.state, job.account, {}};
      if (job.state == JobState::Queued) outcome.next = ready_job(job);
      outcomes.push_back(std::move(outcome));
    }
    changes.write(tx, clock_.wall(), random_);
    return outcomes;
  });
}

}  // namespace quarry::sql
