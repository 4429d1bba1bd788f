#include <set>
#include <thread>

#include "engine/meter/meter.h"
#include "sql/tariff.h"
#include "tests/sql/fixture.h"

namespace quarry::test {

TEST_CASE("Migrations run once, also when several processes start together") {
  const std::string target = Postgres::shared().empty_database();
  std::vector<std::thread> starters;
  for (int i = 0; i < 4; ++i) starters.emplace_back([&] { sql::migrate(target); });
  for (auto& starter : starters) starter.join();
  World world(target);
  CHECK(world.ask("select count(*) = count(distinct name) from schema_migration") == "t");
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("A migration that was changed after it was applied stops the start") {
  const std::string target = Postgres::shared().fresh_database();
  World world(target);
  world.execute("update schema_migration set sha256 = '\\x00' || substr(sha256, 2) where name = '0001_accounts'");
  CHECK_THROWS_WITH(sql::migrate(target), Catch::Contains("0001_accounts was applied in another form"));
}

TEST_CASE("What was used before totals were kept is in them after the migration") {
  const std::string target = Postgres::shared().fresh_database();
  World world(target);
  const auto meter_one_job = [&] { world.complete(world.completion(world.lease(world.submit_job(), 0, world.first))); };
  meter_one_job();
  world.execute(
      "drop trigger meter_usage on meter; drop function add_usage; drop table usage_total; "
      "delete from schema_migration where name = '0008_usage_total'");
  meter_one_job();
  sql::migrate(target);
  meter_one_job();
  CHECK(world.store->usage_totals(world.renter).segments == 3);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("The guards of jobs and attempts are the edges of common/lifecycle.h") {
  World world;
  world.lease(world.submit_job(), 0, world.first);  // one row in each table
  world.execute(R"(create function edges(guarded text) returns text language plpgsql as $$
    declare
      edges text := '';
    begin
      for b in 0..7 loop
        for a in 0..7 loop
          execute format('alter table %I disable trigger %I', guarded, guarded || '_state');
          execute format('update %I set state = %s', guarded, b);
          execute format('alter table %I enable trigger %I', guarded, guarded || '_state');
          begin
            execute format('update %I set state = %s', guarded, a);
            if a <> b then edges := ltrim(edges || format(' %s>%s', b, a)); end if;
          exception when check_violation then
          end;
        end loop;
      end loop;
      return edges;
    end $$)");
  const auto guarded = [&](const std::string& table) { return world.ask("select edges('" + table + "')"); };
  const auto listed = [](const auto& edges) {
    std::set<std::pair<int, int>> sorted;
    for (const auto& edge : edges) sorted.emplace(static_cast<int>(edge.from), static_cast<int>(edge.to));
    std::string text;
    for (const auto& [from, to] : sorted)
      text += (text.empty() ? "" : " ") + std::to_string(from) + ">" + std::to_string(to);
    return text;
  };
  CHECK(guarded("job") == listed(kJobEdges));
  CHECK(guarded("attempt") == listed(kAttemptEdges));
}

TEST_CASE("Charges derive from the same constants as the meter's counts") {
  static_assert(sql::kTariffs.size() == static_cast<size_t>(meter::kNewestTariff));
  for (const sql::Tariff& tariff : sql::kTariffs) {
    CHECK(tariff.flops_per_byte == meter::kFlopsPerByte);
    CHECK(tariff.flops_per_stored_value == meter::kFlopsPerStoredValue);
    CHECK(tariff.flops_per_job == meter::kFlopsPerJob);
  }
}

TEST_CASE("The names of books and kinds in the database are the market's") {
  World world;
  using market::Book, market::EventKind;
  for (const auto book : {Book::Available, Book::Reserved, Book::Pending, Book::Payable, Book::Revenue, Book::Deposits})
    CHECK(world.ask("select name from book where id = " + std::to_string(static_cast<int>(book))) ==
          market::name(book));
  for (const auto kind :
       {EventKind::Deposit, EventKind::Reserve, EventKind::Charge, EventKind::Release, EventKind::Reversal})
    CHECK(world.ask("select name from ledger_kind where id = " + std::to_string(static_cast<int>(kind))) ==
          market::name(kind));
}

TEST_CASE("The database itself refuses what would break the books") {
  World world;
  const JobId job = world.submit_job();
  SECTION("an ended job does not run again") {
    world.cancel(job);
    CHECK_THAT(world.execute("update job set state = 2"), Catch::Contains("cannot go from state 6 to 2"));
  }
  SECTION("history is not rewritten") {
    for (const std::string table : {"transfer", "transfer_line", "entry", "deposit", "meter", "audit_log"}) {
      CHECK_THAT(world.execute("delete from " + table), Catch::Contains("never changed or removed"));
      CHECK_THAT(world.execute("truncate " + table), Catch::Contains("never changed or removed"));
    }
    CHECK_THAT(world.execute("update entry set amount = amount * 2"), Catch::Contains("never changed or removed"));
  }
  SECTION("a transfer that does not sum to zero is not stored") {
    CHECK_THAT(world.execute("insert into entry select account, gen_random_uuid(), 0, 5 from balance limit 1"),
               Catch::Contains("do not sum to zero"));
  }
  SECTION("a balance does not go below zero") {
    CHECK_THAT(world.execute("update balance set amount = -0.000000000001 where book = 0"),
               Catch::Contains("violates check constraint"));
  }
  SECTION("a job is never charged more than its limit") {
    CHECK_THAT(world.execute("update job set spent = limit_amount + 1"), Catch::Contains("violates check constraint"));
  }
}

TEST_CASE("Updates of a job are heap-only: no index holds a column that changes") {
  World world;
  for (int i = 0; i < 20; ++i) {
    const JobId job = world.submit_job();
    world.complete(world.completion(world.lease(job, 0, world.first)));
  }
  world.store.reset();  // an ending session hands in its statistics
  std::string updates;
  for (int wait = 0; wait < 3'000 && updates != "40"; ++wait) {
    updates =
        world.ask("select pg_stat_force_next_flush(), n_tup_upd from pg_stat_user_tables where relname = 'job'").empty()
            ? world.ask("select n_tup_upd from pg_stat_user_tables where relname = 'job'")
            : "";
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(
      world.ask("select n_tup_upd = n_tup_hot_upd and n_tup_upd = 40 from pg_stat_user_tables where relname = 'job'") ==
      "t");
  CHECK(world.ask("select n_tup_upd = n_tup_hot_upd from pg_stat_user_tables where relname = 'balance'") == "t");
}

TEST_CASE("Business time can be moved by tests and is what bills say") {
  World world;
  world.execute(
      "do $$ begin execute format('alter database %I set quarry.clock_offset = ''3 days''', current_database()); end "
      "$$");
  world.store = sql::Store::open(world.target, world.clock, world.random);
  const JobId job = world.submit_job();
  const int64_t ahead = world.job(job).submitted_at.micros - world.clock.wall().micros;
  CHECK(ahead > 71ll * 3'600 * 1'000'000);
}

}  // namespace quarry::test
