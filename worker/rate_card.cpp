#include "worker/rate_card.h"

#include <nlohmann/json.hpp>

namespace quarry::worker {
namespace {

using nlohmann::json;
constexpr size_t kMaxFileBytes = 64 << 10;

}  // namespace

std::string rate_card_subject(const std::string& device_key, const Ready& device) {
  return device_key + "; " + device.device_name + "; " + device.driver + "; " + std::to_string(device.compute_units) +
         " units";
}

std::optional<RateCard> load_rate_card(const std::string& path, const std::string& subject) {
  const auto text = read_file(path, kMaxFileBytes);
  if (!text.ok()) return std::nullopt;
  const json file = json::parse(*text, nullptr, false);
  if (!file.is_object() || file.value("subject", json()) != subject || !file.contains("rates") ||
      !file["rates"].is_object())
    return std::nullopt;
  RateCard card;
  for (const auto& [name, rate] : file["rates"].items()) {
    if (!rate.is_number()) return std::nullopt;
    card[name] = rate.get<double>();
  }
  return card;
}

Status save_rate_card(const std::string& path, const std::string& subject, const RateCard& card) {
  return replace_file(path, json{{"subject", subject}, {"rates", card}}.dump(2) + "\n", 0644);
}

}  // namespace quarry::worker
