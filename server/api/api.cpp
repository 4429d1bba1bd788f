#include "server/api/api.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "common/text.h"
#include "server/api/keys.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

/// The path's parts where the pattern has {..}; nullopt when the path does not match.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view path) {
  std::vector<std::string> arguments;
  while (!pattern.empty() && !path.empty()) {
    if (pattern.front() != '/' || path.front() != '/') return std::nullopt;
    pattern.remove_prefix(1);
    path.remove_prefix(1);
    const std::string_view wanted = pattern.substr(0, pattern.find('/'));
    const std::string_view part = path.substr(0, path.find('/'));
    if (wanted.starts_with('{')) {
      auto decoded = http::percent_decode(part);
      if (part.empty() || !decoded) return std::nullopt;
      arguments.push_back(std::move(*decoded));
    } else if (wanted != part) {
      return std::nullopt;
    }
    pattern.remove_prefix(wanted.size());
    path.remove_prefix(part.size());
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return arguments;
}

/// Memory of bodies that are held whole, over all connections and of each account: past a bound requests are shed.
class BodyMemory {
 public:
  class Share {
   public:
    explicit Share(BodyMemory& memory) : memory_(memory) {}
    Share(const Share&) = delete;
    ~Share() { give_back(); }
    /// Before the first take().
    void belongs_to(AccountId account) { account_ = account; }
    void give_back() {
      if (bytes_ > 0) memory_.give_back(account_, std::exchange(bytes_, 0));
    }
    bool take(size_t bytes) {
      bytes_ += bytes;
      return memory_.take(account_, bytes);
    }

   private:
    BodyMemory& memory_;
    AccountId account_{};
    size_t bytes_ = 0;
  };

 private:
  bool take(AccountId account, size_t bytes) {
    std::lock_guard lock(mutex_);
    size_t& of_account = by_account_[account];
    of_account += bytes;
    total_ += bytes;
    return total_ <= kBufferedBodyBytes && of_account <= kBufferedBodyBytesPerAccount;
  }
  void give_back(AccountId account, size_t bytes) {
    std::lock_guard lock(mutex_);
    total_ -= bytes;
    const auto found = by_account_.find(account);
    if ((found->second -= bytes) == 0) by_account_.erase(found);
  }

  std::mutex mutex_;
  size_t total_ = 0;
  std::unordered_map<AccountId, size_t> by_account_;
};

/// Counts a body as it comes: what a slow client has only announced is no memory, and must not keep others out.
class CountedBody final : public http::BodyReader {
 public:
  CountedBody(http::BodyReader& body, BodyMemory::Share& share) : body_(body), share_(share) {}
  Awaitable<size_t> read(std::span<std::byte> into) override {
    const size_t got = co_await body_.read(into);
    if (got > 0 && !share_.take(got))
      throw http::RequestFailed{
          503, {"overloaded", "too many large requests at once", "", "try again after the stated time"}, 1};
    co_return got;
  }
  std::optional<uint64_t> length() const override { return body_.length(); }

 private:
  http::BodyReader& body_;
  BodyMemory::Share& share_;
};

class InFlight {
 public:
  explicit InFlight(std::atomic<int64_t>& count) : count_(count) { ++count_; }
  InFlight(const InFlight&) = delete;
  ~InFlight() { --count_; }

 private:
  std::atomic<int64_t>& count_;
};

http::Response limited(int wait_s) {
  return http::problem_response(429, {"rate_limited", "requests come too fast", "", "wait as Retry-After says"},
                                wait_s);
}

http::Response stored_answer(const sql::SubmitOutcome& outcome) {
  if (outcome.kind == sql::SubmitOutcome::Kind::KeyReused)
    return refusal(
        {"idempotency_key_reused", "this Idempotency-Key came with another request before", "", "use a new key"});
  return http::Response::json(outcome.answer_status, outcome.answer);
}

}  // namespace

struct Api::State {
  explicit State(Service& the_service) : service(the_service) {}

