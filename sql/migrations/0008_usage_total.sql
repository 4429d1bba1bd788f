-- What an account has used in all: a projection of its meter records, kept in the same transaction, so that asking for it costs the same
-- after years as after a day. A trigger keeps it, so it holds for every release that meters. reconcile() recomputes it.
create table usage_total (
  account uuid primary key,
  segments bigint not null,  -- accepted ones; the minimum of a job without any counts in the other figures only
  flops numeric not null,
  metered numeric not null,
  bytes numeric not null,
  charge numeric(38,12) not null
) with (fillfactor = 45);

-- Accounts in order, so that two batches cannot wait for each other.
create function add_usage() returns trigger language plpgsql as $$
begin
  insert into usage_total as t (account, segments, flops, metered, bytes, charge)
  select account, count(*) filter (where segment >= 0), sum(flops), sum(metered), sum(bytes), sum(charge)
  from inserted group by account order by account
  on conflict (account) do update set segments = t.segments + excluded.segments, flops = t.flops + excluded.flops,
    metered = t.metered + excluded.metered, bytes = t.bytes + excluded.bytes, charge = t.charge + excluded.charge;
  return null;
end $$;

-- Nothing may be metered between the sum and the trigger.
lock table meter in share row exclusive mode;
insert into usage_total select account, count(*) filter (where segment >= 0), sum(flops), sum(metered), sum(bytes), sum(charge)
from meter group by account;
create trigger meter_usage after insert on meter referencing new table as inserted for each statement execute function add_usage();
