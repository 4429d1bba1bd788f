#include "server/http/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <ctime>

#include "common/log.h"
#include "server/http/deadline.h"
#include "server/http/problem.h"
#include "server/http/strict.h"
#include "server/http/tls_socket.h"

namespace quarry::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kJoinBytes = 16 << 10;  ///< bodies up to this share a TLS record with their head

/// The peer is gone or too slow: nothing can be answered any more.
struct ConnectionLost {};

/// Bytes of a connection with the deadline that guards them.
struct Transport {
  TlsSocket socket;
  beast::flat_buffer buffer;  ///< read, not yet parsed; holds no memory while it is empty and the peer is awaited
  std::shared_ptr<Deadline> deadline;
  bool timed_out = false;
  bool broken = false;

  /// Appends at least one byte to the buffer; false at the end of the stream or past `until`.
  Awaitable<bool> fill(Deadline::TimePoint until) {
    if (buffer.size() == 0) buffer.shrink_to_fit();
    deadline->set(until);
    const auto got = co_await socket.read_some();
    deadline->clear();
    broken = got.empty();
    buffer.commit(asio::buffer_copy(buffer.prepare(got.size()), asio::buffer(got.data(), got.size())));
    co_return !broken;
  }
  Awaitable<void> write(std::span<const std::byte> bytes, std::chrono::milliseconds limit) {
    deadline->set_after(limit);
    const bool sent = co_await socket.write(bytes);
    deadline->clear();
    if (!sent) {
      broken = true;
      throw ConnectionLost{};
    }
  }
  std::string_view text() const {
    const auto data = buffer.data();
    return {static_cast<const char*>(data.data()), data.size()};
  }
};

/// Decodes a request's body with Beast's parser, which has read the (already checked) head before.
class ParsedBody final : public BodyReader {
 public:
  ParsedBody(Transport& transport, const Head& head, const server::TimeLimits& times)
      : transport_(transport), head_(head), times_(times), send_continue_(head.expects_continue && head.has_body()) {
    parser_.body_limit(boost::none);
    parser_.header_limit(server::kMaxHeadBytes + 1);
    parser_.eager(false);
  }

  /// False when Beast does not read the head as strict.cpp did.
  bool take_head(std::string_view raw) {
    error_code error;
    const size_t used = parser_.put(asio::buffer(raw.data(), raw.size()), error);
    return !error && used == raw.size() && parser_.is_header_done();
  }