  struct Found {
    const Route* route = nullptr;
    std::vector<std::string> arguments;
    std::string allowed;  ///< methods of the path, when the method is not among them
  };
  static Found find_route(const http::Request& request) {
    Found found, as_get;
    for (const Route& route : routes()) {
      auto arguments = match(route.pattern, request.path);
      if (!arguments) continue;
      if (route.method == request.method) return {&route, std::move(*arguments), ""};
      const bool get = route.method == http::Method::Get;
      found.allowed += (found.allowed.empty() ? "" : ", ") + std::string(get ? "GET, HEAD" : http::name(route.method));
      if (get) as_get = {&route, std::move(*arguments), ""};
    }
    // HEAD is GET without the body, which the connection leaves out, unless the path has an answer of its own for it.
    return request.method == http::Method::Head && as_get.route != nullptr ? std::move(as_get) : std::move(found);
  }

  static http::Response no_route(const http::Request& request, const Found& found) {
    if (found.allowed.empty())
      return refusal({"not_found", "there is nothing at " + request.path.substr(0, 200), "", "see /v1/openapi.json"});
    auto response = refusal({"method_not_allowed", std::string(http::name(request.method)) + " is not for this path",
                             "", "use " + found.allowed});
    response.fields.emplace_back("Allow", found.allowed);
    return response;
  }

  /// Checks the key and the limits that go with it; fills in who calls. nullopt: go on.
  Awaitable<std::optional<http::Response>> admit(const Route& route, Call& call) {
    if (route.access.auth == Auth::None) {
      const std::string address = "address:" + call.request.connection->seat->network;
      if (const auto wait = service.rates.take(address, kRatePerAddress)) co_return limited(*wait);
      co_return std::nullopt;
    }
    auto key = co_await service.keys.authenticate(call.request);
    if (!key) co_return failed_sign_in(call, key.problem());
    const sql::ApiKey& known = **key;
    if (const auto wait = service.rates.take("key:" + known.id, kRatePerKey)) co_return limited(*wait);
    if (const auto wait = service.rates.take("account:" + known.account.uuid(), kRatePerAccount))
      co_return limited(*wait);
    if (std::find(known.scopes.begin(), known.scopes.end(), route.access.scope) == known.scopes.end())
      co_return refusal({"missing_scope", "this key has not the scope " + std::string(route.access.scope), "",
                         "use a key with the scope, or have it made"});
    if (!hold_connection(*call.request.connection, known.id))
      co_return refusal(
          {"too_many_connections", "this key has too many connections open", "", "close some, or use fewer"});
    call.account = known.account;
    call.key_id = known.id;
    co_return std::nullopt;
  }

  /// A right key is never limited by the wrong ones of its network. Past the limit the connection ends, so that each
  /// further guess costs a handshake.
  http::Response failed_sign_in(const Call& call, const Problem& problem) {
    if (const auto wait = failed_guess(service, call)) {
      auto response = limited(*wait);
      response.close = true;
      return response;
    }
    return refusal(problem);
  }

  bool hold_connection(http::ConnectionState& connection, const std::string& key_id) {
    if (connection.hold && connection.key_id == key_id) return true;
    auto hold = service.key_connections.hold(key_id);
    if (!hold) return false;
    connection.key_id = key_id;
    connection.seat->known = true;
    connection.hold = std::move(hold);
    return true;
  }

  Awaitable<std::optional<http::Response>> read_body(const Route& route, Call& call, BodyMemory::Share& share) {
    if (route.body != Body::Json && route.body != Body::Graph) co_return std::nullopt;
    const size_t json_limit = route.access.auth == Auth::None ? kMaxOpenJsonBytes : kMaxJsonBytes;
    const size_t limit = route.body == Body::Json ? json_limit : kMaxGraphBytes;
    const std::string* type = call.request.field("content-type");
    const bool json = type != nullptr && type->starts_with("application/json");
    const bool cbor = route.body == Body::Graph && type != nullptr && type->starts_with("application/cbor");
    if (!json && !cbor)
      co_return refusal(
          {"media_type", "the body's Content-Type is not one taken here", "",
           route.body == Body::Graph ? "send application/json or application/cbor" : "send application/json"});
    share.belongs_to(call.account);
    CountedBody counted(*call.request.body, share);
    call.body = co_await http::read_all(counted, limit);
    if (route.access.auth == Auth::None) co_return std::nullopt;
    const bool good = co_await service.keys.is_good(call.key_id);  // the body may have taken its time
    if (!good) co_return refusal(Keys::unauthorized());
    co_return std::nullopt;
  }

