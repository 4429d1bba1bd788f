#include "cli/show.h"

#include <map>
#include <nlohmann/json.hpp>

namespace quarry::cli {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* field) {
  const auto at = object.find(field);
  if (at == object.end() || at->is_null()) return "";
  return at->is_string() ? at->get<std::string>() : at->dump();
}

/// "2026-11-22 19:18:54" of an RFC 3339 time.
std::string time_text(const json& object, const char* field) {
  std::string text = text_of(object, field).substr(0, 19);
  if (text.size() == 19) text[10] = ' ';
  return text;
}

std::string quantity_text(const json& line) {
  const std::string unit = text_of(line, "unit"), quantity = text_of(line, "quantity");
  const UInt128 count = parse_uint128(quantity).value_or(0);
  if (unit == "flop") return human_flops({count});
  if (unit == "byte") return human_bytes(static_cast<uint64_t>(count));
  if (unit == "byte_hour") return human_bytes(static_cast<uint64_t>(count)) + "-hours";
  return quantity + " " + unit;
}

/// What a unit price is per, as the quote's "per" names it.
std::string per_text(const json& line) {
  static const std::map<std::string, std::string> kNames{{"pflop", "PFLOP"}, {"gib", "GiB"}, {"gib_hour", "GiB-hour"}};
  const std::string per = text_of(line, "per");
  const auto known = kNames.find(per);
  return known == kNames.end() ? per : known->second;
}

}  // namespace

std::string flops_text(const json& object, const char* field) {
  return human_flops({parse_uint128(text_of(object, field)).value_or(0)});
}

std::string shape_text(const json& shape) {
  std::string text = "[";
  for (const auto& size : shape) text += (text.size() > 1 ? ", " : "") + size.dump();
  return text + "]";
}

int64_t integer(const json& object, const char* field) {
  const auto at = object.find(field);
  if (at == object.end()) return 0;
  if (at->is_number_integer()) return at->get<int64_t>();
  return at->is_string() ? static_cast<int64_t>(parse_int128(at->get<std::string>()).value_or(0)) : 0;
}

std::string quote_text(const Terminal& terminal, const json& quote) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& line : quote.at("lines"))
    rows.push_back({text_of(line, "item"), quantity_text(line),
                    terminal.money(text_of(line, "unit_price")) + "/" + per_text(line),
                    terminal.money(text_of(line, "amount"))});
  std::string text = table(terminal, {"line", "quantity", "price", "amount"}, rows);
  text += "total " + terminal.bold(terminal.money(text_of(quote, "total"))) + ", never more than " +
          terminal.bold(terminal.money(text_of(quote, "limit")));
  if (const int64_t segments = integer(quote, "segments"); segments > 1)
    text += ", in " + std::to_string(segments) + " segments";
  return text + "\n";
}

std::string job_text(const Terminal& terminal, const json& job) {
  std::string text = terminal.bold(text_of(job, "id")) + "  " + terminal.state(text_of(job, "state"));
  if (const auto reason = text_of(job, "end_reason"); !reason.empty() && reason != text_of(job, "state"))
    text += " (" + reason + ")";
  text += "\n  graph      " + text_of(job, "graph") + "\n  steps      " + std::to_string(integer(job, "steps_done")) +
          " of " + std::to_string(integer(job, "steps")) + "\n  work       " + flops_text(job, "metered_flops") +
          " metered\n  spent      " + terminal.money(text_of(job, "spent")) + " of at most " +
          terminal.money(text_of(job, "limit")) + "\n  submitted  " + time_text(job, "submitted_at");
  if (const auto ended = time_text(job, "ended_at"); !ended.empty()) text += ", ended " + ended;
  text += "\n";
  if (const auto why = text_of(job, "why_waiting"); !why.empty()) text += "  waiting    " + terminal.yellow(why) + "\n";
  if (const auto expires = time_text(job, "expires_at"); !expires.empty()) text += "  kept until " + expires + "\n";
  if (const auto failure = job.find("failure"); failure != job.end() && failure->is_object())
    text += "  failure    " + terminal.red(text_of(*failure, "detail")) + "\n";
  if (const auto outputs = job.find("outputs"); outputs != job.end())
    for (const auto& output : *outputs)
      text += "  output     " + text_of(output, "name") + "  " + text_of(output, "dtype") +
              shape_text(output.value("shape", json::array())) + "\n";
  return text;
}

std::string jobs_table(const Terminal& terminal, const json& jobs) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& job : jobs)
    rows.push_back({text_of(job, "id"), terminal.state(text_of(job, "state")),
                    std::to_string(integer(job, "steps_done")) + "/" + std::to_string(integer(job, "steps")),
                    flops_text(job, "metered_flops"), terminal.money(text_of(job, "spent")),
                    time_text(job, "submitted_at")});
  return table(terminal, {"job", "state", "steps", "metered", "spent", "submitted (UTC)"}, rows);
}

std::string ledger_table(const Terminal& terminal, const json& lines) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& line : lines)
    rows.push_back({time_text(line, "at"), text_of(line, "kind"), text_of(line, "book"),
                    terminal.money(text_of(line, "amount")), text_of(line, "transfer")});
  return table(terminal, {"time (UTC)", "what", "book", "amount", "transfer"}, rows);
}

std::string usage_table(const Terminal& terminal, const json& segments) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& segment : segments)
    rows.push_back({time_text(segment, "at"), text_of(segment, "job"), text_of(segment, "segment"),
                    text_of(segment, "steps"), flops_text(segment, "flops"), flops_text(segment, "metered_flops"),
                    terminal.money(text_of(segment, "charge"))});
  return table(terminal, {"time (UTC)", "job", "segment", "steps", "computed", "metered", "charge"}, rows);
}

}  // namespace quarry::cli
