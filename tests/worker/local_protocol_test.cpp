#include "worker/local_protocol.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "common/random.h"

namespace quarry::worker::test {
namespace {

StartJob some_job() {
  StartJob job{
      .ticket = 7, .graph = sha256("graph"), .job_document = "{}", .first_step = 3, .steps = 5, .last_segment = false};
  job.memory_bound_bytes = 1 << 20;
  job.inputs.push_back({"x", {{1, 16, 32}, {2, 0, 8}}});
  return job;
}

TEST_CASE("a message arrives as it was sent, with its descriptors") {
  auto ends = make_local_pair();
  REQUIRE(ends.ok());
  Packet packet{encode(ToExecutor(some_job())), {}};
  auto file = make_memory_file("test", std::as_bytes(std::span("blob", 4)));
  packet.descriptors.push_back(std::move(*file));
  REQUIRE(*send_packet(ends->first.get(), packet, true));
  auto received = receive_packet(ends->second.get(), true);
  REQUIRE(received.ok());
  REQUIRE(received->value().descriptors.size() == 1);
  CHECK(*regular_file_bytes(received->value().descriptors[0].get()) == 4);
  const auto message = decode_to_executor(received->value().bytes);
  REQUIRE(message.ok());
  const auto& job = std::get<StartJob>(*message);
  CHECK(job.ticket == 7);
  CHECK(job.graph == sha256("graph"));
  CHECK(job.first_step == 3);
  CHECK_FALSE(job.last_segment);
  REQUIRE(job.inputs.size() == 1);
  CHECK(job.inputs[0].extents[1].blob == 2);
}

TEST_CASE("a message too large for a packet travels in a memory file") {
  auto ends = make_local_pair();
  StartJob job = some_job();
  job.job_document.assign(5 << 20, ' ');
  Packet packet{encode(ToExecutor(job)), {}};
  REQUIRE(*send_packet(ends->first.get(), packet, true));
  const auto received = receive_packet(ends->second.get(), true);
  REQUIRE(received.ok());
  CHECK(received->value().descriptors.empty());
  const auto message = decode_to_executor(received->value().bytes);
  REQUIRE(message.ok());
  CHECK(std::get<StartJob>(*message).job_document.size() == 5 << 20);
}

TEST_CASE("nothing to read, a full buffer and a closed peer are told apart") {
  auto ends = make_local_pair();
  CHECK_FALSE(receive_packet(ends->first.get(), false)->has_value());
  bool full = false;
  for (int i = 0; i < 100'000 && !full; ++i) {
    Packet packet{std::vector<std::byte>(kMaxPacketBytes), {}};
    full = !*send_packet(ends->first.get(), packet, false);
  }
  CHECK(full);
  ends->second.reset();
  CHECK(receive_packet(ends->first.get(), true).problem().code == "closed");
}

TEST_CASE("a cut, lengthened or altered message is refused or harmless, never a crash") {
  const auto whole = encode(ToExecutor(some_job()));
  for (size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(decode_to_executor(std::span(whole).first(size)).ok());
  auto longer = whole;
  longer.push_back(std::byte{0});
  CHECK_FALSE(decode_to_executor(longer).ok());

  SeededRandom random(1);
  for (int round = 0; round < 20'000; ++round) {
    auto altered = whole;
    for (int change = 0; change < 3; ++change)
      altered[random.next_u64() % altered.size()] = static_cast<std::byte>(random.next_u64());
    (void)decode_to_executor(altered);
    (void)decode_from_executor(altered);
  }
}

TEST_CASE("a list that claims more elements than there are bytes is refused before memory is taken for it") {
  auto bytes = encode(FromExecutor(JobDone{.ticket = 1}));
  constexpr size_t kCountAt = 1 + sizeof(uint64_t);  // after kind and ticket
  for (size_t i = 0; i < sizeof(uint64_t); ++i) bytes[kCountAt + i] = std::byte{0x7f};
  CHECK_FALSE(decode_from_executor(bytes).ok());
}

TEST_CASE("neither side takes the other side's messages") {
  CHECK_FALSE(decode_from_executor(encode(ToExecutor(some_job()))).ok());
  CHECK_FALSE(decode_to_executor(encode(FromExecutor(CannotServe{"no device"}))).ok());
}

}  // namespace
}  // namespace quarry::worker::test