  Awaitable<size_t> read(std::span<std::byte> into) override {
    if (done()) co_return 0;
    if (send_continue_) {
      send_continue_ = false;
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await transport_.write(std::as_bytes(std::span(kContinue)), times_.body_gap);
    }
    for (;;) {
      const size_t produced = decode(into);
      total_ += produced;
      // The least rate is kept over each stretch of the grace: what came quickly before earns no pause.
      patience_ =
          std::min(times_.rate_grace, patience_ + milliseconds(produced * 1'000 / server::kMinBodyBytesPerSecond));
      if (produced > 0 || done()) co_return produced;
      // What is left now is no body: a chunk's size line or the trailers, which Beast would await without end.
      if (transport_.buffer.size() > server::kMaxHeadBytes)
        throw RequestFailed{400, {"http_malformed", "a chunk's size line or the trailers are over 16 kB", "", ""}};
      const auto began = std::chrono::steady_clock::now();
      const bool filled = co_await transport_.fill(began + std::min(times_.body_gap, patience_));
      if (!filled) throw stopped_coming();
      patience_ -= std::chrono::ceil<milliseconds>(std::chrono::steady_clock::now() - began);
    }
  }
  std::optional<uint64_t> length() const override {
    return head_.chunked ? std::nullopt : std::optional(head_.content_length.value_or(0));
  }
  bool done() const { return parser_.is_done(); }
  bool waits_for_continue() const { return send_continue_; }
  /// Whether the rest may be read and dropped so that the connection can be kept.
  bool rest_is_small() const {
    return done() ||
           (!send_continue_ && head_.content_length && *head_.content_length - total_ <= server::kDroppedBytes);
  }

 private:
  size_t decode(std::span<std::byte> into) {
    auto& body = parser_.get().body();
    body.data = into.data();
    body.size = into.size();
    body.more = true;
    while (transport_.buffer.size() > 0 && !parser_.is_done() && body.size > 0) {
      error_code error;
      const size_t used = parser_.put(transport_.buffer.data(), error);
      transport_.buffer.consume(used);
      if (error == beast::http::error::need_more) break;
      if (error && error != beast::http::error::need_buffer)
        throw RequestFailed{400, {"http_malformed", "the body's chunks are malformed", "", ""}};
      if (used == 0) break;
    }
    return into.size() - body.size;
  }

  RequestFailed stopped_coming() const {
    if (transport_.timed_out)
      return {408, {"body_timeout", "the request body came too slowly", "", "send it again, or resume the upload"}};
    return {400, {"body_truncated", "the request body ended before its length", "", "send it again, or resume it"}};
  }

  Transport& transport_;
  const Head& head_;
  const server::TimeLimits& times_;
  bool send_continue_;
  beast::http::request_parser<beast::http::buffer_body> parser_;
  milliseconds patience_ = times_.rate_grace;  ///< how long the peer may still be awaited
  uint64_t total_ = 0;
};

class StreamWriter final : public BodyWriter {
 public:
  StreamWriter(Transport& transport, const ConnectionContext& context, std::optional<uint64_t> length)
      : transport_(transport), context_(context), left_(length) {}

  Awaitable<void> write(std::span<const std::byte> bytes) override {
    if (bytes.empty()) co_return;
    if (left_) {
      if (bytes.size() > *left_) throw std::logic_error("a streamed body is longer than its Content-Length");
      *left_ -= bytes.size();
      co_await transport_.write(bytes, context_.times.body_gap);
      co_return;
    }
    char head[32];
    const int used = std::snprintf(head, sizeof head, "%zx\r\n", bytes.size());
    std::string chunk(head, static_cast<size_t>(used));
    chunk.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()).append("\r\n");
    co_await transport_.write(std::as_bytes(std::span(chunk)), context_.times.body_gap);
  }
  Awaitable<void> finish() {
    if (left_ && *left_ != 0) throw ConnectionLost{};  // the source failed: the peer must see a broken body
    constexpr std::string_view kLast = "0\r\n\r\n";
    if (!left_) co_await transport_.write(std::as_bytes(std::span(kLast)), context_.times.body_gap);
  }
  bool stopping() const override { return context_.stopping; }

 private:
  Transport& transport_;
  const ConnectionContext& context_;
  std::optional<uint64_t> left_;
};

/// The Date field, made once a second.
const std::string& http_date() {
  thread_local time_t made = 0;
  thread_local std::string text;
  const time_t now = std::time(nullptr);
  if (now != made) {
    made = now;
    tm utc{};
    gmtime_r(&now, &utc);
    char buffer[64];
    text.assign(buffer, std::strftime(buffer, sizeof buffer, "%a, %d %b %Y %H:%M:%S GMT", &utc));
  }
  return text;
}

/// Of every answer, whatever made it.
constexpr std::string_view kSecurityFields =
    "\r\nStrict-Transport-Security: max-age=31536000\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer"
    "\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'";

std::string response_head(const Response& response, const std::string& request_id, bool keep) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + ' ' + std::string(reason_phrase(response.status));
  head += "\r\nDate: " + http_date() + "\r\nRequest-Id: " + request_id;
  head += kSecurityFields;
  head +=
      response.caching == Caching::Public ? "\r\nCache-Control: public, max-age=300" : "\r\nCache-Control: no-store";
  for (const auto& [name, value] : response.fields) head += "\r\n" + name + ": " + value;
  const auto* streamed = std::get_if<StreamedBody>(&response.body);
  const std::optional<uint64_t> length = response.head_length  ? response.head_length
                                         : streamed != nullptr ? streamed->length
                                                               : std::get<std::string>(response.body).size();
  head += length ? "\r\nContent-Length: " + std::to_string(*length) : "\r\nTransfer-Encoding: chunked";
  head += keep ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n";
  return head;
}

class TlsConnection final : public Connection {
 public:
  TlsConnection(asio::ip::tcp::socket socket, std::shared_ptr<Seat> seat, ConnectionContext& context)
      : context_(context),
        transport_{TlsSocket(std::move(socket), context.tls), beast::flat_buffer(), nullptr},
        state_{std::move(seat)} {}

