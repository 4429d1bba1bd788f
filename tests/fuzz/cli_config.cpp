// The command line's configuration file, as text in memory.
#include <sys/mman.h>
#include <unistd.h>

#include "cli/config.h"
#include "tests/fuzz/require.h"

using namespace quarry;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("config", 0);
  FUZZ_REQUIRE(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  const auto config = cli::load_config("/proc/self/fd/" + std::to_string(file), true);
  if (!config.ok()) FUZZ_REQUIRE(config.problem().code == "bad_config" && !config.problem().detail.empty());
  return 0;
}
