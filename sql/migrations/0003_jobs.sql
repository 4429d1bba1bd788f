-- Jobs, attempts, segments, meter records, events. No index holds a column that changes, and pages are left half empty, so that every
-- update of a job is heap-only. References between these tables are kept by the statements that write them and checked by reconcile(): a
-- foreign key would lock a shared row for each insert.

-- Rows of graphs and tensors; the bytes lie in the server's blob store. Owners are apart: a hash is not a right to read.
create table graph (id bytea primary key check (length(id) = 32), bytes bigint not null check (bytes >= 0), created_at timestamptz not null default business_now());
create table graph_owner (account uuid not null, graph bytea not null references graph, primary key (account, graph));
create table tensor (sha256 bytea primary key check (length(sha256) = 32), bytes bigint not null check (bytes >= 0), created_at timestamptz not null default business_now());
create table tensor_owner (account uuid not null, sha256 bytea not null references tensor, primary key (account, sha256));
create table small_blob (sha256 bytea primary key, bytes bytea not null, created_at timestamptz not null);

create table job (
  id uuid primary key,  -- time-ordered
  account uuid not null,
  graph bytea not null,
  submitted_at timestamptz not null,
  tariff smallint not null,
  memory_bound_bytes bigint not null check (memory_bound_bytes >= 0),
  dtypes bigint not null,
  first_step bigint not null check (first_step >= 0),
  steps bigint not null check (steps between 1 and 2147483647),
  steps_per_segment bigint not null check (steps_per_segment >= 1),
  -- the work of one step, counted at submit; meter records multiply it
  step_flops numeric(39) not null check (step_flops >= 0),
  step_weighted16 numeric(39) not null check (step_weighted16 >= 0),
  step_weighted32 numeric(39) not null check (step_weighted32 >= 0),
  step_weighted64 numeric(39) not null check (step_weighted64 >= 0),
  step_bytes numeric(39) not null check (step_bytes >= 0),
  step_stored_values bigint not null check (step_stored_values >= 0),
  bytes_in bigint not null check (bytes_in >= 0),
  bytes_out bigint not null check (bytes_out >= 0),
  byte_hours bigint not null check (byte_hours >= 0),
  -- prices, frozen at submit
  per_pflop numeric(38,12) not null check (per_pflop >= 0),
  per_gib_in numeric(38,12) not null check (per_gib_in >= 0),
  per_gib_out numeric(38,12) not null check (per_gib_out >= 0),
  per_gib_hour numeric(38,12) not null check (per_gib_hour >= 0),
  take_ppm int not null check (take_ppm between 0 and 1000000),
  limit_amount numeric(38,12) not null check (limit_amount >= 0),
  -- what changes
  state smallint not null,
  segment int not null default 0,       -- the one that runs or runs next
  attempt int not null default 0,       -- of that segment; 0: none yet
  steps_accepted bigint not null default 0 check (steps_accepted between 0 and steps),
  spent numeric(38,12) not null default 0 check (spent between 0 and limit_amount),
  event_xid bigint not null default 0,  -- the transaction that wrote the job's latest event: see event
  started_at timestamptz,
  ended_at timestamptz,
  end_reason smallint,
  failure_detail text not null default ''
) with (fillfactor = 45);
create index job_account on job (account, id);

-- What only a lease or a reader needs, apart, so that updates of a job stay small.
create table job_spec (
  job uuid primary key,
  document text not null,
  inputs text not null  -- JSON {name: [[sha256, offset, bytes], ...]}
);

create table attempt (
  job uuid not null,
  segment int not null,
  attempt int not null,
  session uuid not null,
  session_epoch bigint not null,
  incarnation bigint not null,
  slice uuid not null,
  owner uuid not null,
  leased_at timestamptz not null,
  state smallint not null,
  ended_at timestamptz,
  end_reason smallint,
  failure_code text,
  failure_detail text,
  device_ns bigint,
  compile_ns bigint,
  energy_joules double precision,
  schedules_hash text,
  primary key (job, segment, attempt)
) with (fillfactor = 45);
create index attempt_session on attempt (session);

