// Which addresses mean this machine.
#pragma once

#include <string_view>

namespace quarry {

/// Whether an https:// address, with or without port and path, names this machine: localhost, 127.0.0.0/8 or [::1]. A
/// proxy cannot reach it, whatever the environment says.
bool is_loopback_url(std::string_view url);

}  // namespace quarry
