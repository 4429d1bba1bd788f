#include "cli/interrupt.h"

#include <unistd.h>

#include <algorithm>

namespace quarry::cli {
namespace {

// A signal handler may read only what is not being written: filled before the handler is set, and never changed after.
char g_message[512];
size_t g_length = 0;

extern "C" void say_and_end(int) {
  // No other call is safe here, and nothing is left to do with an error.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, g_message, g_length);
  _exit(kInterruptedExit);
}

}  // namespace

OnInterrupt::OnInterrupt(const std::string& message) {
  g_length = std::min(message.size(), sizeof g_message);
  std::copy_n(message.begin(), g_length, g_message);
  struct sigaction action {};
  action.sa_handler = say_and_end;
  sigaction(SIGINT, &action, &before_);
}

OnInterrupt::~OnInterrupt() {
  sigaction(SIGINT, &before_, nullptr);
}

}  // namespace quarry::cli
