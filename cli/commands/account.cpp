// `quarry usage` and `quarry account`: what was computed, and what it cost.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/show.h"

namespace quarry::cli {

using nlohmann::json;

Status show_account(Context& context, bool ledger) {
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(json account, client->get("/v1/account"));
  if (ledger) {
    QUARRY_ASSIGN(const json page, client->get("/v1/account/ledger?limit=50"));
    account["ledger"] = page.at("lines");
  }
  if (context.json) {
    context.print_json(account);
    return {};
  }
  const json& balance = account.at("balance");
  const auto money = [&](const char* book) { return context.terminal.money(balance.value(book, "0")); };
  std::cout << context.terminal.bold(account.value("name", "")) << "  " << context.terminal.dim(account.value("id", ""))
            << "\n"
            << "  available  " << money("available") << "\n  reserved   " << money("reserved") << "\n";
  if (balance.value("pending", "0.000000000000") != "0.000000000000" ||
      balance.value("payable", "0.000000000000") != "0.000000000000")
    std::cout << "  earned     " << money("pending") << " pending, " << money("payable") << " payable\n";
  if (ledger) std::cout << "\n" << ledger_table(context.terminal, account.at("ledger"));
  return {};
}

Status show_usage(Context& context) {
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(const json usage, client->get("/v1/usage?limit=50"));
  if (context.json) {
    context.print_json(usage);
    return {};
  }
  std::cout << usage_table(context.terminal, usage.at("segments"));
  const json& totals = usage.at("totals");
  std::cout << "\n"
            << totals.value("segments", json("0")).dump() << " segments, "
            << human_flops({parse_uint128(totals.value("flops", "0")).value_or(0)}) << " computed, "
            << human_flops({parse_uint128(totals.value("metered_flops", "0")).value_or(0)}) << " metered, "
            << context.terminal.bold(context.terminal.money(totals.value("charge", "0"))) << "\n";
  return {};
}

}  // namespace quarry::cli
