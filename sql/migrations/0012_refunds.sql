-- A job that ends by the service's fault is refunded: from the operator's revenue, which may go below zero, for owners keep their shares.
insert into ledger_kind values (5, 'refund');
alter table balance drop constraint balance_check, add constraint balance_check check (amount >= 0 or book in (4, 5));