  void finish_soon() override {
    if (idle_) close_now();
  }
  void close_now() override { transport_.socket.close(); }

  Awaitable<void> serve() override {
    transport_.deadline = std::make_shared<Deadline>(transport_.socket.executor(), [this] {
      transport_.timed_out = true;
      transport_.socket.cancel();
    });
    try {
      co_await serve_until_end();
    } catch (const ConnectionLost&) {
    } catch (const RequestFailed& failure) {  // in the middle of a streamed body: only the break tells the peer
      spdlog::warn("a streamed answer broke off: {}", failure.problem.detail);
    } catch (const std::exception& error) {
      spdlog::error("connection: {}", error.what());
    }
    transport_.deadline->cancel();
    close_now();
  }

 private:
  Awaitable<void> serve_until_end() {
    transport_.deadline->set_after(context_.times.handshake);
    const bool shaken = co_await transport_.socket.handshake();
    transport_.deadline->clear();
    if (!shaken) co_return;
    bool keep = true;
    while (keep && !context_.stopping) keep = co_await serve_one();
    if (!transport_.broken) co_await say_goodbye();
  }

  void wait_for_peer(bool waiting) {
    state_.seat->waiting = waiting;
    state_.seat->since = std::chrono::steady_clock::now();
  }

  /// Waits for a head. nullopt: the peer left, or was idle for too long.
  Awaitable<std::optional<std::string>> next_head() {
    size_t searched = 0;
    wait_for_peer(true);
    idle_ = transport_.buffer.size() == 0;
    auto until = std::chrono::steady_clock::now() + (idle_ ? context_.times.idle : context_.times.head);
    for (;;) {
      const std::string_view text = transport_.text();
      const size_t end = text.find("\r\n\r\n", searched > 3 ? searched - 3 : 0);
      const size_t head_bytes = end == std::string_view::npos ? 0 : end + 4;
      if (head_bytes > 0 || text.size() > server::kMaxHeadBytes || has_bare_newline(text, searched)) {
        idle_ = false;
        wait_for_peer(false);
        std::string head(text.substr(0, head_bytes > 0 ? head_bytes : text.size()));
        transport_.buffer.consume(head.size());
        co_return head;
      }
      searched = text.size();
      const bool first_byte = text.empty();
      if (!co_await transport_.fill(until)) co_return std::nullopt;
      idle_ = false;
      if (first_byte) until = std::chrono::steady_clock::now() + context_.times.head;
    }
  }
  static bool has_bare_newline(std::string_view text, size_t from) {
    for (size_t at = text.find('\n', from); at != std::string_view::npos; at = text.find('\n', at + 1))
      if (at == 0 || text[at - 1] != '\r') return true;
    return false;
  }

  static HeadRefusal refusal_of(int status, const char* code, const char* detail, const char* action) {
    return {status, {code, detail, "", action}};
  }

  /// One request and its answer; whether the connection goes on.
  Awaitable<bool> serve_one() {
    const std::optional<std::string> raw = co_await next_head();
    if (!raw) {
      if (transport_.timed_out && transport_.buffer.size() > 0)
        co_await refuse(refusal_of(408, "head_timeout", "the request's head came too slowly", "send it again"));
      co_return false;
    }
    if (raw->size() > server::kMaxHeadBytes) {
      co_await refuse(
          refusal_of(431, "head_too_large", "the request's head is over 16 kB", "send fewer or shorter fields"));
      co_return false;
    }
    auto read = read_head(*raw);
    if (auto* refusal = std::get_if<HeadRefusal>(&read)) {
      co_await refuse(*refusal);
      co_return false;
    }
    const Head head = std::get<Head>(std::move(read));
    ParsedBody body(transport_, head, context_.times);
    if (!body.take_head(*raw)) {
      co_await refuse(refusal_of(400, "http_malformed", "the head is malformed", ""));
      co_return false;
    }
    co_return co_await answer(head, body);
  }

  Awaitable<bool> answer(const Head& head, ParsedBody& body) {
    Request request = make_request(head, body);
    Response response = co_await handle(request);
    const bool keep =
        head.keep_alive && !response.close && !context_.stopping && !transport_.broken && body.rest_is_small();
    co_await send(response, request, keep);
    if (!keep) co_return false;
    co_return co_await drop_rest(body);
  }

