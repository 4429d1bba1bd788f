// The measured figures of a device, kept on disk: measuring takes seconds and a device does not change under the same
// driver.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "common/result.h"
#include "worker/local_protocol.h"

namespace quarry::worker {

using RateCard = std::map<std::string, double>;

/// What the figures were measured on; another value means measuring again.
std::string rate_card_subject(const std::string& device_key, const Ready& device);
std::optional<RateCard> load_rate_card(const std::string& path, const std::string& subject);
Status save_rate_card(const std::string& path, const std::string& subject, const RateCard& card);

}  // namespace quarry::worker
