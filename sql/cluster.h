// A private PostgreSQL 15 cluster: made, tuned, started, watched and stopped by the process that owns this object.
// `quarry up` and the tests use the same one. It listens on a Unix socket only. Knows nothing of Quarry's tables.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace quarry::sql {

struct ClusterError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ClusterOptions {
  std::filesystem::path data;        ///< the cluster's directory; made by initdb when it is not one yet
  std::filesystem::path socket;      ///< directory of the Unix socket: at most 90 bytes, the kernel's limit
  std::filesystem::path log;         ///< the server's own messages are appended here
  std::string os_user = "postgres";  ///< who PostgreSQL runs as when this process is root, which PostgreSQL refuses
  std::filesystem::path programs = "/usr/lib/postgresql/15/bin";
  unsigned shared_buffers_mib = 128;
  unsigned max_connections = 64;
  bool throwaway = false;  ///< for tests: made without waiting for the disk; commits wait for it all the same
  std::chrono::seconds ready_within{120};  ///< recovery after a crash counts too
};

/// Every call throws ClusterError with what went wrong and the end of PostgreSQL's log.
class Cluster {
 public:
  /// Initialises what is missing, stops a server that an owner killed earlier left behind on the same directory,
  /// starts, and returns when connections are accepted and the database `quarry` exists. The server is told to stop
  /// when the calling thread's process dies.
  explicit Cluster(ClusterOptions options);
  ~Cluster();  ///< stops it
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  /// A libpq connection string for a database of the cluster.
  std::string connection(const std::string& database = "quarry") const;

  bool running();  ///< false once the server has ended, by whatever cause
  void start();    ///< again, after stop(), kill() or a crash
  void stop();     ///< fast shutdown: open transactions are rolled back, everything committed is on disk
  void kill();     ///< SIGKILL to the server and all its processes at once: what a power cut looks like to the database

 private:
  void initialise();
  pid_t spawn(std::vector<std::string> arguments, int death_signal) const;
  void write_configuration() const;
  void stop_leftover() const;
  void wait_ready();
  std::string log_tail() const;
  [[noreturn]] void fail(const std::string& what) const;

  ClusterOptions options_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  pid_t pid_ = -1;  ///< of the postmaster, -1 when none runs
};

}  // namespace quarry::sql
