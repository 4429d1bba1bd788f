// What a page's cursor says. Clients hand cursors back as they please, so each is read strictly here, before anything
// of it reaches a statement.
#pragma once

#include "sql/store.h"

namespace quarry::sql {

/// Each stands for the last line of the page before; an empty text for a place before the first. Throw BadCursor.
JobId read_job_cursor(std::string_view text);
int64_t read_usage_cursor(std::string_view text);  ///< a meter record's sequence number

/// "<transfer's uuid>.<book>": transfers are time-ordered, newest first.
struct LedgerCursor {
  std::string transfer;
  int32_t book = 0;
};
LedgerCursor read_ledger_cursor(std::string_view text);

}  // namespace quarry::sql