-- One row an accepted segment: its durable outcome. Revisions are for reversals after a failed check.
create table segment (
  job uuid not null,
  segment int not null,
  revision int not null default 0,
  attempt int not null,
  session_epoch bigint not null,
  accepted_at timestamptz not null,
  outputs text not null,  -- JSON {name: [sha256, bytes]}: the kept values
  carried text not null,  -- the same of the carried inputs, the next segment's start; {} after the last
  primary key (job, segment, revision)
);

-- The metered work of a segment: the whole vector; `metered` and `charge` derive from it and from the job's tariff and prices.
-- Segment -1 is the minimum of a job that ended before any segment was accepted.
create table meter (
  job uuid not null,
  segment int not null,
  revision int not null default 0,
  account uuid not null,
  sequence bigint generated always as identity,
  at timestamptz not null,
  steps bigint not null,
  flops numeric(39) not null,
  weighted16 numeric(39) not null,
  weighted32 numeric(39) not null,
  weighted64 numeric(39) not null,
  bytes numeric(39) not null,
  stored_values numeric(39) not null,
  bytes_in bigint not null,
  bytes_out bigint not null,
  byte_hours bigint not null,
  metered numeric(39) not null,
  charge numeric(38,12) not null check (charge >= 0),
  owner_share numeric(38,12) not null check (owner_share between 0 and charge),
  payee uuid,  -- the account of the box; null when nobody ran any of it
  primary key (job, segment, revision)
);
create index meter_account on meter (account, sequence);
create trigger meter_append_only before update or delete or truncate on meter for each statement execute function refuse_change();

-- The outbox of events. A sequence is (transaction id << 20) + ordinal, so its order is the order of transaction ids, and a reader
-- that stops below the oldest transaction still running (pg_snapshot_xmin) can miss nothing: no lock is held from numbering to
-- commit. Two racing transactions might number one job's events against their true order; job.event_xid shows that, and the
-- transaction with the smaller id starts again with a new one.
create table event (
  sequence bigint primary key,
  account uuid not null,
  job uuid not null,
  kind text not null,
  payload text not null,
  at timestamptz not null
);
create index event_job on event (job, sequence);
create function event_horizon() returns bigint language sql stable as $$
  select event_base + (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20) from cluster
$$;
-- After a restore or a promotion, before anything else connects: old fences and old event positions must not fit the new history.
create function renew_incarnation() returns void language sql volatile as $$
  update cluster set incarnation = random_incarnation(),
    event_base = greatest(event_base, coalesce((select max(sequence) from event), 0) - (pg_current_xact_id()::text::bigint << 20) + 1048576)
$$;

-- Every job below the floor has ended: a rebuild of the ready queue starts there instead of reading all history.
create table queue_floor (only_row boolean primary key default true check (only_row), floor uuid not null);
insert into queue_floor (floor) values ('00000000-0000-0000-0000-000000000000');

-- The edges of common/lifecycle.h; a test holds them equal.
create table job_edge (before smallint, after smallint, primary key (before, after));
insert into job_edge values (0,1),(0,6),(0,7),(1,2),(1,6),(1,7),(2,1),(2,3),(2,4),(2,5),(2,6),(2,7),(3,1),(3,4),(3,5),(3,6);
create table attempt_edge (before smallint, after smallint, primary key (before, after));
insert into attempt_edge values (0,1),(0,3),(0,5),(0,6),(0,7),(1,2),(1,3),(1,5),(1,6),(1,7),(2,3),(2,4),(2,6),(2,7);

create function guard_job_state() returns trigger language plpgsql as $$
begin
  if not exists (select from job_edge where before = old.state and after = new.state) then
    raise exception 'job % cannot go from state % to %', old.id, old.state, new.state using errcode = '23514';
  end if;
  return new;
end $$;
create trigger job_state before update on job for each row when (old.state <> new.state) execute function guard_job_state();
create function guard_attempt_state() returns trigger language plpgsql as $$
begin
  if not exists (select from attempt_edge where before = old.state and after = new.state) then
    raise exception 'attempt % of segment % of job % cannot go from state % to %', old.attempt, old.segment, old.job, old.state, new.state
      using errcode = '23514';
  end if;
  return new;
end $$;
create trigger attempt_state before update on attempt for each row when (old.state <> new.state) execute function guard_attempt_state();
