// The measured figures of a device, kept on disk: measuring takes seconds, and a device does not change under the same
// driver. A busy machine measures too little, up to five times, and never too much. So the device is measured again
// when it is idle, often at first, and the best of all measurements counts.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "common/result.h"
#include "worker/local_protocol.h"

namespace quarry::worker {

using RateCard = std::map<std::string, double>;

/// What the figures were measured on; another value means measuring again.
std::string rate_card_subject(const std::string& device_key, const Ready& device);
/// By the names that servers know; what the device does not have is left out.
RateCard rate_card_of(const Calibrated& figures);
/// Raises each rate to the other's; true if one rose by more than a measurement scatters, 2 %.
bool raise_to(RateCard& card, const RateCard& other);
/// From the n-th measurement (the first is 0) to the next one that waits for an idle device.
std::chrono::milliseconds next_measurement(int n);

std::optional<RateCard> load_rate_card(const std::string& path, const std::string& subject);
Status save_rate_card(const std::string& path, const std::string& subject, const RateCard& card);

}  // namespace quarry::worker
