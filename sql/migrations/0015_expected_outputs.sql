-- What each completion of a job must bring, JSON as sql/outputs.h; null for jobs submitted before.
alter table job_spec add column outputs text;

-- A completion that brings anything else is rejected, whether or not its attempt said that it runs.
drop trigger attempt_state on attempt;
create trigger attempt_state before update on attempt for each row when (old.state <> new.state and not (
  (old.state = 0 and new.state in (1, 3, 4, 5, 6, 7)) or (old.state = 1 and new.state in (2, 3, 4, 5, 6, 7)) or
  (old.state = 2 and new.state in (3, 4, 6, 7)))) execute function refuse_state();
