#include "sql/connection.h"

#include <libpq-fe.h>

#include "sql/store.h"

namespace quarry::sql {
namespace {

// Under batched statements the planner's guess of a few rows flips between index scans and whole-table joins; these
// settings leave it only the plan that stays right at every batch and table size.
// A machine that vanishes inside of a transaction would keep its locks, the leader's among them, until TCP gives up
// after two hours: what is idle there for so long is rolled back. Between two statements a transaction takes
// milliseconds.
constexpr const char* kSession =
    "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set enable_material = off;"
    "set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan; set jit = off; set client_min_messages = "
    "warning;"
    "set datestyle = iso; set timezone = 'UTC'; set bytea_output = hex; set extra_float_digits = 1;"
    "set idle_in_transaction_session_timeout = '30s'";

std::string statement_name(Statement statement) {
  return "s" + std::to_string(reinterpret_cast<uintptr_t>(statement.text()));
}

bool lost(std::string_view state) {
  return state.empty() || state.starts_with("08") || state.starts_with("57P") || state.starts_with("53") ||
         state.starts_with("58") || state == "25006";
}
bool conflict(std::string_view state) {
  return state.starts_with("40") || state == "23505" || state == "55P03";
}

}  // namespace

Rows::Rows(pg_result* result) : result_(result, PQclear) {}
size_t Rows::size() const {
  return static_cast<size_t>(PQntuples(result_.get()));
}
bool Rows::is_null(size_t row, int column) const {
  return PQgetisnull(result_.get(), static_cast<int>(row), column) != 0;
}
std::string_view Rows::text(size_t row, int column) const {
  const int r = static_cast<int>(row);
  return {PQgetvalue(result_.get(), r, column), static_cast<size_t>(PQgetlength(result_.get(), r, column))};
}

const Rows& Answers::operator[](Queued statement) const {
  if (statement.flush_ != flush_) throw std::logic_error("these answers are of another flush");
  return rows_.at(statement.place_);
}

Connection::Connection(const std::string& target) : connection_(PQconnectdb(target.c_str()), PQfinish) {
  if (PQstatus(connection_.get()) != CONNECTION_OK) throw StoreUnavailable(PQerrorMessage(connection_.get()));
  PQsetErrorVerbosity(connection_.get(), PQERRORS_TERSE);  // details quote rows, which must not reach a log
  script(kSession);
}

void Connection::script(const std::string& sql) {
  const std::unique_ptr<pg_result, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()), PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(result.get());
}

void Connection::fail(pg_result* result) const {
  const char* field = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string state = field == nullptr ? "" : field;
  std::string message = result == nullptr ? PQerrorMessage(connection_.get()) : PQresultErrorMessage(result);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  if (PQstatus(connection_.get()) != CONNECTION_OK || lost(state)) throw StoreUnavailable(message);
  if (conflict(state)) throw TransactionConflict(message, state);
  throw SqlError(message, state);
}

void Connection::send(const Transaction::Sent& queued, bool prepare) {
  PGconn* connection = connection_.get();
  const std::string name = statement_name(queued.statement);
  if (prepare && PQsendPrepare(connection, name.c_str(), queued.statement.text(), 0, nullptr) != 1) fail(nullptr);
  std::vector<const char*> values;
  for (const auto& value : queued.values) values.push_back(value ? value->c_str() : nullptr);
  if (PQsendQueryPrepared(connection, name.c_str(), static_cast<int>(values.size()), values.data(), nullptr, nullptr,
                          0) != 1)
    fail(nullptr);
}

std::vector<Rows> Connection::run(const std::vector<Transaction::Sent>& queued) {
  PGconn* connection = connection_.get();
  if (PQenterPipelineMode(connection) != 1) fail(nullptr);
  std::vector<std::optional<Statement>> answers;  // in order: the statement that was prepared, or none for rows
  std::unordered_set<Statement> preparing;
  for (const auto& item : queued) {
    const bool prepare = !prepared_.contains(item.statement) && preparing.insert(item.statement).second;
    send(item, prepare);
    if (prepare) answers.push_back(item.statement);
    answers.emplace_back();
  }
  if (PQpipelineSync(connection) != 1) fail(nullptr);

  std::vector<Rows> rows;
  std::shared_ptr<pg_result> error;
  for (const auto& prepared : answers) {
    std::unique_ptr<pg_result, decltype(&PQclear)> result(PQgetResult(connection), PQclear);
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
      if (prepared)
        prepared_.insert(*prepared);  // outlives the transaction, also one that fails
      else
        rows.emplace_back(result.release());
    } else if (!error) {
      error = std::shared_ptr<pg_result>(result.release(), PQclear);
      if (PQstatus(connection) != CONNECTION_OK) fail(error.get());
    }
    PQclear(PQgetResult(connection));  // the null that ends each statement's results
  }
  PQclear(PQgetResult(connection));  // the sync
  if (PQstatus(connection) != CONNECTION_OK || PQexitPipelineMode(connection) != 1)
    throw StoreUnavailable(PQerrorMessage(connection));
  if (error) fail(error.get());
  return rows;
}

Connection::Transaction::~Transaction() {
  if (!open_) return;
  try {
    connection_.script("rollback");
  } catch (const std::exception&) {
    // The connection is lost, and the transaction with it.
  }
}

Queued Connection::Transaction::queue_params(Statement statement, std::vector<Param> values) {
  queued_.push_back({statement, std::move(values)});
  return {flush_, queued_.size() - 1};
}

Answers Connection::Transaction::flush() {
  const std::vector<Sent> sending = std::move(queued_);
  queued_.clear();
  open_ = true;
  return {flush_++, connection_.run(sending)};
}

Answers Connection::Transaction::flush_and_commit() {
  queue("commit");
  Answers answers = flush();
  open_ = false;
  committed_ = true;
  return answers;
}

void Connection::Transaction::commit() {
  if (!committed_) flush_and_commit();
}

void Connection::Transaction::plan_freely() {
  queue("set local enable_seqscan = on");
  queue("set local enable_hashjoin = on");
  queue("set local enable_mergejoin = on");
  queue("set local enable_material = on");
  queue("set local enable_bitmapscan = on");
  queue("set local plan_cache_mode = force_custom_plan");
}

}  // namespace quarry::sql
