-- Leases commit without waiting for the disk, so a crash of PostgreSQL may forget the last of them. Their transaction ids may then come
-- again, and with them the sequences of events that a reader has seen already: it would take the new events for old ones. So sequences
-- jump at each crash, farther than the log writer can lag behind (2^20 transactions; it lags 0.6 s at most).
-- An unlogged table is emptied by crash recovery and by nothing else; every connection asks before its first transaction.
create unlogged table unbroken (only_row boolean primary key default true check (only_row));
create function notice_crash() returns boolean language plpgsql as $$
begin
  if exists (select from unbroken) then return false; end if;
  insert into unbroken default values on conflict do nothing;  -- waits for whoever noticed first
  if not found then return false; end if;
  update cluster set event_base = event_base + (1::bigint << 40);
  return true;
end $$;
