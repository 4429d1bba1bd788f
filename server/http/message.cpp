#include "server/http/message.h"

#include <algorithm>
#include <boost/asio/awaitable.hpp>

namespace quarry::http {

std::string_view name(Method method) {
  switch (method) {
    case Method::Get:
      return "GET";
    case Method::Head:
      return "HEAD";
    case Method::Put:
      return "PUT";
    case Method::Post:
      return "POST";
    case Method::Delete:
      return "DELETE";
  }
  return "";
}

const std::string* Request::field(std::string_view lower_name) const {
  for (const Field& field : fields)
    if (field.name == lower_name) return &field.value;
  return nullptr;
}

namespace {
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::optional<std::string> Request::parameter(std::string_view wanted) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == wanted) return percent_decode(pair.substr(std::min(equals + 1, pair.size())));
  }
  return std::nullopt;
}

Response Response::json(int status, std::string text) {
  Response response;
  response.status = status;
  response.fields.emplace_back("Content-Type", "application/json");
  response.body = std::move(text);
  return response;
}

Awaitable<std::string> read_all(BodyReader& body, size_t limit) {
  const auto too_large = [limit] {
    return RequestFailed{413,
                         {"body_too_large", "the request body is over " + std::to_string(limit) + " bytes", "",
                          "send less, or several requests"}};
  };
  std::string text;
  if (const auto length = body.length()) {
    if (*length > limit) throw too_large();
    text.reserve(*length);
  }
  constexpr size_t kStep = 64 << 10;
  size_t used = 0;
  for (;;) {
    if (text.size() < used + kStep) text.resize(std::min(std::max(used + kStep, used * 2), limit + kStep));
    const size_t got = co_await body.read(std::as_writable_bytes(std::span(text)).subspan(used));
    if (got == 0) break;
    used += got;
    if (used > limit) throw too_large();
  }
  text.resize(used);
  co_return text;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

}  // namespace quarry::http
