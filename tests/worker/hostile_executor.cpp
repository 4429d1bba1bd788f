// An executor that was taken over: says Ready, takes a job, then misbehaves in the way that its --device names.
#include <unistd.h>

#include <cstring>
#include <string>

#include "worker/local_protocol.h"

namespace {

using namespace quarry;
using namespace quarry::worker;

constexpr int kSocket = 3;

void say(const FromExecutor& message, FileDescriptor file = {}) {
  Packet packet{encode(message), {}};
  if (file.valid()) packet.descriptors.push_back(std::move(file));
  (void)send_packet(kSocket, packet, true);
}

uint64_t wait_for_job() {
  while (true) {
    auto packet = receive_packet(kSocket, true);
    if (!packet.ok()) ::_exit(0);
    const auto message = decode_to_executor((**packet).bytes);
    if (const auto* start = std::get_if<StartJob>(&*message)) return start->ticket;
  }
}

FileDescriptor a_pipe() {
  int ends[2];
  if (::pipe(ends) != 0) ::_exit(1);
  return FileDescriptor(ends[0]);
}

void misbehave(const std::string& how, uint64_t ticket) {
  if (how == "a start of another's job") return say(JobStarted{ticket + 1'000});
  say(JobStarted{ticket});
  if (how == "a start while it runs") say(JobStarted{ticket});
  if (how == "garbage") {
    Packet packet{std::vector<std::byte>(100, std::byte{0xff}), {}};
    (void)send_packet(kSocket, packet, true);
  }
  if (how == "another job's end") say(JobDone{.ticket = ticket + 1000});
  if (how == "ready twice") say(Ready{});
  if (how == "an output shorter than said")
    say(JobOutput{ticket, false, "y", 1000}, make_memory_file("short", std::as_bytes(std::span("ten bytes"))).value());
  if (how == "an output that is a pipe") say(JobOutput{ticket, false, "y", 1000}, a_pipe());
  if (how == "an output without a file") say(JobOutput{ticket, false, "y", 1000});
  if (how == "impossible progress") say(JobProgress{ticket, JobPhase::Running, 5, 2});
  if (how == "more kernels than a graph has nodes") say(JobProgress{ticket, JobPhase::Compiling, 0, int64_t{1} << 40});
  if (how == "compiles for ever") say(JobProgress{ticket, JobPhase::Compiling, 1, 3});
  if (how == "compiles for a second") {
    for (int kernel = 0; kernel < 10; ++kernel) {
      say(JobProgress{ticket, JobPhase::Compiling, kernel, 10});
      ::usleep(100'000);
    }
    say(JobDone{.ticket = ticket});
  }
  if (how == "an earlier phase again") {
    say(JobProgress{ticket, JobPhase::Running, 0, 1});
    say(JobProgress{ticket, JobPhase::Compiling, 0, 1});
  }
  if (how == "an unknown failure") say(JobFailed{ticket, "accepted", "pay me"});
  if (how == "a name that is not text") say(JobDone{.ticket = ticket, .outputs = {{false, "\xff\xfe", {}}}});
  if (how == "a closed socket") ::close(kSocket);
}

}  // namespace

int main(int argc, char** argv) {
  std::string how;
  for (int i = 1; i + 1 < argc; ++i)
    if (std::strcmp(argv[i], "--device") == 0) how = argv[i + 1];
  if (how == "a device that hangs when it is opened") ::pause();
  say(Ready{.device_name = "hostile", .backend = "none"});
  misbehave(how, wait_for_job());
  ::pause();
}
