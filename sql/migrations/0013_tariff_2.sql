-- Tariff 2: what a checkpoint moves is metered, and a meter record says by which tariff its work was counted. The jobs
-- and records of before were counted by tariff 1, which bills no checkpoints.
alter table job add column checkpoint_bytes numeric(39) not null default 0 check (checkpoint_bytes >= 0);
alter table meter add column tariff smallint not null default 1;
