// `quarry boxes add | list`: the owner's side of enrolling a machine.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace quarry::cli {

using nlohmann::json;

Status add_box(Context& context, const std::string& name) {
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(const json box, client->post("/v1/boxes", {{"name", name}}));
  if (context.json) {
    context.print_json(box);
    return {};
  }
  std::cout << box.value("id", "") << "  claim code " << context.terminal.bold(box.value("claim_code", "")) << "\n";
  std::cerr
      << context.terminal.dim_talk(
             "The code is shown this once, and the first box that claims with it has it: docs/operators.md says how.")
      << "\n";
  return {};
}

Status list_boxes(Context& context) {
  QUARRY_ASSIGN(ApiClient* const client, context.client());
  QUARRY_ASSIGN(const json page, client->get("/v1/boxes"));
  if (context.json) {
    context.print_json(page);
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const json& box : page.at("boxes"))
    rows.push_back({box.value("id", ""), box.value("name", ""),
                    box.value("revoked", false)   ? "revoked"
                    : box.value("claimed", false) ? "claimed"
                                                  : "waits to be claimed"});
  std::cout << table(context.terminal, {"box", "name", "state"}, rows);
  return {};
}

}  // namespace quarry::cli
