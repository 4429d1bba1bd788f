-- What waits and what runs is looked for every few seconds, so the part of the table job that is read for it must stay small however many
-- jobs have ended, while one trains for a month, and while one waits that no box can run. Every open job is at or above `recent`, or it
-- is in old_job. `floor`, under which every job has ended, is what release N-1 starts from.
alter table queue_floor add column recent uuid not null default '00000000-0000-0000-0000-000000000000';
update queue_floor set recent = floor;
create table old_job (job uuid primary key);

-- The least id of a job made at that time: ids begin with milliseconds.
create function first_job_id(at timestamptz) returns uuid language sql stable as $$
  select rpad(lpad(to_hex((extract(epoch from at) * 1000)::int8), 12, '0'), 32, '0')::uuid
$$;

-- Submissions hold the lock shared from before they look at `recent` until their commit: whoever may still insert a job below the new
-- value is waited for, and whoever comes later sees the new value and pulls it down. The ten seconds only make that rare. A job that is
-- open for five minutes is passed by; at most `most` of them, so that a long queue is not copied. Who waits for the lock keeps submissions
-- waiting too, so it gives up soon where a server has stopped in the middle of one: the next look raises it.
create function raise_recent(most int) returns void language plpgsql as $$
declare
  was uuid;
  reached uuid;
begin
  begin
    perform set_config('lock_timeout', '100ms', true);
    perform pg_advisory_xact_lock(4242002);
    perform set_config('lock_timeout', '0', true);
  exception when lock_not_available then
    return;
  end;
  delete from old_job o where (select j.state from job j where j.id = o.job) >= 4;
  select recent into was from queue_floor;
  insert into old_job
    select j.id from job j where j.id >= was and j.id < first_job_id(now() - interval '5 minutes') and j.state < 4
    order by j.id limit greatest(0, most - (select count(*) from old_job)) on conflict do nothing;
  select j.id into reached from job j where j.id >= was and j.id < first_job_id(now() - interval '10 seconds') and j.state < 4
    and not exists (select from old_job o where o.job = j.id) order by j.id limit 1;
  update queue_floor set recent = greatest(was, coalesce(reached, first_job_id(now() - interval '10 seconds')));
  update queue_floor set floor = greatest(floor, least(recent, first_job_id(now() - interval '1 hour'),
    (select job from old_job order by job limit 1)));
end $$;

-- The attempts of a session among recent jobs, not all that it ever had: sessions last as long as a worker runs.
create index attempt_session_job on attempt (session, job);
drop index attempt_session;
