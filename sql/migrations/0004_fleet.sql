-- Boxes, their devices and slices, their sessions, and the leading scheduler.
create table box (
  id uuid primary key,
  account uuid not null references account,
  name text not null check (length(name) between 1 and 200),
  claim_code_sha256 bytea not null unique check (length(claim_code_sha256) = 32),
  key_sha256 bytea check (length(key_sha256) = 32),  -- null until claimed
  created_at timestamptz not null default business_now(),
  claimed_at timestamptz,
  revoked_at timestamptz
);
create index box_account on box (account, id);

create table device (
  id uuid primary key,
  box uuid not null references box,
  key text not null,
  name text not null,
  backend text not null,
  driver text not null,
  memory_bytes bigint not null,
  compute_units int not null check (compute_units > 0),
  rate_card text not null,  -- JSON {name: number}
  seen_at timestamptz not null,
  unique (box, key)
);

-- An enforceable range of a device's units. The exclusion constraint forbids that a unit is sold twice.
create table slice (
  id uuid primary key,
  device uuid not null references device,
  index int not null,
  units int4range not null check (not isempty(units)),
  memory_bytes bigint not null check (memory_bytes >= 0),
  flops_per_s double precision not null check (flops_per_s > 0),  -- predicts durations; never a bill
  slots int not null check (slots between 1 and 4096),
  retired_at timestamptz,
  exclude using gist (device with =, units with &&) where (retired_at is null)
);
create unique index slice_current on slice (device, index) where retired_at is null;

create sequence session_epoch;
create table box_session (
  id uuid primary key,
  box uuid not null references box,
  epoch bigint not null unique default nextval('session_epoch'),
  incarnation bigint not null,
  opened_at timestamptz not null,
  closed_at timestamptz
);
create index box_session_open on box_session (opened_at) where closed_at is null;

-- One row: who leads, until when by the database's clock. Each of a leader's transactions holds it shared until its commit.
create table leader (
  only_row boolean primary key default true check (only_row),
  epoch bigint not null,
  holder text not null,
  address text not null,
  expires_at timestamptz not null
) with (fillfactor = 45);
insert into leader (epoch, holder, address, expires_at) values (0, '', '', '-infinity');
