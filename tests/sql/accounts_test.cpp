#include "tests/sql/fixture.h"

namespace quarry::test {

TEST_CASE("An account is found by its name and by its id") {
  World world;
  CHECK(world.store->find_account("renter")->id == world.renter);
  CHECK(world.store->account(world.renter)->name == "renter");
  CHECK_FALSE(world.store->find_account("nobody"));
  CHECK_THROWS(world.add_account("renter"));
}

TEST_CASE("A creation whose commit's answer was lost is repeated and finds its own row; another's row is refused") {
  World world;
  const sql::AccountRow account{AccountId::make(world.clock.wall(), world.random), "late"};
  world.store->create_account(account);
  world.store->create_account(account);
  CHECK(world.store->find_account("late")->id == account.id);
  CHECK_THROWS(world.store->create_account({account.id, "another"}));

  const sql::ApiKey key{"abc", account.id, digest("secret"), {"jobs:read"}, false};
  world.store->create_api_key(key);
  world.store->create_api_key(key);
  CHECK(world.store->api_keys(account.id).size() == 1);
  CHECK_THROWS(world.store->create_api_key({"abc", account.id, digest("other"), {}, false}));

  const BoxId box = world.store->create_box(account.id, "rack", digest("late code"));
  CHECK(world.store->create_box(account.id, "rack", digest("late code")) == box);
  CHECK_THROWS(world.store->create_box(world.renter, "rack", digest("late code")));
  CHECK(world.ask("select count(*) from audit_log where act in ('account.created', 'api_key.created', 'box.created') "
                  "and (subject in ('" +
                  account.id.to_string() + "', 'abc', '" + box.to_string() + "'))") == "3");
}

TEST_CASE("A key is found by its public part until it is revoked by its own account") {
  World world;
  sql::ApiKey key{"abc", world.renter, digest("secret"), {"jobs:read", "jobs:write"}, false};
  world.store->create_api_key(key);
  const auto found = world.store->find_api_key("abc");
  REQUIRE(found);
  CHECK(found->account == world.renter);
  CHECK(found->secret_sha256 == digest("secret"));
  CHECK(found->scopes == key.scopes);
  CHECK_FALSE(found->revoked);
  CHECK_FALSE(world.store->revoke_api_key(world.first.owner, "abc"));
  CHECK(world.store->revoke_api_key(world.renter, "abc"));
  CHECK_FALSE(world.store->revoke_api_key(world.renter, "abc"));
  CHECK(world.store->find_api_key("abc")->revoked);
  CHECK(world.store->api_keys(world.renter).size() == 1);
  CHECK_FALSE(world.store->find_api_key("' or 1=1"));
}

TEST_CASE("A deposit is credited once per reference") {
  World world;
  world.store->deposit(world.renter, dollars("0.000000000001"), "card 1");
  world.store->deposit(world.renter, dollars("0.000000000001"), "card 1");
  CHECK(world.store->balance(world.renter).available == dollars("1000.000000000001"));
  world.store->deposit(world.first.owner, dollars("2"), "card 1");
  CHECK(world.store->balance(world.first.owner).available == dollars("2"));
  CHECK_THROWS_AS(world.store->deposit(world.renter, Money(), "nothing"), std::invalid_argument);
  CHECK(world.store->reconcile().empty());
}

TEST_CASE("Administrative acts are in a chain that shows a change") {
  World world;
  CHECK(world.ask("select count(*) >= 6 from audit_log") == "t");  // accounts, boxes, claims, a deposit
  CHECK(world.store->reconcile().empty());
  world.execute("alter table audit_log disable trigger all; update audit_log set detail = 'forged' where sequence = 2");
  const auto wrong = world.store->reconcile();
  REQUIRE(wrong.size() == 1);
  CHECK_THAT(wrong[0], Catch::Contains("audit row 2"));
}

TEST_CASE("The reconciler notices a changed balance, a changed charge and changed usage") {
  World world;
  const JobId job = world.submit_job();
  world.complete(world.completion(world.lease(job, 0, world.first)));
  REQUIRE(world.store->reconcile().empty());
  SECTION("balance") {
    world.execute("update balance set amount = amount + 1 where book = 0 and amount > 0");
    CHECK(world.store->reconcile().size() == 1);
  }
  SECTION("usage") {
    world.execute("update usage_total set segments = segments + 1");
    CHECK(world.store->reconcile().size() == 1);
  }
  SECTION("charge") {
    world.execute("alter table meter disable trigger all; update meter set charge = charge + 1");
    CHECK(world.store->reconcile().size() == 3);  // against the ledger, the market's rule and the account's usage
  }
  SECTION("metered work") {
    world.execute("alter table meter disable trigger all; update meter set metered = metered + 1");
    CHECK(world.store->reconcile().size() == 2);  // against the job's work and the account's usage
  }
}

TEST_CASE("A graph or tensor belongs to those who put it and does not exist for others") {
  World world;
  world.store->put_graph(world.renter, digest("g"), 10);
  world.store->put_graph(world.renter, digest("g"), 10);
  CHECK(world.store->owns_graph(world.renter, digest("g")));
  CHECK_FALSE(world.store->owns_graph(world.first.owner, digest("g")));
  world.store->put_tensor(world.renter, digest("t"), 123, 1 << 20);
  CHECK(world.store->tensor(world.renter, digest("t"))->bytes == 123);
  CHECK_FALSE(world.store->tensor(world.first.owner, digest("t")));
}

TEST_CASE("The ledger is paged from the newest line, and its lines name the segments") {
  World world;
  for (int i = 0; i < 3; ++i) {
    const JobId job = world.submit_job();
    world.complete(world.completion(world.lease(job, 0, world.first)));
  }
  std::string next;
  std::vector<sql::LedgerLine> all;
  sql::Page page{"", 4};
  do {
    auto lines = world.store->ledger(world.renter, page, next);
    CHECK(lines.size() <= 4);
    all.insert(all.end(), lines.begin(), lines.end());
    page.after = next;
  } while (!next.empty());
  CHECK(all.size() == 1 + 3 * 5);  // a deposit; per job: reserve twice, charge once, release twice
  CHECK(all.back().kind == "deposit");
  std::map<std::string, Money> sums;
  for (const auto& line : all) sums[line.book] += line.amount;
  CHECK(sums["available"] == world.store->balance(world.renter).available);
  CHECK(sums["reserved"] == Money());
  for (const auto& line : all)
    if (line.kind == "charge") CHECK(line.segments.size() == 1);
  CHECK_THROWS_AS(world.store->ledger(world.renter, {"nonsense", 4}, next), sql::BadCursor);
}

}  // namespace quarry::test
