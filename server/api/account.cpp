#include "server/api/answers.h"
#include "server/api/handlers.h"

namespace quarry::server {

Awaitable<http::Response> get_account(Service& service, Call& call) {
  const auto [row, balance] = co_await service.database.run([account = call.account](sql::Store& store) {
    return std::pair(store.account(account), store.balance(account));
  });
  JsonWriter json;
  json.begin_object()
      .field("id", call.account.to_string())
      .field("name", row ? row->name : "")
      .key("balance")
      .begin_object();
  json.field("available", balance.available.to_string())
      .field("reserved", balance.reserved.to_string())
      .field("pending", balance.pending.to_string())
      .field("payable", balance.payable.to_string())
      .end_object()
      .end_object();
  co_return http::Response::json(200, json.take());
}

Awaitable<http::Response> get_ledger(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const sql::Page page, page_of(call.request));
  const auto read = [account = call.account, page](sql::LedgerStore& store) {
    std::string after;
    auto found = store.ledger(account, page, after);
    return std::pair(std::move(found), std::move(after));
  };
  const auto [lines, next] = co_await service.database.run(read);
  JsonWriter json;
  json.begin_object().key("lines").begin_array();
  for (const sql::LedgerLine& line : lines) write_ledger_line(json, line);
  json.end_array();
  write_next(json, next);
  json.end_object();
  co_return http::Response::json(200, json.take());
}

}  // namespace quarry::server
