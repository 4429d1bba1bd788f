// The one reading of UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing past U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace quarry {

/// The bytes of the character at the front of `text`, 1 to 4; 0 when there is none that is well-formed.
size_t utf8_character_bytes(std::string_view text);

}  // namespace quarry
