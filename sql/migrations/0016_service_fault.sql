-- A job whose row cannot be read or leased ends where it waits, as a fault of the service.
drop trigger job_state on job;
create trigger job_state before update on job for each row when (old.state <> new.state and not (
  (old.state = 0 and new.state in (1, 6, 7)) or (old.state = 1 and new.state in (2, 5, 6, 7)) or
  (old.state = 2 and new.state in (1, 3, 4, 5, 6, 7)) or (old.state = 3 and new.state in (1, 4, 5, 6)))) execute function refuse_state();