  Request make_request(const Head& head, ParsedBody& body) {
    Request request;
    request.method = head.method;
    const size_t question = std::min(head.target.find('?'), head.target.size());
    request.path = head.target.substr(0, question);
    if (question < head.target.size()) request.query = head.target.substr(question + 1);
    request.fields = head.fields;
    request.body = &body;
    request.connection = &state_;
    request.id = next_id();
    return request;
  }
  std::string next_id() { return context_.request_prefix + std::to_string(++context_.requests); }

  Awaitable<Response> handle(Request& request) {
    std::optional<RequestFailed> failed;
    try {
      co_return co_await context_.handler(request);
    } catch (RequestFailed& failure) {
      failed = std::move(failure);
    } catch (const ConnectionLost&) {
      throw;
    } catch (const std::exception& error) {
      spdlog::error("request {} {} {}: {}", request.id, name(request.method), request.path, error.what());
      failed = RequestFailed{500,
                             {"internal", "something failed inside the service", "",
                              "try again; if it goes on, report request " + request.id},
                             1};
    }
    if (transport_.broken && !transport_.timed_out) throw ConnectionLost{};
    // A slow body is told so: the answer gets a deadline of its own.
    if (std::exchange(transport_.timed_out, false)) transport_.broken = false;
    Response response = problem_response(failed->status, failed->problem, failed->retry_after_s);
    response.close = true;
    co_return response;
  }

  Awaitable<void> send(const Response& response, const Request& request, bool keep) {
    std::string head = response_head(response, request.id, keep);
    const bool without_body = request.method == Method::Head || response.status == 204 || response.status == 304;
    const auto* streamed = std::get_if<StreamedBody>(&response.body);
    const auto* text = std::get_if<std::string>(&response.body);
    if (text != nullptr && !without_body && text->size() <= kJoinBytes) head += *text;
    co_await transport_.write(std::as_bytes(std::span(head)), context_.times.body_gap);
    if (without_body) co_return;
    if (text != nullptr && text->size() > kJoinBytes) {
      const auto all = std::as_bytes(std::span(*text));
      for (size_t at = 0; at < all.size(); at += server::kFileChunkBytes)
        co_await transport_.write(all.subspan(at, std::min(server::kFileChunkBytes, all.size() - at)),
                                  context_.times.body_gap);
    }
    if (streamed != nullptr) {
      StreamWriter writer(transport_, context_, streamed->length);
      co_await streamed->send(writer);
      co_await writer.finish();
    }
  }

  Awaitable<bool> drop_rest(ParsedBody& body) {
    std::vector<std::byte> scratch;
    try {
      while (!body.done()) {
        if (scratch.empty()) scratch.resize(kReadBytes);
        co_await body.read(scratch);
      }
    } catch (const RequestFailed&) {
      co_return false;
    }
    co_return true;
  }

  Awaitable<void> refuse(HeadRefusal refusal) {
    transport_.timed_out = false;
    transport_.broken = false;
    Response response = problem_response(refusal.status, refusal.problem);
    if (refusal.status == 405) response.fields.emplace_back("Allow", "GET, HEAD, PUT, POST, DELETE");
    Request request;
    request.id = next_id();
    co_await send(response, request, false);
  }

  /// Ends TLS, then reads and drops a little, so that a peer which still sends gets the answer and not a reset.
  Awaitable<void> say_goodbye() {
    idle_ = true;  // a server that stops need not wait for this
    wait_for_peer(true);
    transport_.socket.finish();
    const auto until = std::chrono::steady_clock::now() + server::kLingerTime;
    for (size_t dropped = 0; dropped < server::kLingerBytes;) {
      transport_.deadline->set(
          std::min<Deadline::TimePoint>(until, std::chrono::steady_clock::now() + server::kLingerGap));
      const auto got = co_await transport_.socket.read_raw();
      if (got.empty()) break;
      dropped += got.size();
    }
  }

  ConnectionContext& context_;
  Transport transport_;
  ConnectionState state_;
  bool idle_ = true;
};

}  // namespace

std::shared_ptr<Connection> make_connection(asio::ip::tcp::socket socket, std::shared_ptr<Seat> seat,
                                            ConnectionContext& context) {
  return std::make_shared<TlsConnection>(std::move(socket), std::move(seat), context);
}

}  // namespace quarry::http
