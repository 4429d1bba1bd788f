// The strict reading of a request's head (docs/api.md): what Beast 1.81 lets pass and a proxy in front might read
// differently is refused before Beast sees it. Pure: text in, a checked head or a refusal out. After any refusal the
// connection is closed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/result.h"
#include "server/http/syntax.h"

namespace quarry::http {

struct Head {
  Method method = Method::Get;
  std::string target;
  int minor_version = 1;
  std::vector<Field> fields;  ///< names in lower case, values without surrounding blanks
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
  bool expects_continue = false;
  bool has_body() const { return chunked || (content_length && *content_length > 0); }
};

struct HeadRefusal {
  int status;
  Problem problem;
};

/// `raw` is everything up to and with the empty line. Field lines are ended by CRLF only, never folded; exactly one
/// valid Host; at most one each of Authorization, Idempotency-Key and the other fields that a handler reads; at most
/// one Content-Length, of digits; Transfer-Encoding exactly "chunked", once, only in HTTP/1.1 and never beside
/// Content-Length; the target in origin form and visible ASCII; a known method.
std::variant<Head, HeadRefusal> read_head(std::string_view raw);

}  // namespace quarry::http
