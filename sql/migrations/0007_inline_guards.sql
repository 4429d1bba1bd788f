-- The same guards, written out. A condition is read anew for each statement, and a function in it is parsed and inlined each time: at
-- four jobs a statement that was about a tenth of PostgreSQL's processor time. A test tries every edge.
drop trigger job_state on job;
create trigger job_state before update on job for each row when (old.state <> new.state and not (
  (old.state = 0 and new.state in (1, 6, 7)) or (old.state = 1 and new.state in (2, 6, 7)) or
  (old.state = 2 and new.state in (1, 3, 4, 5, 6, 7)) or (old.state = 3 and new.state in (1, 4, 5, 6)))) execute function refuse_state();
drop trigger attempt_state on attempt;
create trigger attempt_state before update on attempt for each row when (old.state <> new.state and not (
  (old.state = 0 and new.state in (1, 3, 5, 6, 7)) or (old.state = 1 and new.state in (2, 3, 5, 6, 7)) or
  (old.state = 2 and new.state in (3, 4, 6, 7)))) execute function refuse_state();
drop function job_may_go, attempt_may_go;
