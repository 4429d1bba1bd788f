// The reconciler: re-derives every balance from the entries, every charge from the meter records, and every state from
// its history, in one snapshot. Each check is a query that returns a sentence for each thing that disagrees.
#include "sql/pg_store.h"

namespace quarry::sql {
namespace {

constexpr Statement kSnapshot = "set transaction isolation level repeatable read read only";

constexpr Statement kChecks[] = {
    // Money.
    "select 'balance ' || coalesce(b.account, e.account) || ' book ' || coalesce(b.book, e.book) || ' is ' || "
    "coalesce(b.amount, 0) || "
    "', its entries sum to ' || coalesce(e.amount, 0) from balance b full join "
    "(select account, book, sum(amount) as amount from entry group by account, book) e on e.account = b.account and "
    "e.book = b.book "
    "where coalesce(b.amount, 0) <> coalesce(e.amount, 0)",
    "select 'the entries of transfer ' || transfer || ' sum to ' || sum(amount) from entry group by transfer having "
    "sum(amount) <> 0",
    "select 'transfer ' || t.id || ' moves ' || coalesce(e.amount, 0) || ' of its account, its lines ' || "
    "coalesce(l.amount, 0) "
    "from transfer t left join (select x.id, sum(abs(e.amount)) as amount from transfer x join entry e on e.transfer = "
    "x.id "
    "and e.account = x.account and e.book = case x.kind when 5 then 0 else 1 end group by x.id) e on e.id = t.id "
    "left join (select transfer, sum(amount) as amount from transfer_line group by transfer) l on l.transfer = t.id "
    "where t.kind in (1, 2, 3, 5) and coalesce(e.amount, 0) <> coalesce(l.amount, 0)",
    "select 'account ' || account || ' has ' || amount || ' reserved, its open jobs hold ' || held from ("
    "select b.account, b.amount, coalesce((select sum(j.limit_amount - j.spent) from job j where j.account = b.account "
    "and j.state < 4), 0) "
    "as held from balance b where b.book = 1) x where amount <> held",
    "select 'the usage of account ' || coalesce(t.account, m.account) || ' is not the sum of its meter records' from "
    "usage_total t full join (select account, count(*) filter (where segment >= 0) as segments, sum(flops) as flops, "
    "sum(metered) as metered, sum(bytes) as bytes, sum(charge) as charge from meter group by account) m "
    "on m.account = t.account where (t.segments, t.flops, t.metered, t.bytes, t.charge) is distinct from "
    "(m.segments, m.flops, m.metered, m.bytes, m.charge)",
    // Jobs against their lines, records and states.
    "select 'job ' || j.id || ' was reserved ' || coalesce(l.reserved, -1) || ', its limit is ' || j.limit_amount from "
    "job j left join "
    "(select job, sum(amount) as reserved from transfer_line where kind = 1 group by job) l on l.job = j.id "
    "where coalesce(l.reserved, -1) <> j.limit_amount",
    "select 'job ' || j.id || ' spent ' || j.spent || ', was charged ' || coalesce(l.charged, 0) || ' and metered ' || "
    "coalesce(m.charge, 0) "
    "from job j left join (select job, sum(amount) as charged from transfer_line where kind = 2 group by job) l on "
    "l.job = j.id "
    "left join (select job, sum(charge) as charge from meter group by job) m on m.job = j.id "
    "where j.spent <> coalesce(l.charged, 0) or j.spent <> coalesce(m.charge, 0)",
    "select 'job ' || j.id || ' in state ' || j.state || ' released ' || coalesce(l.released, -1) || ' of ' || "
    "(j.limit_amount - j.spent) "
    "from job j left join (select job, sum(amount) as released from transfer_line where kind = 3 group by job) l on "
    "l.job = j.id "
    "where coalesce(l.released, -1) <> case when j.state >= 4 then j.limit_amount - j.spent else -1 end",
    "select 'job ' || j.id || ' was refunded ' || coalesce(l.refunded, 0) || ' of ' || j.spent from job j left join "
    "(select job, sum(amount) as refunded from transfer_line where kind = 5 group by job) l on l.job = j.id "
    "where coalesce(l.refunded, 0) <> case when j.state >= 4 and j.end_reason = 7 then j.spent else 0 end",
    "select 'job ' || m.job || ' paid a minimum, but no box ran it in vain' from meter m where m.segment = -1 and "
    "m.payee is not null and exists (select from job_spec s where s.job = m.job) and not exists (select from attempt a "
    "where a.job = m.job and a.segment = 0 and a.owner = "
    "m.payee)",
    "select 'job ' || j.id || ' accepted ' || j.steps_accepted || ' steps, its meter records hold ' || "
    "coalesce(m.steps, 0) from job j "
    "left join (select job, sum(steps) as steps from meter group by job) m on m.job = j.id where j.steps_accepted <> "
    "coalesce(m.steps, 0)",
    "select 'segment ' || coalesce(s.segment, m.segment) || ' of job ' || coalesce(s.job, m.job) || ' lacks its meter "
    "record or its outcome' "
    "from segment s full join (select * from meter where segment >= 0) m on m.job = s.job and m.segment = s.segment "
    "and m.revision = s.revision where s.job is null or m.job is null",
    "select 'job ' || j.id || ' runs without a live attempt, or has one and does not run' from job j left join attempt "
    "a "
    "on a.job = j.id and a.segment = j.segment and a.attempt = j.attempt and a.state in (0, 1, 2) where (j.state = 2) "
    "<> (a.job is not null)",
    "select 'attempt ' || a.attempt || ' of segment ' || a.segment || ' of job ' || a.job || ' lives but is not the "
    "current one' "
    "from attempt a join job j on j.id = a.job where a.state in (0, 1, 2) and (a.segment, a.attempt) <> (j.segment, "
    "j.attempt)",
    "select 'job ' || j.id || ' is open, but neither recent nor among the old ones' from job j where j.state < 4 and "
    "j.id "
    "< (select recent from queue_floor) and not exists (select from old_job o where o.job = j.id)",
    "select 'a row of ' || x.kind || ' names job ' || x.job || ', which does not exist' from (select 'job_spec' as "
    "kind, job from job_spec "
    "union select 'transfer_line', job from transfer_line union select 'segment', job from segment union select "
    "'meter', job from meter "
    "union select 'attempt', job from attempt) x left join job j on j.id = x.job where j.id is null",
    // What is stored, and what names it.
    "select 'account ' || coalesce(s.account, t.account) || ' stores ' || coalesce(s.bytes, 0) || ' bytes, its tensors "
    "come to ' || coalesce(t.bytes, 0) from account_storage s full join (select o.account, sum(t.bytes) as bytes from "
    "tensor_owner o join tensor t on t.sha256 = o.sha256 group by o.account) t on t.account = s.account where "
    "coalesce(s.bytes, 0) <> coalesce(t.bytes, 0)",
    "select 'tensor ' || encode(t.sha256, 'hex') || ' has no owner' from tensor t where not exists (select from "
    "tensor_owner o where o.sha256 = t.sha256)",
    "select 'segment ' || s.segment || ' of job ' || s.job || ' names the blob ' || (v.value->>0) || ', which nothing "
    "keeps' from segment s cross join lateral (values (0, s.outputs), (1, s.carried)) x(role, kept) cross join lateral "
    "jsonb_each(x.kept::jsonb) v where not exists (select from small_blob b where b.sha256 = decode(v.value->>0, "
    "'hex')) and not exists (select from blob_use u where u.sha256 = decode(v.value->>0, 'hex') and u.job = s.job and "
    "u.role = x.role)",
    "select 'job ' || u.job || ' has expired, but blobs are kept for it' from (select job from small_blob union select "
    "job from blob_use) u where u.job <> '00000000-0000-0000-0000-000000000000' and not exists (select from job_spec s "
    "where s.job = u.job)",
    "select 'job ' || j.id || ' is open without its document' from job j where j.state < 4 and not exists (select from "
    "job_spec s where s.job = j.id)",
    // The audit log's chain.
    "select 'audit row ' || sequence || ' does not fit the row before it' from (select *, "
    "coalesce(lag(hash) over (order by sequence), '\\x') as previous, coalesce(lag(sequence) over (order by sequence), "
    "0) as last "
    "from audit_log) a where hash <> audit_hash(previous, sequence, at, act, subject, detail) or sequence <> last + 1",
};

constexpr auto kMetered = joined("select ", kJobColumns, ", ", kMeterColumns,
                                 " from meter m join job j on j.id = m.job where (m.job, m.segment) > ($1::uuid, "
                                 "$2::int4) order by m.job, m.segment limit $3");
constexpr int32_t kMeteredPage = 10'000;

/// Every charge again, from the counts and prices frozen with the job, through the market's own rule.
void check_charges(Connection::Transaction& tx, std::vector<std::string>& wrong) {
  JobId job{};
  int32_t segment = INT32_MIN;
  StoredJob current;
  for (;;) {
    const Rows rows = tx.query(kMetered, job, segment, kMeteredPage);
    for (size_t row = 0; row < rows.size(); ++row) {
      auto read = read_row<StoredJob>(rows, row);
      if (read.id != job) {
        current = read;
        current.spent = Money();  // adds up again, segment by segment
      }
      const auto meter = read_row<MeterRow>(rows, row, kJobColumnCount);
      job = read.id;
      segment = meter.segment;
      const SegmentWork work = segment_work(current, segment);
      const market::Charge charge = segment_charge(current, work, meter.payee.has_value());
      current.spent += charge.renter;
      if (work.work.metered != meter.metered || charge.renter != meter.charge || charge.owner != meter.owner_share ||
          work.steps != meter.steps)
        wrong.push_back("segment " + std::to_string(segment) + " of job " + job.to_string() + " should be charged " +
                        charge.renter.to_string() + ", its meter record says " + meter.charge.to_string());
    }
    if (rows.size() < static_cast<size_t>(kMeteredPage)) return;
  }
}

}  // namespace

std::vector<std::string> PgStore::reconcile() {
  return transact([&](Transaction& tx) {
    std::vector<std::string> wrong;
    tx.queue(kSnapshot);
    tx.plan_freely();
    for (const Statement check : kChecks) {
      const Rows rows = tx.query(check);
      for (size_t row = 0; row < rows.size(); ++row) wrong.push_back(rows.get<std::string>(row, 0));
    }
    check_charges(tx, wrong);
    return wrong;
  });
}

}  // namespace quarry::sql
