// One connection to PostgreSQL: prepared statements, pipelined transactions, errors told apart. The only place that
// speaks libpq; README.md says why it is libpq. Not thread-safe.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include "sql/statement.h"
#include "sql/values.h"

struct pg_conn;
struct pg_result;

namespace quarry::sql {

/// The statement is wrong or breaks a constraint: a bug or a hostile value, never a passing condition.
struct SqlError : std::runtime_error {
  SqlError(const std::string& what, std::string state) : std::runtime_error(what), sqlstate(std::move(state)) {}
  std::string sqlstate;
};

/// Lost a race (serialization failure, deadlock, natural key taken meanwhile): run the transaction again.
struct TransactionConflict : SqlError {
  using SqlError::SqlError;
};

class Rows {
 public:
  explicit Rows(pg_result* result);
  size_t size() const;
  bool empty() const { return size() == 0; }
  template <class T>
  T get(size_t row, int column) const {
    return Cell<T>::read(text(row, column));
  }
  template <class T>
  std::optional<T> maybe(size_t row, int column) const {
    return is_null(row, column) ? std::nullopt : std::optional(Cell<T>::read(text(row, column)));
  }
  bool is_null(size_t row, int column) const;
  std::string_view text(size_t row, int column) const;  ///< valid while the Rows live

 private:
  std::shared_ptr<pg_result> result_;
};

/// Names the rows of a queued statement in the answers of the flush that sends it.
class Queued {
 private:
  friend class Answers;
  friend class Connection;
  Queued(int64_t flush, size_t place) : flush_(flush), place_(place) {}
  int64_t flush_;
  size_t place_;
};

/// What one flush brought back.
class Answers {
 public:
  /// Throws std::logic_error for a statement that another flush sent.
  const Rows& operator[](Queued statement) const;

 private:
  friend class Connection;
  Answers(int64_t flush, std::vector<Rows> rows) : flush_(flush), rows_(std::move(rows)) {}
  int64_t flush_;
  std::vector<Rows> rows_;
};

class Connection {
 public:
  /// Throws StoreUnavailable. The plans of the batched statements are pinned: index scans and nested loops, one generic
  /// plan each.
  explicit Connection(const std::string& target);

  /// Runs plain SQL, any number of statements, outside of the pipeline.
  void script(const std::string& sql);

  /// One transaction. Statements are queued and sent together: query() sends what is queued and returns the rows of its
  /// own statement; commit() sends the rest with the COMMIT. Destroyed without commit(), it rolls back.
  class Transaction {
   public:
    explicit Transaction(Connection& connection) : connection_(connection) { queue("begin"); }
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    template <class... T>
    Queued queue(Statement statement, const T&... values) {
      return queue_params(statement, {to_param(values)...});
    }
    Queued queue_params(Statement statement, std::vector<Param> values);
    template <class... T>
    Rows query(Statement statement, const T&... values) {
      const Queued queued = queue(statement, values...);
      return flush()[queued];
    }
    /// Sends what is queued.
    Answers flush();
    /// The same with the COMMIT behind it: a transaction that only reads costs one round trip. Nothing may follow.
    Answers flush_and_commit();
    void commit();
    /// Lets commit() return before its record is on disk: see "Which commits wait for the disk" in README.md.
    void commit_without_flush() { queue("set local synchronous_commit = off"); }
    /// Lifts the pinning within this transaction, for reports over whole tables.
    void plan_freely();

   private:
    friend class Connection;
    struct Sent {
      Statement statement;
      std::vector<Param> values;
    };
    Connection& connection_;
    std::vector<Sent> queued_;
    int64_t flush_ = 0;  ///< how often it was sent
    bool open_ = false;  ///< BEGIN was sent
    bool committed_ = false;
  };

 private:
  std::vector<Rows> run(const std::vector<Transaction::Sent>& queued);
  void send(const Transaction::Sent& queued, bool prepare);
  [[noreturn]] void fail(pg_result* result) const;

  std::unique_ptr<pg_conn, void (*)(pg_conn*)> connection_;
  std::unordered_set<Statement> prepared_;
};

}  // namespace quarry::sql
