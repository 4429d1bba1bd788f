// The columns of the tables job, meter and attempt, one line each: who writes it, its name, its type as a parameter,
// its member. All statements and all reading of these tables derive from here (columns.h).
#pragma once

#include "sql/columns.h"
#include "sql/job_rows.h"

namespace quarry::sql {

template <class Io>
constexpr void fields(Io& io, Is<StoredJob> auto& j) {
  using enum Written;
  io.column(Key, "id", "uuid", j.id);
  io.column(AtInsert, "account", "uuid", j.account);
  io.column(AtInsert, "graph", "bytea", j.graph);
  io.column(AtInsert, "tariff", "int2", j.tariff);
  io.column(AtInsert, "memory_bound_bytes", "int8", j.memory_bound_bytes);
  io.column(AtInsert, "dtypes", "int8", j.dtypes);
  io.column(AtInsert, "first_step", "int8", j.first_step);
  io.column(AtInsert, "steps", "int8", j.steps);
  io.column(AtInsert, "steps_per_segment", "int8", j.steps_per_segment);
  io.column(AtInsert, "step_flops", "numeric", j.step.flops);
  io.column(AtInsert, "step_weighted16", "numeric", j.step.weighted16);
  io.column(AtInsert, "step_weighted32", "numeric", j.step.weighted32);
  io.column(AtInsert, "step_weighted64", "numeric", j.step.weighted64);
  io.column(AtInsert, "step_bytes", "numeric", j.step.bytes);
  io.column(AtInsert, "step_stored_values", "int8", j.step.stored_values);
  io.column(AtInsert, "checkpoint_bytes", "numeric", j.checkpoint_bytes);
  io.column(AtInsert, "bytes_in", "int8", j.bytes_in);
  io.column(AtInsert, "bytes_out", "int8", j.bytes_out);
  io.column(AtInsert, "byte_hours", "int8", j.byte_hours);
  io.column(AtInsert, "per_pflop", "numeric", j.prices.per_pflop);
  io.column(AtInsert, "per_gib_in", "numeric", j.prices.per_gib_in);
  io.column(AtInsert, "per_gib_out", "numeric", j.prices.per_gib_out);
  io.column(AtInsert, "per_gib_hour", "numeric", j.prices.per_gib_hour);
  io.column(AtInsert, "take_ppm", "int4", j.prices.take_ppm);
  io.column(AtInsert, "limit_amount", "numeric", j.limit);
  io.column(AtChange, "state", "int2", j.state);
  io.column(AtChange, "segment", "int4", j.segment);
  io.column(AtChange, "attempt", "int4", j.attempt);
  io.column(AtChange, "steps_accepted", "int8", j.steps_accepted);
  io.column(AtChange, "spent", "numeric", j.spent);
  io.column(AtChange, "end_reason", "int2", j.end_reason);
  io.column(AtChange, "failure_detail", "text", j.failure_detail);
  io.column(ByDatabase, "submitted_at", "timestamptz", j.submitted_at);
  io.column(ByDatabase, "started_at", "timestamptz", j.started_at);
  io.column(ByDatabase, "ended_at", "timestamptz", j.ended_at);
  io.column(ByDatabase, "event_xid", "int8", j.event_xid);
}

template <class Io>
constexpr void fields(Io& io, Is<MeterRow> auto& m) {
  using enum Written;
  io.column(AtInsert, "job", "uuid", m.job);
  io.column(AtInsert, "segment", "int4", m.segment);
  io.column(AtInsert, "account", "uuid", m.account);
  io.column(AtInsert, "tariff", "int2", m.tariff);
  io.column(AtInsert, "steps", "int8", m.steps);
  io.column(AtInsert, "flops", "numeric", m.work.flops);
  io.column(AtInsert, "weighted16", "numeric", m.work.weighted16);
  io.column(AtInsert, "weighted32", "numeric", m.work.weighted32);
  io.column(AtInsert, "weighted64", "numeric", m.work.weighted64);
  io.column(AtInsert, "bytes", "numeric", m.work.bytes);
  io.column(AtInsert, "stored_values", "numeric", m.work.stored_values);
  io.column(AtInsert, "bytes_in", "int8", m.bytes_in);
  io.column(AtInsert, "bytes_out", "int8", m.bytes_out);
  io.column(AtInsert, "byte_hours", "int8", m.byte_hours);
  io.column(AtInsert, "metered", "numeric", m.metered);
  io.column(AtInsert, "charge", "numeric", m.charge);
  io.column(AtInsert, "owner_share", "numeric", m.owner_share);
  io.column(AtInsert, "payee", "uuid", m.payee);
  io.column(ByDatabase, "at", "timestamptz", m.at);
  io.column(ByDatabase, "sequence", "int8", m.sequence);
}

template <class Io>
constexpr void fields(Io& io, Is<StoredAttempt> auto& a) {
  using enum Written;
  io.column(Key, "job", "uuid", a.job);
  io.column(Key, "segment", "int4", a.segment);
  io.column(Key, "attempt", "int4", a.attempt);
  io.column(AtInsert, "session", "uuid", a.session);
  io.column(AtInsert, "session_epoch", "int8", a.session_epoch);
  io.column(AtInsert, "incarnation", "int8", a.incarnation);
  io.column(AtInsert, "slice", "uuid", a.slice);
  io.column(AtInsert, "owner", "uuid", a.owner);
  io.column(AtChange, "state", "int2", a.state);
}

inline constexpr auto kJobColumns = select_list<StoredJob, 'j'>();
inline constexpr int kJobColumnCount = column_count<StoredJob>();
inline constexpr auto kMeterColumns = select_list<MeterRow, 'm'>();
inline constexpr int kMeterColumnCount = column_count<MeterRow>();
inline constexpr auto kAttemptColumns = select_list<StoredAttempt, 'a'>();
inline constexpr int kAttemptColumnCount = column_count<StoredAttempt>();

}  // namespace quarry::sql
