#include "server/http/message.h"

#include <algorithm>
#include <boost/asio/awaitable.hpp>

namespace quarry::http {

const std::string* Request::field(std::string_view lower_name) const {
  for (const Field& field : fields)
    if (field.name == lower_name) return &field.value;
  return nullptr;
}

std::optional<std::string> Request::parameter(std::string_view wanted) const {
  return query_parameter(query, wanted);
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
