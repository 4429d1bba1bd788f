-- Time, the cluster's identity, accounts, keys, the audit log.
create extension if not exists btree_gist;

-- Business time: what a bill says. The one source; tests move it with  alter database ... set quarry.clock_offset = '3 days'.
create function business_now() returns timestamptz language sql stable as $$
  select now() + coalesce(nullif(current_setting('quarry.clock_offset', true), ''), '0')::interval
$$;

-- The incarnation is part of every fence: renewed at each restore or promotion, so that work leased by a lost future is refused.
create table cluster (
  only_row boolean primary key default true check (only_row),
  incarnation bigint not null check (incarnation > 0),
  event_base bigint not null default 0  -- keeps event sequences rising when a restore sets transaction ids back
);
create function random_incarnation() returns bigint language sql volatile as $$
  select greatest(1, ('x' || substr(replace(gen_random_uuid()::text, '-', ''), 17, 16))::bit(64)::bigint & 9223372036854775807)
$$;
insert into cluster (incarnation) values (random_incarnation());

create table account (
  id uuid primary key,
  name text not null unique check (length(name) between 1 and 200),
  created_at timestamptz not null default business_now()
);
-- The operator's own account: the other side of deposits, and its revenue.
insert into account (id, name) values ('00000000-0000-7000-8000-000000000001', 'operator');

create table api_key (
  id text primary key check (length(id) between 1 and 64),
  account uuid not null references account,
  secret_sha256 bytea not null check (length(secret_sha256) = 32),
  scopes text[] not null,
  created_at timestamptz not null default business_now(),
  revoked_at timestamptz
);
create index api_key_account on api_key (account);

-- Answers given to Idempotency-Keys: written with the effect, honoured for 48 hours.
create table idempotency (
  account uuid not null,
  key text not null,
  request_sha256 bytea not null,
  status int not null,
  answer text not null,
  created_at timestamptz not null,
  primary key (account, key)
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or removed: write a reversing row', tg_table_name using errcode = '55000';
end $$;

-- Administrative acts. Each row's hash covers the row before it, so that a removed or altered row shows.
create table audit_log (
  sequence bigint primary key,
  at timestamptz not null,
  act text not null,
  subject text not null,
  detail text not null,
  hash bytea not null
);
create trigger audit_log_append_only before update or delete or truncate on audit_log
  for each statement execute function refuse_change();

create function audit_hash(previous bytea, sequence bigint, at timestamptz, act text, subject text, detail text)
returns bytea language sql immutable as $$
  select sha256(previous || convert_to(jsonb_build_array(sequence, extract(epoch from at), act, subject, detail)::text, 'UTF8'))
$$;
create function audit(act text, subject text, detail text) returns void language plpgsql as $$
declare
  last audit_log;
begin
  perform pg_advisory_xact_lock(4242001);  -- the chain has one end
  select * into last from audit_log order by sequence desc limit 1;
  insert into audit_log values (coalesce(last.sequence, 0) + 1, business_now(), act, subject, detail,
    audit_hash(coalesce(last.hash, '\x'), coalesce(last.sequence, 0) + 1, business_now(), act, subject, detail));
end $$;

create function micros(at timestamptz) returns bigint language sql immutable strict as $$
  select (extract(epoch from at) * 1000000)::bigint
$$;
