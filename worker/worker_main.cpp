// quarry-worker: the agent of one box.
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <thread>

#include "common/log.h"
#include "common/private_files.h"
#include "common/sha256.h"
#include "worker/agent.h"
#include "worker/boot_id.h"
#include "worker/enrol.h"

namespace {

using namespace quarry;
using namespace quarry::worker;
namespace fs = std::filesystem;
namespace asio = boost::asio;
using boost::system::error_code;

constexpr uint64_t kDefaultCacheBytes = uint64_t{20} << 30;
constexpr std::chrono::hours kRenewalCheck{1};
constexpr std::chrono::seconds kEnrolRetry{2};

struct Options {
  EnrolOptions enrol;
  std::string device = "best", executor;
  std::vector<std::string> slices;
  int32_t slots = 8;
  uint64_t cache_bytes = kDefaultCacheBytes;
};

Options parse(int argc, char** argv) {
  Options o;
  CLI::App app("Runs jobs of a Quarry service on one device of this machine.");
  app.add_option("--api", o.enrol.api, "the service, e.g. https://127.0.0.1:8443")->envname("QUARRY_API")->required();
  app.add_option("--authority-certificate", o.enrol.authority_certificate,
                 "CA file that signed the service's certificate; default: the system's")
      ->envname("QUARRY_AUTHORITY_CERTIFICATE");
  app.add_option("--data", o.enrol.data_directory, "directory of this worker's key, certificate and caches")
      ->envname("QUARRY_DATA")
      ->required();
  app.add_option("--device", o.device,
                 "best, interpreter, cuda:0, opencl:0, opencl:part-of-a-name; see `quarry devices`")
      ->envname("QUARRY_DEVICE")
      ->capture_default_str();
  app.add_option("--claim-code-file", o.enrol.claim_code_file, "file with the claim code; needed at the first start")
      ->envname("QUARRY_CLAIM_CODE_FILE");
  app.add_option("--slots", o.slots, "leases in flight per slice")
      ->envname("QUARRY_SLOTS")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'024));
  app.add_option("--cache-bytes", o.cache_bytes, "bound of the blob cache")
      ->envname("QUARRY_CACHE_BYTES")
      ->capture_default_str();
  app.add_option("--slice", o.slices,
                 "first-unit:units:memory-bytes, once a slice; default: one slice, the whole device");
  app.add_option("--executor", o.executor, "path of quarry-executor; default: beside this program");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (o.executor.empty()) o.executor = fs::read_symlink("/proc/self/exe").parent_path() / "quarry-executor";
  return o;
}

[[noreturn]] void die(const std::string& sentence) {
  std::fprintf(stderr, "quarry-worker: %s\n", sentence.c_str());
  std::exit(1);
}

template <class T>
T value_or_die(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  die(result.problem().detail + (result.problem().action.empty() ? "" : "; " + result.problem().action));
}

/// One worker a data directory: the lock is held until the process ends.
FileDescriptor lock_data_directory(const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) die("cannot create " + directory + ": " + error.message());
  fs::permissions(directory, fs::perms::owner_all, error);
  FileDescriptor lock(::open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid() || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    die("another worker uses " + directory + "; give each its own --data");
  return lock;
}

/// A server that is not there yet is waited for: boxes and services start in any order.
Enrolment enrol_patiently(const EnrolOptions& options, const PostJson& post) {
  while (true) {
    auto enrolment = enrol(options, post);
    const bool try_again =
        !enrolment.ok() && (enrolment.problem().code == "unreachable" || enrolment.problem().code == "unavailable");
    if (!try_again) return value_or_die(std::move(enrolment));
    spdlog::warn("not enrolled yet: {}", enrolment.problem().detail);
    std::this_thread::sleep_for(kEnrolRetry);
  }
}

void renew_when_due(const EnrolOptions& options, const PostJson& post, const Clock& clock) {
  const auto due = renewal_is_due(options, clock.wall());
  if (due.ok() && !*due) return;
  const Status renewed = due.ok() ? renew(options, post) : Status(due.problem());
  if (renewed.ok()) {
    spdlog::info("the box's certificate was renewed");
  } else {
    spdlog::warn("the box's certificate could not be renewed: {}", renewed.problem().detail);
  }
}

/// Looks every hour on a thread of its own, as an HTTPS call may take longer than a heartbeat may wait.
class Renewal {
 public:
  Renewal(const EnrolOptions& options, const PostJson& post, const Clock& clock)
      : thread_([options, post, &clock](const std::stop_token& stop) {
          std::mutex mutex;
          std::condition_variable_any wake;
          std::unique_lock lock(mutex);
          while (!stop.stop_requested()) {
            renew_when_due(options, post, clock);
            wake.wait_for(lock, stop, kRenewalCheck, [] { return false; });
          }
        }) {}

