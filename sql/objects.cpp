// Graphs, tensors and small results, and how what is stored ends. The order of removal is in the migration 0014_expiry.
#include "sql/pg_store.h"

namespace quarry::sql {
namespace {

constexpr Statement kPutGraph = "insert into graph (id, bytes) values ($1, $2) on conflict do nothing";
constexpr Statement kOwnGraph = "insert into graph_owner (account, graph) values ($1, $2) on conflict do nothing";
constexpr Statement kOwnsGraph = "select 1 from graph_owner where account = $1 and graph = $2";
constexpr Statement kPutTensor = "insert into tensor (sha256, bytes) values ($1, $2) on conflict do nothing";
constexpr Statement kOwnTensor =
    "insert into tensor_owner as o (account, sha256, expires_at) values ($1, $2, business_now() + $3::int4 * interval "
    "'1 hour') on conflict (account, sha256) do update set expires_at = excluded.expires_at";
constexpr Statement kStoredBytes = "select bytes from account_storage where account = $1";
constexpr Statement kTensor =
    "select t.bytes, micros(o.expires_at) from tensor_owner o join tensor t on t.sha256 = o.sha256 where o.account = "
    "$1 "
    "and o.sha256 = $2 and o.expires_at > business_now()";
constexpr Statement kSmallBlob = "select bytes from small_blob where sha256 = $1 limit 1";

// Tensors that nobody owns any more go, and their files become garbage.
constexpr Statement kDisownTensor = "delete from tensor_owner where account = $1 and sha256 = $2 returning 1";
constexpr Statement kExpiredTensors =
    "with old as (select account, sha256 from tensor_owner where expires_at <= business_now() - interval '1 hour' "
    "order "
    "by expires_at limit $1 for update skip locked) delete from tensor_owner o using old where o.account = old.account "
    "and o.sha256 = old.sha256 returning o.sha256";
constexpr Statement kDropTensors =
    "with gone as (delete from tensor t using unnest($1::bytea[]) u(sha256) where t.sha256 = u.sha256 and not exists "
    "(select from tensor_owner o where o.sha256 = t.sha256) returning t.sha256) insert into blob_garbage (kind, "
    "sha256) "
    "select 0, sha256 from gone on conflict do nothing";

// What open jobs start from: read once for a sweep. Their number is bounded by what waits and runs, not by history.
constexpr auto kOpenInputs = joined(
    "open_inputs as materialized (select distinct decode(x.extent->>0, 'hex') as sha256 from (select j.id from job j "
    "where j.id >= (select recent from queue_floor) and j.state < 4 union select j.id from old_job o join job j on "
    "j.id "
    "= o.job where j.state < 4) open join job_spec s on s.job = open.id cross join lateral jsonb_each(s.inputs::jsonb) "
    "i cross join lateral jsonb_array_elements(i.value) x(extent)) ");
// job_spec holds the jobs that have not expired, the oldest first.
constexpr auto kExpiredJobs = joined(
    "with ", kOpenInputs,
    "select s.job from job_spec s join job j on j.id = s.job where s.job < first_job_id(business_now() - $2::int4 * "
    "interval '1 hour') and j.state >= 4 and j.ended_at <= business_now() - ($2::int4 + 1) * interval '1 hour' and not "
    "exists (select from open_inputs o where o.sha256 in (select b.sha256 from small_blob b where b.job = s.job union "
    "all select u.sha256 from blob_use u where u.job = s.job)) order by s.job limit $1 for update of s skip locked");
constexpr Statement kDropSpecs = "delete from job_spec where job = any($1::uuid[])";
constexpr Statement kDropValues = "update segment set outputs = '{}', carried = '{}' where job = any($1::uuid[])";
constexpr Statement kDropSmall = "delete from small_blob where job = any($1::uuid[])";
constexpr Statement kDropUses =
    "with gone as (delete from blob_use where job = any($1::uuid[]) returning sha256) insert into blob_garbage (kind, "
    "sha256) select distinct 2, sha256 from gone on conflict do nothing";
constexpr Statement kDropAttempts = "delete from attempt where job = any($1::uuid[])";
constexpr Statement kDropEvents = "delete from event where job = any($1::uuid[])";

// `since` is real time, like the age of a file.
constexpr auto kGarbage = joined("with ", kOpenInputs,
                                 "select g.kind, g.sha256 from blob_garbage g where g.since <= now() - $1::int8 * "
                                 "interval '1 second' and not exists "
                                 "(select from open_inputs o where o.sha256 = g.sha256) and case g.kind when 0 then "
                                 "not exists (select from tensor t "
                                 "where t.sha256 = g.sha256) else not exists (select from blob_use u where u.sha256 = "
                                 "g.sha256) end order by g.since "
                                 "limit $2");
constexpr Statement kAnyGarbage =
    "select 1 from blob_garbage where since <= now() - $1::int8 * interval '1 second' limit 1";
constexpr Statement kForgetGarbage =
    "delete from blob_garbage g using unnest($1::int2[], $2::bytea[]) u(kind, sha256) where g.kind = u.kind and "
    "g.sha256 = u.sha256";
// Named again since: another job or account brought the same bytes, and whoever stops naming them last says so again.
constexpr Statement kForgetNamed =
    "delete from blob_garbage g where g.since <= now() - $1::int8 * interval '1 second' and case g.kind when 0 then "
    "exists (select from tensor t where t.sha256 = g.sha256) else exists (select from blob_use u where u.sha256 = "
    "g.sha256) end";

}  // namespace

void PgStore::put_graph(AccountId account, const Digest& graph, uint64_t bytes) {
  transact([&](Transaction& tx) {
    tx.queue(kPutGraph, graph, bytes);
    tx.queue(kOwnGraph, account, graph);
  });
}

bool PgStore::owns_graph(AccountId account, const Digest& graph) {
  return transact([&](Transaction& tx) { return !tx.query(kOwnsGraph, account, graph).empty(); });
}

std::optional<QuotaReached> PgStore::put_tensor(AccountId account, const Digest& file, uint64_t bytes,
                                                uint64_t quota_bytes) {
  try {
    transact([&](Transaction& tx) {
      tx.queue(kPutTensor, file, bytes);
      tx.queue(kOwnTensor, account, file, kRetentionHours);
      const Rows stored = tx.query(kStoredBytes, account);  // with this one: the trigger has added it
      if (const auto sum = stored.get<UInt128>(0, 0); sum > quota_bytes)
        throw QuotaReached{static_cast<uint64_t>(sum - bytes)};  // rolls back
    });
  } catch (const QuotaReached& reached) {
    return reached;
  }
  return std::nullopt;
}

std::optional<TensorRow> PgStore::tensor(AccountId account, const Digest& file) {
  return transact([&](Transaction& tx) -> std::optional<TensorRow> {
    const Rows rows = tx.query(kTensor, account, file);
    if (rows.empty()) return std::nullopt;
    return TensorRow{rows.get<uint64_t>(0, 0), rows.get<WallTime>(0, 1)};
  });
}

bool PgStore::delete_tensor(AccountId account, const Digest& file) {
  return transact([&](Transaction& tx) {
    if (tx.query(kDisownTensor, account, file).empty()) return false;
    tx.queue(kDropTensors, std::vector{file});
    return true;
  });
}

uint64_t PgStore::stored_bytes(AccountId account) {
  return transact([&](Transaction& tx) -> uint64_t {
    const Rows rows = tx.query(kStoredBytes, account);
    return rows.empty() ? 0 : rows.get<uint64_t>(0, 0);
  });
}

std::optional<std::vector<std::byte>> PgStore::small_blob(const Digest& blob) {
  return transact([&](Transaction& tx) -> std::optional<std::vector<std::byte>> {
    const Rows rows = tx.query(kSmallBlob, blob);
    if (rows.empty()) return std::nullopt;
    return rows.get<std::vector<std::byte>>(0, 0);
  });
}

int64_t PgStore::expire_tensors(int32_t limit) {
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kExpiredTensors, limit);
    std::vector<Digest> files;
    for (size_t row = 0; row < rows.size(); ++row) files.push_back(rows.get<Digest>(row, 0));
    if (!files.empty()) tx.queue(kDropTensors, files);
    return static_cast<int64_t>(files.size());
  });
}

