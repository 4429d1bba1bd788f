-- What is stored ends: a tensor some time after its last use, a job's results some time after its end. Readers stop
-- seeing them at that instant; rows are removed an hour later, and files an hour after the rows (blob_garbage), so that
-- whatever was planned while they could be seen still finds them.
alter table tensor_owner add column expires_at timestamptz not null default business_now() + interval '30 days';
create index tensor_owner_expiry on tensor_owner (expires_at);
create index tensor_owner_sha256 on tensor_owner (sha256);

-- Bytes of an account's tensors: a projection, kept by a trigger for every release; reconcile() recomputes it.
create table account_storage (account uuid primary key, bytes numeric not null check (bytes >= 0)) with (fillfactor = 45);
create function add_storage() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into account_storage as s (account, bytes)
    select c.account, sum(t.bytes) from changed c join tensor t on t.sha256 = c.sha256 group by c.account order by c.account
    on conflict (account) do update set bytes = s.bytes + excluded.bytes;
  else
    update account_storage s set bytes = s.bytes - c.bytes
    from (select c.account, sum(t.bytes) as bytes from changed c join tensor t on t.sha256 = c.sha256 group by c.account order by c.account) c
    where s.account = c.account;
  end if;
  return null;
end $$;
lock table tensor_owner in share row exclusive mode;
insert into account_storage select o.account, sum(t.bytes) from tensor_owner o join tensor t on t.sha256 = o.sha256 group by o.account;
create trigger tensor_owner_added after insert on tensor_owner referencing new table as changed for each statement execute function add_storage();
create trigger tensor_owner_removed after delete on tensor_owner referencing old table as changed for each statement execute function add_storage();

-- The files that a job's rows name. role 0: an output; 1: a carried value.
create table blob_use (sha256 bytea, job uuid, role smallint, primary key (sha256, job, role));
create index blob_use_job on blob_use (job);
insert into blob_use
  select decode(v.value->>0, 'hex'), s.job, x.role from segment s
  cross join lateral (values (0, s.outputs), (1, s.carried)) x(role, kept) cross join lateral jsonb_each(x.kept::jsonb) v
  where not exists (select from small_blob b where b.sha256 = decode(v.value->>0, 'hex')) on conflict do nothing;

-- The small ones by job as well, so that they go with it. Rows of release N-1 have no job; they stay.
alter table small_blob add column job uuid not null default '00000000-0000-0000-0000-000000000000', add column role smallint not null default 0;
alter table small_blob drop constraint small_blob_pkey, add primary key (sha256, job, role);
create index small_blob_job on small_blob (job);

-- Files that a row stopped naming. kind 0: tensors, 2: results, as in server/blobs.
create table blob_garbage (kind smallint, sha256 bytea, since timestamptz not null default now(), primary key (kind, sha256));