 private:
  std::jthread thread_;
};

/// Two workers of a machine are strangers too: their executors do not share a user, of whom the kernel counts processes
/// together and who may signal its own.
uint32_t executor_user(const std::string& data_directory, size_t index) {
  constexpr uint32_t kSlices = 256, kWorkers = 1 << 18;
  const Digest digest = sha256(fs::canonical(data_directory).string());
  const uint32_t worker = (uint32_t{digest[0]} << 16 | uint32_t{digest[1]} << 8 | digest[2]) % kWorkers;
  return kFirstExecutorUser + worker * kSlices + static_cast<uint32_t>(index % kSlices);
}

ExecutorSpec parse_slice(const Options& options, size_t index, const std::string& text) {
  ExecutorSpec spec;
  spec.program = options.executor;
  spec.device = options.device;
  spec.cache = options.enrol.data_directory + "/compiler/" + std::to_string(index);
  spec.user_id = executor_user(options.enrol.data_directory, index);
  if (!text.empty() && std::sscanf(text.c_str(), "%u:%u:%lu", &spec.first_unit, &spec.units, &spec.memory_bytes) != 3)
    die("--slice " + text + " is not first-unit:units:memory-bytes");
  return spec;
}

AgentOptions make_agent_options(const Options& options, const Enrolment& enrolment) {
  AgentOptions agent;
  agent.device_key = options.device;
  const std::vector<std::string> slices = options.slices.empty() ? std::vector<std::string>{""} : options.slices;
  for (size_t i = 0; i < slices.size(); ++i) agent.slices.push_back(parse_slice(options, i, slices[i]));
  agent.slots_per_slice = options.slots;
  agent.rate_card_file = options.enrol.data_directory + "/rate_card.json";
  agent.gate = enrolment.gate;
  agent.tls = enrolment.files;
  return agent;
}

/// A job's blobs are open files for as long as they are on their way to the executor.
void raise_open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int serve(const Options& options, const Enrolment& enrolment) {
  asio::io_context io(1);
  SystemRandom random;
  const auto cache =
      value_or_die(BlobCache::open(options.enrol.data_directory + "/cache", options.cache_bytes, current_boot_id()));
  int status = 0;
  Agent agent(io, make_agent_options(options, enrolment), *cache, random,
              {[&](const std::string& description) {
                 std::printf("ready %s %s\n", enrolment.box.c_str(), description.c_str());
                 std::fflush(stdout);
               },
               [&](const std::string& problem) {
                 std::fprintf(stderr, "quarry-worker: the device %s cannot be used: %s\n", options.device.c_str(),
                              problem.c_str());
                 status = 1;
                 io.stop();
               },
               [&] { io.stop(); }});
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](error_code error, int) {
    if (error) return;
    agent.drain();
    signals.async_wait([&](error_code second, int) {  // asked twice: at once
      if (!second) io.stop();
    });
  });
  agent.start();
  io.run();
  spdlog::info("stopped");
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  ::umask(kPrivateUmask);  // of the executors too
  start_logging("quarry-worker");
  std::signal(SIGPIPE, SIG_IGN);
  raise_open_files_limit();
  const FileDescriptor lock = lock_data_directory(options.enrol.data_directory);
  const SystemClock clock;
  const PostJson post = make_https_post(options.enrol.authority_certificate);
  const Enrolment enrolment = enrol_patiently(options.enrol, post);
  const Renewal renewal(options.enrol, post, clock);
  return serve(options, enrolment);
}
