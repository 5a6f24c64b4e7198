-- What applications do with a small database: inserts in a transaction, an index, queries, updates, a join.
create table account (id integer primary key, owner text, balance integer);
create table movement (id integer primary key, account integer, amount integer, note text);
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
insert into account select i, 'owner ' || (i * 7919 % 2000), 100 from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 25000)
insert into movement select i, i * 7919 % 2000 + 1, i * 31 % 211 - 100, 'movement number ' || i from n;
commit;
create index movement_account on movement (account);
update account set balance = balance + (select sum(amount) from movement where movement.account = account.id);
create temp table answer as
select sum(balance) as a, max(owner) as b from account
union all
select count(*), max(note) from movement where note like '%77%'
union all
select count(*), min(owner) from (
    select owner, sum(amount) as moved from account join movement on movement.account = account.id
    group by owner having moved > 0 order by moved desc
);
select group_concat(a || ':' || b, ' ') from answer;
