#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#ifdef __SANITIZE_THREAD__
/// spdlog's registry is a local static of a library that is not instrumented: ThreadSanitizer sees it made by the first
/// thread that logs, but not the guard that the others read before they use it. Programs log before they start threads.
extern "C" const char* __tsan_default_suppressions() {
  return "race:spdlog::details::registry::registry\n";
}
#endif
