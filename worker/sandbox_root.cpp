// The executor's own root directory: a small tmpfs onto which the system's directories are bound read-only.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "worker/sandbox.h"

namespace quarry::worker {
namespace {

namespace fs = std::filesystem;

/// The tmpfs is mounted over this directory of the private mount namespace; every Linux system has one.
const fs::path kNewRoot = "/tmp";
constexpr const char* kTmpfsOptions = "mode=0755,size=1g";

// Loaders, libraries, compilers, ICD registrations and the topology of the processor; drivers installed by hand live in
// /opt.
constexpr const char* kSystemDirectories[] = {"usr",   "bin",    "sbin", "lib", "lib32",
                                              "lib64", "libx32", "etc",  "opt", "sys"};
constexpr const char* kPlainDevices[] = {"null", "zero", "full", "random", "urandom"};
/// Beginnings of names in /dev that belong to accelerators of any vendor.
constexpr std::string_view kAcceleratorDevices[] = {"nvidia", "dri", "kfd", "accel", "mali", "dxg"};

using Failure = std::optional<std::string>;  ///< what could not be done; nullopt: all is well

Failure failed(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

bool bind(const fs::path& source, const fs::path& target) {
  return ::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0;
}

bool make_read_only(const fs::path& target) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  return ::mount_setattr(AT_FDCWD, target.c_str(), AT_RECURSIVE, &attributes, sizeof attributes) == 0;
}

Failure bind_system_directories(const fs::path& root) {
  for (const char* name : kSystemDirectories) {
    const fs::path source = fs::path("/") / name, target = root / name;
    std::error_code error;
    const fs::file_status status = fs::symlink_status(source, error);
    if (fs::is_symlink(status)) {  // merged /usr: /lib is usr/lib
      fs::copy_symlink(source, target, error);
      if (error) return "cannot copy " + source.string() + ": " + error.message();
    } else if (fs::is_directory(status)) {
      fs::create_directory(target, error);
      if (!bind(source, target)) return failed("cannot bind " + source.string());
      if (!make_read_only(target)) return failed("cannot make " + source.string() + " read-only");
    }
  }
  return std::nullopt;
}

Failure bind_device(const fs::path& source, const fs::path& target) {
  std::error_code error;
  if (fs::is_directory(source, error)) {
    fs::create_directory(target, error);
  } else if (const int fd = ::open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644); fd >= 0) {
    ::close(fd);
  }
  if (!bind(source, target)) return failed("cannot bind " + source.string());
  return std::nullopt;
}

Failure bind_devices(const fs::path& root) {
  std::error_code error;
  fs::create_directories(root / "dev/shm", error);
  ::chmod((root / "dev/shm").c_str(), 01777);
  for (const char* name : kPlainDevices)
    if (Failure failure = bind_device(fs::path("/dev") / name, root / "dev" / name)) return failure;
  for (const auto& entry : fs::directory_iterator("/dev", error)) {
    const std::string name = entry.path().filename();
    for (std::string_view beginning : kAcceleratorDevices)
      if (name.starts_with(beginning))
        if (Failure failure = bind_device(entry.path(), root / "dev" / name)) return failure;
  }
  return std::nullopt;
}

/// A fresh /proc shows only the namespace's own processes. Inside some containers it may not be mounted: then the old
/// one is bound.
Failure provide_proc(const fs::path& root) {
  std::error_code error;
  fs::create_directory(root / "proc", error);
  if (::mount("proc", (root / "proc").c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0)
    return std::nullopt;
  return bind("/proc", root / "proc") ? std::nullopt : failed("cannot provide /proc");
}

Failure bind_writable_directory(int directory, const fs::path& path, const fs::path& root) {
  std::error_code error;
  const fs::path target = root / path.relative_path();
  fs::create_directories(target, error);
  if (error) return "cannot create " + target.string() + ": " + error.message();
  // Through the descriptor: the directory may itself lie under the one that the tmpfs now covers.
  if (!bind("/proc/self/fd/" + std::to_string(directory), target)) return failed("cannot bind the compiler cache");
  return std::nullopt;
}

Failure populate(const fs::path& root, int writable, const fs::path& writable_path) {
  if (Failure failure = bind_system_directories(root)) return failure;
  if (Failure failure = bind_devices(root)) return failure;
  if (Failure failure = provide_proc(root)) return failure;
  std::error_code error;
  fs::create_directory(root / "tmp", error);
  ::chmod((root / "tmp").c_str(), 01777);
  return bind_writable_directory(writable, writable_path, root);
}

Failure enter(const fs::path& writable_path) {
  const FileDescriptor writable(::open(writable_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!writable.valid()) return failed("cannot open " + writable_path.string());
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return failed("cannot make mounts private");
  if (::mount("tmpfs", kNewRoot.c_str(), "tmpfs", MS_NOSUID, kTmpfsOptions) != 0) return failed("cannot mount a tmpfs");
  if (Failure failure = populate(kNewRoot, writable.get(), writable_path)) {
    ::umount2(kNewRoot.c_str(), MNT_DETACH);
    return failure;
  }
  // pivot_root(".", ".") stacks the old root on the new one, from where it is detached: no directory for it is needed.
  if (::chdir(kNewRoot.c_str()) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0 ||
      ::chdir("/") != 0)
    return failed("cannot change the root");
  return std::nullopt;
}

}  // namespace

SandboxLayer enter_private_root(const std::string& writable_directory) {
  const Failure failure = enter(fs::absolute(writable_directory));
  return {"private root", !failure.has_value(), failure.value_or("")};
}

}  // namespace quarry::worker
