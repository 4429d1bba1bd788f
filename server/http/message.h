// What a handler sees of HTTP: a checked request and the answer it gives. No parser, socket or TLS type is in here, so
// that handlers compile quickly and could be driven by anything.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/result.h"
#include "server/http/connection_table.h"
#include "server/http/syntax.h"

namespace quarry::http {

template <class T>
using Awaitable = boost::asio::awaitable<T>;

/// Thrown where a request cannot go on from the depths of a coroutine: its body stopped coming, the database is away,
/// the server is full. The one place that catches it answers with a problem document.
struct RequestFailed {
  int status;
  Problem problem;
  int retry_after_s = 0;  ///< sent as Retry-After when not 0
};

/// The body of a request, read once from front to back.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// Fills `into` from its front; 0 at the end of the body. Throws RequestFailed on time-out, truncation or bad
  /// chunking.
  virtual Awaitable<size_t> read(std::span<std::byte> into) = 0;
  /// From Content-Length; nullopt for a chunked body.
  virtual std::optional<uint64_t> length() const = 0;
};

/// The body of an answer that is made while it is sent.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  /// Throws when the peer is gone or reads too slowly.
  virtual Awaitable<void> write(std::span<const std::byte> bytes) = 0;
  Awaitable<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  virtual bool stopping() const = 0;  ///< the server stops: long streams end themselves
};

/// What stays with a connection between its requests.
struct ConnectionState {
  std::shared_ptr<Seat> seat;  ///< in the table of connections; names the peer's network
  std::string key_id;          ///< the key this connection is counted under
  std::shared_ptr<void> hold;  ///< releases that count
};

struct Request {
  Method method = Method::Get;
  std::string path;   ///< as sent, without the query
  std::string query;  ///< as sent, without '?'
  std::vector<Field> fields;
  BodyReader* body = nullptr;
  ConnectionState* connection = nullptr;
  std::string id;  ///< request id, echoed as Request-Id

  /// The value of a field (name in lower case), or nullptr.
  const std::string* field(std::string_view lower_name) const;
  /// A query parameter, percent-decoded; nullopt when absent.
  std::optional<std::string> parameter(std::string_view name) const;
};

struct StreamedBody {
  std::optional<uint64_t> length;  ///< nullopt: chunked
  std::function<Awaitable<void>(BodyWriter&)> send;
};

/// Who may keep an answer: nobody, or anybody for five minutes because it is the same for all.
enum class Caching { NoStore, Public };

struct Response {
  int status = 200;
  Caching caching = Caching::NoStore;
  std::vector<std::pair<std::string, std::string>>
      fields;  ///< Content-Length, Date and the like are added by the connection
  std::variant<std::string, StreamedBody> body;
  std::optional<uint64_t> head_length;  ///< answers to HEAD: the Content-Length that GET would have
  bool close = false;                   ///< end the connection after this answer

  static Response json(int status, std::string text);
};

/// Reads a whole body of at most `limit` bytes; throws RequestFailed 413 past it.
Awaitable<std::string> read_all(BodyReader& body, size_t limit);

std::string_view reason_phrase(int status);

}  // namespace quarry::http
