#include "wire/link.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "common/clock.h"
#include "tests/support/time_factor.h"
#include "tests/wire/authority.h"

using namespace quarry;
using namespace quarry::wire;
using quarry::test::Authority;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

/// An io_context on threads of its own.
class Io {
 public:
  explicit Io(int threads = 2) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { context.run(); });
  }
  ~Io() {
    context.stop();
    for (auto& thread : threads_) thread.join();
  }
  asio::io_context context;

 private:
  asio::executor_work_guard<asio::io_context::executor_type> work_{context.get_executor()};
  std::vector<std::thread> threads_;
};

/// What happened to one link, to be waited for.
class Watcher {
 public:
  Link::Handlers handlers() {
    return {[this](Message message) {
              const std::lock_guard lock(mutex_);
              messages_.push_back(std::move(message));
              changed_.notify_all();
            },
            [this](const std::string& reason) {
              const std::lock_guard lock(mutex_);
              closes_.push_back(reason);
              changed_.notify_all();
            }};
  }
  bool wait_messages(size_t count, std::chrono::seconds limit = 120s) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kTimeFactor * limit, [&] { return messages_.size() >= count; });
  }
  std::string wait_close(std::chrono::seconds limit = 120s) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kTimeFactor * limit, [&] { return !closes_.empty(); }) ? closes_.front()
                                                                                          : "(still open)";
  }
  size_t closes() {
    const std::lock_guard lock(mutex_);
    return closes_.size();
  }
  std::vector<Message> messages() {
    const std::lock_guard lock(mutex_);
    return messages_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Message> messages_;
  std::vector<std::string> closes_;
};

template <class T>
class Slot {
 public:
  void set(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
    changed_.notify_all();
  }
  /// Gives the value away: a link must not stay here beyond its io_context.
  std::optional<T> wait(std::chrono::milliseconds limit = 120s) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kTimeFactor * limit, [&] { return value_.has_value(); });
    return std::exchange(value_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> value_;
};

Result<std::shared_ptr<Link>> connect_to(Io& io, uint16_t port, const TlsFiles& files, const std::string& expected,
                                         uint32_t timeout_ms = 60'000) {
  Slot<Result<std::shared_ptr<Link>>> slot;
  connect(io.context, "127.0.0.1", port, files, expected, timeout_ms, [&](auto link) { slot.set(std::move(link)); });
  auto answer = slot.wait();
  REQUIRE(answer);
  return std::move(*answer);
}

/// A server and a client that speak over loopback.
struct Pair {
  Authority authority;
  Watcher server_saw, client_saw;
  Slot<std::shared_ptr<Link>> accepted;
  Io io;
  std::unique_ptr<Listener> listener;
  std::shared_ptr<Link> server, client;

  Pair() {
    listener = listen(io.context, "127.0.0.1", 0, authority.files("server"),
                      [this](auto link) { accepted.set(std::move(link)); });
    client = connect_to(io, listener->port(), authority.files("box_1"), "server").value();
    server = *accepted.wait();
  }
  void start() {
    server->start(server_saw.handlers());
    client->start(client_saw.handlers());
  }
  ~Pair() {
    listener->stop();
    server->close();
    client->close();
  }
};

}  // namespace

TEST_CASE("both sides learn each other's name and key") {
  Pair pair;
  CHECK(pair.client->peer_name() == "server");
  CHECK(pair.server->peer_name() == "box_1");
  CHECK(pair.server->peer_key_sha256() == pair.authority.digest);
}

TEST_CASE("messages arrive whole and in the order they were sent, both ways") {
  Pair pair;
  pair.start();
  constexpr int32_t kCount = 5'000;
  for (int32_t i = 0; i < kCount; ++i) {
    pair.client->send(Heartbeat{i});
    pair.server->send(Refusal{"n" + std::to_string(i), ""});
  }
  REQUIRE(pair.server_saw.wait_messages(kCount));
  REQUIRE(pair.client_saw.wait_messages(kCount));
  const auto up = pair.server_saw.messages(), down = pair.client_saw.messages();
  for (int32_t i = 0; i < kCount; ++i) {
    REQUIRE(std::get<Heartbeat>(up.at(static_cast<size_t>(i))).running == i);
    REQUIRE(std::get<Refusal>(down.at(static_cast<size_t>(i))).code == "n" + std::to_string(i));
  }
}

