#include "worker/boot_id.h"

#include <fcntl.h>
#include <unistd.h>

#include "worker/file_descriptor.h"

namespace quarry::worker {

std::string current_boot_id() {
  // A file of /proc says that it is empty, so it is read up to what a boot id takes.
  FileDescriptor file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[100];
  const ssize_t got = file.valid() ? ::read(file.get(), text, sizeof text) : 0;
  if (got <= 0) return {};
  const std::string line(text, static_cast<size_t>(got));
  return line.substr(0, line.find('\n'));
}

}  // namespace quarry::worker
