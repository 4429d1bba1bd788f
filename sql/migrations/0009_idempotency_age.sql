-- The oldest answers are forgotten first, a batch at a time; rows come in the order of their age, so this index grows at its end only.
create index idempotency_age on idempotency (created_at);
