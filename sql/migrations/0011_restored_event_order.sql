-- A restore that sets transaction ids back leaves jobs whose latest event was numbered by a transaction of the lost history: no younger
-- one would ever come to change them. The positions of events rise past that history, so nothing is left to keep them in order with.
create or replace function renew_incarnation() returns void language sql volatile as $$
  update cluster set incarnation = random_incarnation(),
    event_base = greatest(event_base, coalesce((select max(sequence) from event), 0) - (pg_current_xact_id()::text::bigint << 20) + 1048576);
  update job set event_xid = 0 where event_xid >= pg_current_xact_id()::text::bigint
$$;