TEST_CASE("a link carries the version that its sides agreed on, and leaves out what is newer") {
  Pair pair;
  pair.start();
  const Progress sent{{{{}, 1, 2, Phase::Compiling, 3, 4}}};
  for (uint32_t version = kOldestVersion; version <= kVersion; ++version) {
    pair.server->agree(version);
    pair.client->agree(version);
    const size_t before = pair.server_saw.messages().size();
    pair.client->send(Compiled{{Digest{}}});  // of version 2
    pair.client->send(sent);
    const size_t expected = version >= 2 ? 2 : 1;
    REQUIRE(pair.server_saw.wait_messages(before + expected));
    const auto messages = pair.server_saw.messages();
    REQUIRE(messages.size() == before + expected);
    const auto& attempt = std::get<Progress>(messages.back()).attempts.at(0);
    CHECK(attempt.steps_total == 2);
    CHECK(attempt.phase == (version >= 2 ? Phase::Compiling : Phase::Running));
    CHECK(attempt.phase_total == (version >= 2 ? 4 : 0));
  }
}

TEST_CASE("a peer that speaks a version that was not agreed on is closed") {
  Pair pair;
  pair.start();
  pair.client->agree(2);
  pair.client->send(Progress{{{{}, 1, 2, Phase::Compiling, 3, 4}}});
  CHECK_THAT(pair.server_saw.wait_close(), Catch::Contains("/attempts/0/phase"));
}

TEST_CASE("large frames arrive whole between small ones") {
  Pair pair;
  pair.start();
  for (uint64_t i = 0; i < 32; ++i) {
    pair.client->send(BlobPut{i, {}, 1 << 30, 0, std::vector<std::byte>(kMaxBlobPartBytes, static_cast<std::byte>(i))});
    pair.client->send(Heartbeat{static_cast<int32_t>(i)});
  }
  REQUIRE(pair.server_saw.wait_messages(64));
  const auto messages = pair.server_saw.messages();
  for (size_t i = 0; i < 32; ++i) {
    const auto& part = std::get<BlobPut>(messages.at(2 * i));
    CHECK(part.bytes.size() == kMaxBlobPartBytes);
    CHECK(part.bytes.back() == static_cast<std::byte>(i));
  }
}

TEST_CASE("what was sent before close() still arrives, then both sides hear of the end once") {
  Pair pair;
  pair.start();
  for (int32_t i = 0; i < 1'000; ++i) pair.server->send(Heartbeat{i});
  pair.server->send(Refusal{"revoked", "This box's key was revoked."});
  pair.server->close();
  pair.server->send(Heartbeat{1});  // after close(): dropped
  CHECK(pair.client_saw.wait_close() != "(still open)");
  CHECK(pair.server_saw.wait_close() == "closed by this side");
  CHECK(pair.client_saw.messages().size() == 1'001);
  CHECK(std::holds_alternative<Refusal>(pair.client_saw.messages().back()));
  std::this_thread::sleep_for(50ms);
  CHECK(pair.client_saw.closes() == 1);
  CHECK(pair.server_saw.closes() == 1);
}

TEST_CASE("a close that came before start() is still told") {
  Pair pair;
  pair.client->start(pair.client_saw.handlers());
  pair.client->close();
  CHECK(pair.client_saw.wait_close() != "(still open)");
  pair.server->start(pair.server_saw.handlers());
  CHECK(pair.server_saw.wait_close() != "(still open)");
}

TEST_CASE("closing from both sides and from many threads at once ends each link exactly once") {
  for (int round = 0; round < 10; ++round) {
    Pair pair;
    pair.start();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&, i] {
        for (int k = 0; k < 50; ++k) (i % 2 ? pair.server : pair.client)->send(Heartbeat{k});
        (i % 2 ? pair.server : pair.client)->close();
      });
    for (auto& thread : threads) thread.join();
    CHECK(pair.client_saw.wait_close() != "(still open)");
    CHECK(pair.server_saw.wait_close() != "(still open)");
    CHECK(pair.client_saw.closes() == 1);
    CHECK(pair.server_saw.closes() == 1);
  }
}

