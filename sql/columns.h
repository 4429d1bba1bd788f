// What is derived from a table of columns: a function `fields(io, row)` that calls io.column(written, name, type,
// member) for each column in turn (job_columns.h). The select list and the reading of a row, the columns, types and
// arrays of an insert, and the assignments of an update all come from that one function, so they cannot disagree.
#pragma once

#include <vector>

#include "sql/connection.h"

namespace quarry::sql {

/// Who writes a column, and when.
enum class Written { Key, AtInsert, AtChange, ByDatabase };
constexpr bool inserted(Written written) {
  return written == Written::Key || written == Written::AtInsert;
}
constexpr bool changed(Written written) {
  return written == Written::AtChange;
}
constexpr bool key_or_changed(Written written) {
  return written == Written::Key || written == Written::AtChange;
}
constexpr bool any_column(Written) {
  return true;
}

template <class T, class Of>
concept Is = std::same_as<std::remove_const_t<T>, Of>;

/// Instants are read as micros(column).
template <class T>
inline constexpr bool kIsInstant = Is<T, WallTime> || Is<T, std::optional<WallTime>>;

/// A row that stands for all rows where only names and types are asked for; nothing reads its values.
template <class Row>
inline Row any_row;

/// `piece(out, number, name, type, is_instant)` for each chosen column, with commas between; numbers start at 1.
template <class Row, auto chosen, class Piece>
class ColumnList {
 public:
  constexpr explicit ColumnList(TextWriter& out) : out_(out) {}
  template <class T>
  constexpr void column(Written written, std::string_view name, std::string_view type, T&) {
    if (!chosen(written)) return;
    if (count_++ > 0) out_ << ", ";
    Piece()(out_, count_, name, type, kIsInstant<T>);
  }

 private:
  TextWriter& out_;
  int count_ = 0;
};
template <class Row, auto chosen, class Piece>
consteval auto column_list(Piece) {
  return written([](TextWriter& out) {
    ColumnList<Row, chosen, Piece> list(out);
    fields(list, any_row<Row>);
  });
}

/// "j.id, j.account, micros(j.submitted_at), ...": what read_row() reads.
template <class Row, char alias>
consteval auto select_list() {
  return column_list<Row, any_column>([](TextWriter& out, int, std::string_view name, std::string_view, bool instant) {
    constexpr char kAlias[] = {alias, '.', '\0'};
    out << (instant ? "micros(" : "") << kAlias << name << (instant ? ")" : "");
  });
}
/// "id, account, ..."
template <class Row, auto chosen>
consteval auto column_names() {
  return column_list<Row, chosen>(
      [](TextWriter& out, int, std::string_view name, std::string_view, bool) { out << name; });
}
/// "$1::uuid[], $2::bytea[], ...": the arrays that ColumnArrays makes, for unnest().
template <class Row, auto chosen>
consteval auto column_parameters() {
  return column_list<Row, chosen>([](TextWriter& out, int number, std::string_view, std::string_view type, bool) {
    out << "$" << number << "::" << type << "[]";
  });
}
/// "state = u.state, ..."
template <class Row, auto chosen>
consteval auto column_assignments() {
  return column_list<Row, chosen>(
      [](TextWriter& out, int, std::string_view name, std::string_view, bool) { out << name << " = u." << name; });
}

template <auto chosen>
class ColumnCounter {
 public:
  template <class T>
  constexpr void column(Written written, std::string_view, std::string_view, T&) {
    if (chosen(written)) ++count;
  }
  int count = 0;
};
template <class Row, auto chosen = any_column>
consteval int column_count() {
  ColumnCounter<chosen> counter;
  fields(counter, any_row<Row>);
  return counter.count;
}

class RowReader {
 public:
  RowReader(const Rows& rows, size_t row, int first) : rows_(rows), row_(row), column_(first) {}
  template <class T>
  void column(Written, std::string_view, std::string_view, T& member) {
    member = rows_.get<T>(row_, column_++);
  }
  template <class T>
  void column(Written, std::string_view, std::string_view, std::optional<T>& member) {
    member = rows_.maybe<T>(row_, column_++);
  }

 private:
  const Rows& rows_;
  size_t row_;
  int column_;
};
/// The row whose select list starts at column `first`.
template <class Row>
Row read_row(const Rows& rows, size_t row, int first = 0) {
  Row out;
  RowReader reader(rows, row, first);
  fields(reader, out);
  return out;
}

/// One array a chosen column, filled row by row.
template <auto chosen>
class ColumnArrays {
 public:
  template <class Row>
  void add(const Row& row) {
    next_ = 0;
    fields(*this, row);
  }
  template <class T>
  void column(Written written, std::string_view, std::string_view, const T& member) {
    if constexpr (!kIsInstant<T>) {  // the database sets those
      if (!chosen(written)) return;
      if (next_ == arrays_.size()) arrays_.emplace_back();
      arrays_[next_++].add(member);
    }
  }
  /// The parameters $1, $2, ...; more may be appended behind them.
  std::vector<Param> take() {
    std::vector<Param> params;
    for (auto& array : arrays_) params.push_back(array.take());
    return params;
  }

 private:
  std::vector<ArrayText> arrays_;
  size_t next_ = 0;
};

}  // namespace quarry::sql
