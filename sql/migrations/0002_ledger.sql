-- Double entry, append only. Kinds and books are numbered as in market/market.h.
create table ledger_kind (id smallint primary key, name text not null unique);
insert into ledger_kind values (0, 'deposit'), (1, 'reserve'), (2, 'charge'), (3, 'release'), (4, 'reversal');
create table book (id smallint primary key, name text not null unique);
insert into book values (0, 'available'), (1, 'reserved'), (2, 'pending'), (3, 'payable'), (4, 'revenue'), (5, 'deposits');

-- One transfer per (kind, account, commit batch); its lines name what it sums.
create table transfer (
  id uuid primary key,
  kind smallint not null,
  account uuid not null,
  at timestamptz not null
);

-- The natural key of a movement, for ever: a job is reserved once, a segment charged once (revision counts reversals), the rest released
-- once. Segment -1 stands for the job itself. Lines of deposits are in `deposit`.
create table transfer_line (
  job uuid not null,
  kind smallint not null,
  segment int not null,
  revision int not null default 0,
  transfer uuid not null,
  amount numeric(38,12) not null check (amount >= 0),
  primary key (job, kind, segment, revision)
);
create index transfer_line_transfer on transfer_line (transfer);

create table deposit (
  account uuid not null references account,
  reference text not null check (length(reference) between 1 and 200),
  transfer uuid not null,
  amount numeric(38,12) not null check (amount > 0),
  primary key (account, reference)
);

create table entry (
  account uuid not null,
  transfer uuid not null,
  book smallint not null,
  amount numeric(38,12) not null check (amount <> 0),
  primary key (account, transfer, book)
);

-- A projection of the entries, kept in the same transaction; reconcile() recomputes it. Only `deposits`, the outside world, may be negative.
create table balance (
  account uuid not null references account,
  book smallint not null references book,
  amount numeric(38,12) not null default 0 check (amount >= 0 or book = 5),
  primary key (account, book)
) with (fillfactor = 45);
insert into balance select account.id, book.id from account, book;

-- The entries of a transfer are inserted by one statement, so the sum is checked once a statement and not once a row.
create function entries_sum_to_zero() returns trigger language plpgsql as $$
declare
  wrong uuid;
begin
  select transfer into wrong from inserted group by transfer having sum(amount) <> 0 limit 1;
  if found then
    raise exception 'the entries of transfer % do not sum to zero', wrong using errcode = '23514';
  end if;
  return null;
end $$;
create trigger entry_sums_to_zero after insert on entry referencing new table as inserted
  for each statement execute function entries_sum_to_zero();

create trigger transfer_append_only before update or delete or truncate on transfer for each statement execute function refuse_change();
create trigger transfer_line_append_only before update or delete or truncate on transfer_line for each statement execute function refuse_change();
create trigger deposit_append_only before update or delete or truncate on deposit for each statement execute function refuse_change();
create trigger entry_append_only before update or delete or truncate on entry for each statement execute function refuse_change();
