#include "worker/rate_card.h"

#include <algorithm>
#include <array>
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

RateCard rate_card_of(const Calibrated& figures) {
  RateCard card{{"f16_flops_per_s", figures.f16_flops_per_s},
                {"f32_flops_per_s", figures.f32_flops_per_s},
                {"f64_flops_per_s", figures.f64_flops_per_s},
                {"bytes_per_s", figures.bytes_per_s},
                {"launches_per_s", figures.launches_per_s}};
  std::erase_if(card, [](const auto& rate) { return rate.second <= 0; });
  return card;
}

bool raise_to(RateCard& card, const RateCard& other) {
  constexpr double kScatter = 1.02;
  bool rose = false;
  for (const auto& [name, rate] : other) {
    double& ours = card[name];
    rose = rose || rate > ours * kScatter;
    ours = std::max(ours, rate);
  }
  return rose;
}

std::chrono::milliseconds next_measurement(int n) {
  using std::chrono::seconds;
  constexpr std::array<seconds, 4> kAtFirst{seconds(60), seconds(300), seconds(1'800), seconds(7'200)};
  constexpr seconds kLater = std::chrono::hours(6);
  return n < static_cast<int>(kAtFirst.size()) ? kAtFirst[static_cast<size_t>(n)] : kLater;
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
  return replace_file(path, json{{"subject", subject}, {"rates", card}}.dump(2) + "\n", 0600);
}

}  // namespace quarry::worker