  /// Takes the Idempotency-Key; the refusal of one that cannot be.
  static std::optional<http::Response> take_key(const Route& route, Call& call) {
    const std::string* key = route.method == http::Method::Post ? call.request.field("idempotency-key") : nullptr;
    if (key == nullptr || route.access.auth == Auth::None) return std::nullopt;
    if (key->empty() || key->size() > kMaxIdempotencyKeyBytes || !is_utf8(*key))
      return refusal({"bad_header", "Idempotency-Key is not 1 to 255 bytes of UTF-8", "", "send another key"});
    Sha256 hash;
    hash.update(call.request.path + "\n");
    hash.update(call.body);
    call.idempotency = {*key, hash.finish()};
    return std::nullopt;
  }

  /// The stored answer of a repeat.
  Awaitable<std::optional<http::Response>> recall(const Call& call) {
    if (call.idempotency.key.empty()) co_return std::nullopt;
    const auto find = [account = call.account, given = call.idempotency](sql::JobStore& store) {
      return store.find_idempotent(account, given);
    };
    const auto known = co_await service.database.run(find);
    if (known) co_return stored_answer(*known);
    co_return std::nullopt;
  }

  Awaitable<void> remember(const Route& route, const Call& call, const http::Response& response) {
    const auto* text = std::get_if<std::string>(&response.body);
    if (!route.creates || call.idempotency.key.empty() || response.status >= 300 || text == nullptr) co_return;
    const auto store_answer = [account = call.account, given = call.idempotency, status = response.status,
                               answer = *text](sql::JobStore& store) {
      store.store_idempotent(account, given, status, answer);
    };
    co_await service.database.run(store_answer);
  }

  Awaitable<http::Response> run(const Route& route, Call& call) {
    BodyMemory::Share share(body_memory);
    if (auto refused = co_await admit(route, call)) co_return std::move(*refused);
    if (auto refused = co_await read_body(route, call, share)) co_return std::move(*refused);
    if (auto refused = take_key(route, call)) co_return std::move(*refused);
    call.release_body = [&call, &share] {
      std::string().swap(call.body);
      share.give_back();
    };
    if (route.creates) {
      if (auto known = co_await recall(call)) co_return std::move(*known);
    }
    http::Response response = co_await route.handler(service, call);
    // A submit finds its own key in the transaction that would insert the jobs. It gets there only with a job that can
    // be planned; what a repeat cannot plan any more had its answer all the same.
    const bool refused = (response.status >= 400 && response.status < 500) || response.status == 507;
    if (!route.creates && refused) {
      if (auto known = co_await recall(call)) co_return std::move(*known);
    }
    co_await remember(route, call, response);
    co_return response;
  }

  Service& service;
  BodyMemory body_memory;
};

Api::Api(Service& service) : state_(std::make_unique<State>(service)) {}
Api::~Api() = default;

Awaitable<http::Response> Api::handle(http::Request& request) {
  const auto began = std::chrono::steady_clock::now();
  InFlight in_flight(state_->service.metrics.requests_in_flight);
  const auto found = State::find_route(request);
  const auto record = [&](int status) {
    state_->service.metrics.request(std::string(http::name(request.method)),
                                    found.route != nullptr ? std::string(found.route->pattern) : "none", status,
                                    std::chrono::steady_clock::now() - began);
  };
  try {
    Call call{request, found.arguments};
    http::Response response;
    if (found.route == nullptr)
      response = State::no_route(request, found);
    else
      response = co_await state_->run(*found.route, call);
    record(response.status);
    co_return response;
  } catch (const sql::BadCursor& error) {
    http::Response response =
        refusal({"bad_cursor", error.what(), "", "use the 'next' of the page before, or none for the first page"});
    record(response.status);
    co_return response;
  } catch (const http::RequestFailed& failure) {
    record(failure.status);
    throw;
  }
}

}  // namespace quarry::server
