#include "server/http/strict.h"

#include <algorithm>

#include "common/text.h"
#include "server/limits.h"

namespace quarry::http {

namespace {

using server::kMaxFields;
using server::kMaxTargetBytes;

HeadRefusal refuse(int status, std::string code, std::string detail, std::string action = "") {
  return {status, {std::move(code), std::move(detail), "", std::move(action)}};
}
HeadRefusal malformed(std::string detail) {
  return refuse(400, "http_malformed", std::move(detail));
}

bool is_token_char(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kMarks.find(c) != std::string_view::npos;
}
bool is_visible(char c) {
  return c > 0x20 && c < 0x7f;
}
bool is_field_value_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<HeadRefusal> read_method(std::string_view text, Head& head) {
  for (Method method : {Method::Get, Method::Head, Method::Put, Method::Post, Method::Delete}) {
    if (text == name(method)) {
      head.method = method;
      return std::nullopt;
    }
  }
  for (std::string_view known : {"OPTIONS", "PATCH", "TRACE", "CONNECT"})
    if (text == known)
      return refuse(405, "method_not_allowed", std::string(known) + " is not used by this API",
                    "use GET, HEAD, PUT, POST or DELETE");
  return malformed("the method is not known");
}

std::optional<HeadRefusal> read_request_line(std::string_view line, Head& head) {
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || line.find(' ', second + 1) != std::string_view::npos)
    return malformed("the request line is not a method, a target and a version between single spaces");
  const std::string_view target = line.substr(first + 1, second - first - 1);
  const std::string_view version = line.substr(second + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    if (version.starts_with("HTTP/"))
      return refuse(505, "http_version", "only HTTP/1.1 and HTTP/1.0 are spoken here", "use HTTP/1.1");
    return malformed("the request line does not end in a version");
  }
  head.minor_version = version.back() - '0';
  if (target.size() > kMaxTargetBytes)
    return refuse(414, "target_too_long", "the target is over " + std::to_string(kMaxTargetBytes) + " bytes");
  if (target.empty() || target.front() != '/' || !std::all_of(target.begin(), target.end(), is_visible) ||
      target.find('#') != std::string_view::npos)
    return malformed("the target is not a path of visible ASCII that starts with '/'");
  head.target = target;
  return read_method(line.substr(0, first), head);
}

std::optional<HeadRefusal> read_field(std::string_view line, Head& head) {
  if (line.front() == ' ' || line.front() == '\t') return malformed("a field is folded over two lines");
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return malformed("a field line has no name and colon");
  const std::string_view field = line.substr(0, colon);
  if (!std::all_of(field.begin(), field.end(), is_token_char))
    return malformed("a field name has a character that is not allowed");
  const std::string_view value = trim(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), is_field_value_char))
    return malformed("a field value has a control character");
  if (head.fields.size() == kMaxFields)
    return refuse(431, "too_many_fields", "the request has over " + std::to_string(kMaxFields) + " fields");
  head.fields.push_back({lower(field), std::string(value)});
  return std::nullopt;
}

bool valid_host(std::string_view host) {
  constexpr std::string_view kMarks = "-._~:[]";
  return !host.empty() && host.size() <= 255 && std::all_of(host.begin(), host.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

/// The only value of a field that may stand once; sets `repeated` when it stands more often.
const std::string* single(const Head& head, std::string_view field, bool& repeated) {
  const std::string* found = nullptr;
  for (const Field& candidate : head.fields) {
    if (candidate.name != field) continue;
    repeated |= found != nullptr;
    found = &candidate.value;
  }
  return found;
}

/// What a second field would contradict, and a proxy in front might read instead of the first.
std::optional<HeadRefusal> check_repeats(const Head& head) {
  for (const std::string_view field : {"authorization", "idempotency-key", "content-type", "content-range", "range",
                                       "last-event-id", "accept", "expect"}) {
    bool repeated = false;
    single(head, field, repeated);
    if (repeated) return malformed("there are two fields of the name " + std::string(field));
  }
  return std::nullopt;
}

std::optional<HeadRefusal> check_host(const Head& head) {
  bool repeated = false;
  const std::string* host = single(head, "host", repeated);
  if (host == nullptr) return malformed("the Host field is missing");
  if (repeated) return malformed("there are two Host fields");
  if (!valid_host(*host)) return malformed("the Host field is not a host name");
  return std::nullopt;
}

std::optional<HeadRefusal> check_framing(Head& head) {
  bool repeated = false;
  const std::string* length = single(head, "content-length", repeated);
  const std::string* encoding = single(head, "transfer-encoding", repeated);
  if (repeated) return malformed("Content-Length or Transfer-Encoding stands twice");
  if (length != nullptr) {
    const auto value = parse_number<uint64_t>(*length);
    if (!value || *value > uint64_t{INT64_MAX}) return malformed("Content-Length is not one number");
    head.content_length = *value;
  }
  if (encoding != nullptr) {
    if (length != nullptr) return malformed("Transfer-Encoding and Content-Length stand together");
    if (head.minor_version == 0) return malformed("Transfer-Encoding is not part of HTTP/1.0");
    if (lower(*encoding) != "chunked") return malformed("the only Transfer-Encoding taken is 'chunked'");
    head.chunked = true;
  }
  return std::nullopt;
}

std::optional<HeadRefusal> check_connection(Head& head) {
  head.keep_alive = head.minor_version == 1;
  for (const Field& field : head.fields) {
    if (field.name == "expect") {
      if (lower(field.value) != "100-continue")
        return refuse(417, "expectation_failed", "the only expectation met here is 100-continue");
      head.expects_continue = head.minor_version == 1;
    }
    if (field.name == "connection") {
      const std::string value = lower(field.value);
      if (value.find("close") != std::string::npos) head.keep_alive = false;
      if (head.minor_version == 0 && value == "keep-alive") head.keep_alive = true;
    }
  }
  return std::nullopt;
}

}  // namespace

std::variant<Head, HeadRefusal> read_head(std::string_view raw) {
  Head head;
  bool first = true;
  while (!raw.empty()) {
    const size_t end = raw.find_first_of("\r\n");
    if (end == std::string_view::npos || raw.substr(end, 2) != "\r\n")
      return malformed("a line of the head does not end in CR LF");
    const std::string_view line = raw.substr(0, end);
    raw.remove_prefix(end + 2);
    if (line.empty()) break;
    if (auto refusal = first ? read_request_line(line, head) : read_field(line, head)) return *std::move(refusal);
    first = false;
  }
  if (first) return malformed("the request line is empty");
  for (const auto check : {+[](Head& h) { return check_host(h); }, +[](Head& h) { return check_repeats(h); },
                           +check_framing, +check_connection})
    if (auto refusal = check(head)) return *std::move(refusal);
  return head;
}

}  // namespace quarry::http
