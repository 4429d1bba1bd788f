// Applies migrations in order, each in a transaction of its own with the row that records it. A session-level advisory
// lock lets one process work and the others wait. Expand only: release N's schema serves release N-1.
#include "sql/connection.h"
#include "sql/migrations.h"
#include "sql/store.h"

namespace quarry::sql {
namespace {

constexpr Statement kApplied = "select sha256 from schema_migration where name = $1";

void apply(Connection& connection, const Migration& migration) {
  const Digest digest = sha256(std::string_view(migration.sql));
  {
    Connection::Transaction tx(connection);
    const Rows applied = tx.query(kApplied, std::string(migration.name));
    if (!applied.empty()) {
      if (applied.get<Digest>(0, 0) != digest)
        throw SqlError(std::string("migration ") + migration.name +
                           " was applied in another form; published migrations never change: add a new one",
                       "");
      return;
    }
  }
  connection.script("begin;\n" + std::string(migration.sql) +
                    "\n;insert into schema_migration (name, sha256) values ('" + migration.name + "', '" +
                    sql_text(digest) + "');commit");
}

}  // namespace

void migrate(const std::string& target) {
  Connection connection(target);
  connection.script("select pg_advisory_lock(4242000)");  // released when the connection closes
  connection.script(
      "create table if not exists schema_migration (name text primary key, sha256 bytea not null, applied_at "
      "timestamptz not null default now())");
  for (const auto& migration : migrations()) apply(connection, migration);
}

}  // namespace quarry::sql
