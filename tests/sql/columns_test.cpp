#include "sql/columns.h"

#include "sql/job_columns.h"
#include "tests/sql/fixture.h"

namespace quarry::test {
namespace {

/// "name type, ..." of the columns in their order, as information_schema names the types.
class NamesAndTypes {
 public:
  template <class T>
  void column(sql::Written, std::string_view name, std::string_view type, T&) {
    columns.emplace_back(name, type);
  }
  std::vector<std::pair<std::string, std::string>> columns;
};

template <class Row>
void check_columns(World& world, const std::string& table) {
  NamesAndTypes io;
  Row row;
  sql::fields(io, row);
  for (const auto& [name, type] : io.columns) {
    INFO(table << "." << name);
    CHECK(world.ask("select udt_name from information_schema.columns where table_name = '" + table +
                    "' and column_name = '" + name + "' union all select 'no such column'") == type);
  }
}

struct Pair {
  JobId id;
  std::optional<EndReason> reason;
  WallTime at;
  UInt128 count = 0;
};
template <class Io>
constexpr void fields(Io& io, sql::Is<Pair> auto& p) {
  using enum sql::Written;
  io.column(Key, "id", "uuid", p.id);
  io.column(AtChange, "reason", "int2", p.reason);
  io.column(ByDatabase, "at", "timestamptz", p.at);
  io.column(AtInsert, "count", "numeric", p.count);
}

}  // namespace

TEST_CASE("Each column of the table of columns is one of its table in PostgreSQL, with the type of its parameter") {
  World world;
  check_columns<sql::StoredJob>(world, "job");
  check_columns<sql::MeterRow>(world, "meter");
  check_columns<sql::StoredAttempt>(world, "attempt");
}

TEST_CASE("A select list, an insert's columns and types, and an update's assignments follow from one list") {
  constexpr auto select = sql::select_list<Pair, 'p'>();
  CHECK(sql::view(select) == "p.id, p.reason, micros(p.at), p.count");
  constexpr auto names = sql::column_names<Pair, sql::inserted>();
  CHECK(sql::view(names) == "id, count");
  constexpr auto types = sql::column_parameters<Pair, sql::key_or_changed>();
  CHECK(sql::view(types) == "$1::uuid[], $2::int2[]");
  constexpr auto assignments = sql::column_assignments<Pair, sql::changed>();
  CHECK(sql::view(assignments) == "reason = u.reason");
  CHECK(sql::column_count<Pair>() == 4);
}

TEST_CASE("Rows travel to PostgreSQL as one array a column, and come back equal") {
  World world;
  sql::Connection connection(world.target);
  std::vector<Pair> rows{{JobId::make(world.clock.wall(), world.random), EndReason::Drained, {}, 0},
                         {JobId::make(world.clock.wall(), world.random), std::nullopt, {}, ~UInt128{0}}};
  sql::ColumnArrays<sql::any_column> arrays;
  for (const auto& row : rows) arrays.add(row);
  sql::Connection::Transaction tx(connection);
  static constexpr auto kRead = sql::joined(
      "select p.id, p.reason, 5, p.count from unnest($1::uuid[], $2::int2[], $3::numeric[]) with ordinality p(id, "
      "reason, count, n) order by n");
  const auto read = tx.queue_params(kRead, arrays.take());
  const auto unanswered = tx.queue("select 1");
  const sql::Answers answers = tx.flush();
  REQUIRE(answers[read].size() == 2);
  for (size_t n = 0; n < rows.size(); ++n) {
    const auto found = sql::read_row<Pair>(answers[read], n);
    CHECK(found.id == rows[n].id);
    CHECK(found.reason == rows[n].reason);
    CHECK(found.count == rows[n].count);
    CHECK(found.at.micros == 5);
  }
  CHECK_NOTHROW(answers[unanswered]);
  const auto later = tx.queue("select 2");
  CHECK_THROWS_AS(answers[later], std::logic_error);
}

}  // namespace quarry::test
