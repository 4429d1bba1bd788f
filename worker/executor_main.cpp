// quarry-executor: started by the agent with its socket as descriptor 3, never by hand.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>

#include "common/log.h"
#include "worker/boot_id.h"
#include "worker/compiler_cache.h"
#include "worker/executor.h"
#include "worker/sandbox.h"

#if defined(__SANITIZE_ADDRESS__)
/// The search for leaks at exit traces the process, which the sandbox forbids.
extern "C" const char* __asan_default_options() {
  return "detect_leaks=0";
}
#endif

namespace {

using namespace quarry;
using namespace quarry::worker;

constexpr int kSocket = 3;

struct Options {
  std::string device, cache, seal;
  bool drop_new_kernels = false;
  uint32_t first_unit = 0, units = 0, user_id = 0;
  uint64_t memory_bytes = 0;
};

/// Flags are the agent's; a person who starts this program by hand is told so.
Options parse(int argc, char** argv) {
  Options options;
  CLI::App app("Runs jobs on one slice of a device. Started by quarry-worker, with its socket as descriptor 3.");
  app.add_option("--device", options.device, "device selector, e.g. opencl:0")->required();
  app.add_option("--cache", options.cache, "directory of compiled kernels")->required();
  app.add_option("--seal", options.seal, "file with the hashes of the compiled kernels")->required();
  app.add_flag("--drop-new-kernels", options.drop_new_kernels, "the last executor's kernels are not to be trusted");
  app.add_option("--first-unit", options.first_unit, "first compute unit of the slice");
  app.add_option("--units", options.units, "compute units of the slice; 0: the whole device");
  app.add_option("--memory", options.memory_bytes, "memory quota in bytes; 0: all of the device's");
  app.add_option("--user", options.user_id, "numeric user to become when started by root")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

int refuse(const FileDescriptor& socket, const std::string& detail) {
  Packet packet{encode(FromExecutor(CannotServe{detail.substr(0, kMaxDetailBytes)})), {}};
  (void)send_packet(socket.get(), packet, true);
  return 1;
}

Ready describe(const device::Properties& properties, uint64_t memory_bytes, std::vector<SandboxLayer> sandbox) {
  return {properties.name, properties.backend,       properties.driver,
          memory_bytes,    properties.compute_units, std::move(sandbox)};
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  FileDescriptor socket(kSocket);
  const Status sealed =
      seal_compiler_cache(options.cache, options.seal, options.drop_new_kernels ? NewFiles::Drop : NewFiles::Keep,
                          current_boot_id(), options.user_id);
  if (!sealed.ok()) return refuse(socket, "the compiler cache cannot be checked: " + sealed.problem().detail);
  const uint64_t process_memory = options.memory_bytes != 0 ? options.memory_bytes : machine_memory_bytes();
  std::vector<SandboxLayer> sandbox = enter_sandbox({options.user_id, options.cache, process_memory});
  start_logging("quarry-executor");

  if (options.device == "best")
    for (const device::DeviceInfo& one : device::survey_devices())
      if (!one.left_out.empty()) spdlog::info("{} is left out: {}", one.selector, one.left_out);
  auto device = device::open_device(options.device, {".", options.first_unit, options.units});
  if (!device.ok()) return refuse(socket, device.problem().detail);
  const device::Properties& properties = (*device)->properties();
  const uint64_t memory_bytes =
      options.memory_bytes != 0 ? std::min(options.memory_bytes, properties.memory_bytes) : properties.memory_bytes;
  Packet ready{encode(FromExecutor(describe(properties, memory_bytes, std::move(sandbox)))), {}};
  if (!send_packet(socket.get(), ready, true).ok()) return 1;

  const SystemClock clock;
  const Status served = Executor(std::move(socket), **device, memory_bytes, clock).serve();
  if (served.ok()) return 0;
  spdlog::error("{}", served.problem().detail);
  return 1;
}