TEST_CASE("a peer that does not read is cut off when too much is queued for it") {
  Pair pair;
  pair.server->start(pair.server_saw.handlers());  // the client never starts: it never reads
  const BlobData part{1, 1 << 30, std::vector<std::byte>(kMaxBlobPartBytes), ""};
  for (size_t sent = 0; sent < 2 * kMaxQueuedBytes; sent += kMaxBlobPartBytes) {
    pair.server->send(part);
    REQUIRE(pair.server->queued_bytes() <= kMaxQueuedBytes + kMaxFrameBytes);
  }
  CHECK(pair.server_saw.wait_close() == "the peer reads too slowly");
}

TEST_CASE("a peer of another authority is refused on both sides") {
  Authority ours, theirs;
  Io io;
  int links = 0;
  const auto listener = listen(io.context, "127.0.0.1", 0, ours.files("server"), [&](auto) { ++links; });
  // Their client distrusts our server.
  CHECK_FALSE(connect_to(io, listener->port(), theirs.files("box_1"), "server").ok());
  // A client that trusts our authority but holds their certificate: in TLS 1.3 it learns of the refusal when it first
  // reads.
  TlsFiles mixed = theirs.files("box_1");
  mixed.authority = ours.files("x").authority;
  Watcher saw;
  if (const auto link = connect_to(io, listener->port(), mixed, "server"); link.ok()) {
    link.value()->start(saw.handlers());
    CHECK(saw.wait_close() != "(still open)");
  }
  CHECK(links == 0);
}

TEST_CASE("a peer with another name than expected is refused") {
  Authority authority;
  Io io;
  const auto listener = listen(io.context, "127.0.0.1", 0, authority.files("box_2"), [](auto link) { link->close(); });
  const auto link = connect_to(io, listener->port(), authority.files("server"), "scheduler");
  REQUIRE_FALSE(link.ok());
  CHECK_THAT(link.problem().detail, Catch::Contains("is 'box_2', not 'scheduler'"));
}

TEST_CASE("an expired certificate is refused") {
  Authority authority;
  Io io;
  const auto listener = listen(io.context, "127.0.0.1", 0, authority.files("server"), [](auto link) { link->close(); });
  const auto old = make_authority("Old", WallTime{1'000'000'000'000'000});
  TlsFiles files = authority.files("box_1");
  std::ofstream(files.authority + ".old") << old.certificate_pem;
  files.authority += ".old";
  CHECK_FALSE(connect_to(io, listener->port(), files, "server").ok());
}

TEST_CASE("a peer that says nothing is given up") {
  Io io;
  asio::ip::tcp::acceptor silent(io.context, {asio::ip::make_address("127.0.0.1"), 0});
  Authority authority;
  CHECK_FALSE(connect_to(io, silent.local_endpoint().port(), authority.files("box_1"), "server", 200).ok());
}

TEST_CASE("plain text on the port does not disturb the listener") {
  Authority authority;
  Io io;
  Slot<std::shared_ptr<Link>> accepted;
  const auto listener =
      listen(io.context, "127.0.0.1", 0, authority.files("server"), [&](auto link) { accepted.set(std::move(link)); });
  asio::io_context plain;
  asio::ip::tcp::socket socket(plain);
  socket.connect({asio::ip::make_address("127.0.0.1"), listener->port()});
  asio::write(socket, asio::buffer(std::string_view("GET / HTTP/1.1\r\n\r\n")));
  const auto link = connect_to(io, listener->port(), authority.files("box_1"), "server");
  REQUIRE(link.ok());
  (*accepted.wait())->close();
  link.value()->close();
}

TEST_CASE("a missing certificate file is one clear sentence") {
  Io io;
  Authority authority;
  TlsFiles files = authority.files("server");
  files.key = "/nowhere/server.key";
  CHECK_THROWS_WITH(listen(io.context, "127.0.0.1", 0, files, [](auto) {}), Catch::Contains("/nowhere/server.key"));
  const auto link = connect_to(io, 1, files, "server");
  REQUIRE_FALSE(link.ok());
  CHECK_THAT(link.problem().detail, Catch::Contains("/nowhere/server.key"));
}

TEST_CASE("nothing is accepted once the listener stopped") {
  Authority authority;
  Io io;
  const auto listener = listen(io.context, "127.0.0.1", 0, authority.files("server"), [](auto link) { link->close(); });
  listener->stop();
  std::this_thread::sleep_for(50ms);
  CHECK_FALSE(connect_to(io, listener->port(), authority.files("box_1"), "server", 1'000).ok());
}