int64_t PgStore::expire_jobs(int32_t limit) {
  return transact([&](Transaction& tx) {
    tx.plan_freely();
    const Rows rows = tx.query(kExpiredJobs, limit, kRetentionHours);
    std::vector<JobId> jobs;
    for (size_t row = 0; row < rows.size(); ++row) jobs.push_back(rows.get<JobId>(row, 0));
    if (jobs.empty()) return int64_t{0};
    for (const Statement drop : {kDropSpecs, kDropValues, kDropSmall, kDropUses, kDropAttempts, kDropEvents})
      tx.queue(drop, jobs);
    return static_cast<int64_t>(jobs.size());
  });
}

std::vector<GarbageFile> PgStore::sweep_garbage(std::chrono::seconds grace, int32_t limit) {
  return transact([&](Transaction& tx) {
    std::vector<GarbageFile> files;
    if (tx.query(kAnyGarbage, int64_t{grace.count()}).empty()) return files;
    tx.plan_freely();
    tx.queue(kForgetNamed, int64_t{grace.count()});
    const Rows rows = tx.query(kGarbage, int64_t{grace.count()}, limit);
    for (size_t row = 0; row < rows.size(); ++row)
      files.push_back({rows.get<GarbageFile::Kind>(row, 0), rows.get<Digest>(row, 1)});
    return files;
  });
}

void PgStore::forget_garbage(const std::vector<GarbageFile>& removed) {
  std::vector<GarbageFile::Kind> kinds;
  std::vector<Digest> files;
  for (const auto& file : removed) {
    kinds.push_back(file.kind);
    files.push_back(file.sha256);
  }
  transact([&](Transaction& tx) { tx.queue(kForgetGarbage, kinds, files); });
}

}  // namespace quarry::sql
