#include "sql/cluster.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "common/child_process.h"
#include "sql/connection.h"
#include "sql/store_errors.h"

namespace quarry::sql {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr Statement kFindDatabase = "select 1 from pg_database where datname = 'quarry'";
constexpr milliseconds kPollEvery{10};
constexpr milliseconds kStopWithin{60'000};
constexpr size_t kSocketPathLimit = 90;  // sun_path holds 108 bytes, of which PostgreSQL needs "/.s.PGSQL.5432.lock"

/// PostgreSQL's settings: durable (fsync and synchronous_commit stay on), reachable through the socket only, and
/// without JIT and parallel workers, which cost more than they give on statements of a millisecond.
std::string configuration(const ClusterOptions& options) {
  std::ostringstream out;
  out << "listen_addresses = ''\n"
      << "unix_socket_directories = '" << options.socket.string() << "'\n"
      << "unix_socket_permissions = 0700\n"
      << "max_connections = " << options.max_connections << "\n"
      << "shared_buffers = " << options.shared_buffers_mib << "MB\n"
      << "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n"
      << "wal_compression = lz4\nwal_buffers = 16MB\nmax_wal_size = 2GB\nmin_wal_size = 256MB\n"
      << "checkpoint_timeout = 15min\ncheckpoint_completion_target = 0.9\n"
      << "jit = off\nmax_parallel_workers_per_gather = 0\n"
      << "autovacuum_vacuum_cost_delay = 1ms\n"
      << "recovery_init_sync_method = syncfs\n"
      << "timezone = 'UTC'\nlog_timezone = 'UTC'\ndatestyle = 'iso'\n"
      << "log_destination = 'stderr'\nlogging_collector = off\nlog_checkpoints = off\nlog_min_messages = warning\n"
      << "log_error_verbosity = terse\n";  // details quote rows: what renters sent stays out of the log

  return out.str();
}

/// A process that was killed but not reaped yet no longer counts: nothing may ever reap an orphan in a container.
bool alive(pid_t pid) {
  std::ifstream stat(fs::path("/proc") / std::to_string(pid) / "stat");
  std::string line;
  if (!std::getline(stat, line)) return false;
  const auto name_end = line.rfind(") ");
  return name_end != std::string::npos && line[name_end + 2] != 'Z' && line[name_end + 2] != 'X';
}

bool is_postgres(pid_t pid) {
  std::error_code error;
  const auto program = fs::read_symlink(fs::path("/proc") / std::to_string(pid) / "exe", error).filename().string();
  return !error && program.starts_with("postgres");
}

/// PostgreSQL's processes that work in a cluster's directory, whoever their parent is now.
std::vector<pid_t> processes_in(const fs::path& data) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto pid = static_cast<pid_t>(std::stol(name));
    if (is_postgres(pid) && fs::read_symlink(entry.path() / "cwd", error) == data && !error) found.push_back(pid);
  }
  return found;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  std::ifstream list("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  for (pid_t child; list >> child;) children.push_back(child);
  return children;
}

bool wait_gone(pid_t pid, milliseconds limit) {
  for (const auto deadline = steady_clock::now() + limit; alive(pid); std::this_thread::sleep_for(kPollEvery))
    if (steady_clock::now() > deadline) return false;
  return true;
}

void make_private_directory(const fs::path& path, uid_t uid, gid_t gid) {
  fs::create_directories(path);
  if (geteuid() == 0 && chown(path.c_str(), uid, gid) != 0)
    throw ClusterError("cannot give " + path.string() + " to PostgreSQL's user");
  if (chmod(path.c_str(), 0700) != 0) throw ClusterError("cannot set the mode of " + path.string());
}

}  // namespace

Cluster::Cluster(ClusterOptions options) : options_(std::move(options)), uid_(geteuid()), gid_(getegid()) {
  options_.data = fs::absolute(options_.data);
  options_.socket = fs::absolute(options_.socket);
  options_.log = fs::absolute(options_.log);
  if (options_.socket.string().size() > kSocketPathLimit)
    throw ClusterError("the socket directory " + options_.socket.string() +
                       " is too long; choose a path of at most 90 bytes");
  if (uid_ == 0) {
    const passwd* user = getpwnam(options_.os_user.c_str());
    if (user == nullptr)
      throw ClusterError("PostgreSQL does not run as root and there is no user " + options_.os_user +
                         "; install postgresql-15");
    uid_ = user->pw_uid;
    gid_ = user->pw_gid;
  }
  make_private_directory(options_.data, uid_, gid_);
  make_private_directory(options_.socket, uid_, gid_);
  fs::create_directories(options_.log.parent_path());
  start();
}

Cluster::~Cluster() {
  try {
    stop();
  } catch (const std::exception&) {
    // Nothing more can be done here, and the next start finds and stops what was left behind.
  }
}

std::string Cluster::connection(const std::string& database) const {
  return "host='" + options_.socket.string() + "' user=quarry dbname=" + database;
}

void Cluster::start() {
  if (running()) return;
  stop_leftover();
  if (!fs::exists(options_.data / "PG_VERSION")) initialise();
  write_configuration();
  pid_ = spawn({(options_.programs / "postgres").string(), "-D", options_.data.string()}, SIGINT);
  wait_ready();
}

void Cluster::initialise() {
  std::vector<std::string> arguments{(options_.programs / "initdb").string(),
                                     "-D",
                                     options_.data.string(),
                                     "-U",
                                     "quarry",
                                     "--auth=trust",
                                     "--encoding=UTF8",
                                     "--no-locale",
                                     "--no-instructions"};
  if (options_.throwaway) arguments.push_back("--no-sync");
  if (wait_for_child(spawn(std::move(arguments), 0)) != 0) fail("initdb failed");
}

pid_t Cluster::spawn(std::vector<std::string> arguments, int death_signal) const {
  const int log = open(options_.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const bool as_another = geteuid() == 0;
  if (log < 0 || (as_another && fchown(log, uid_, gid_) != 0)) fail("cannot open the log");
  ChildOptions child{.arguments = std::move(arguments),
                     .descriptors = {{log, STDOUT_FILENO}, {log, STDERR_FILENO}},
                     .death_signal = death_signal};
  if (as_another) child.user.emplace(uid_, gid_);
  const auto started = start_child(child);
  close(log);
  if (!started.ok()) fail(started.problem().detail);
  return *started;
}

void Cluster::write_configuration() const {
  // Included from postgresql.conf once; rewritten at each start, so that a new release's settings take effect.
  const fs::path ours = options_.data / "quarry.conf";
  std::ofstream(ours, std::ios::trunc) << configuration(options_);
  const fs::path main = options_.data / "postgresql.conf";
  std::ifstream in(main);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::string include = "include 'quarry.conf'\n";
  if (text.find(include) == std::string::npos) std::ofstream(main, std::ios::app) << include;
  if (geteuid() == 0 && (chown(ours.c_str(), uid_, gid_) != 0 || chown(main.c_str(), uid_, gid_) != 0))
    fail("cannot give the configuration to PostgreSQL's user");
}

void Cluster::stop_leftover() const {
  std::ifstream file(options_.data / "postmaster.pid");
  pid_t leftover = 0;
  std::string directory;
  if (!(file >> leftover >> directory) || leftover <= 1 || directory != options_.data.string()) return;
  if (alive(leftover) && is_postgres(leftover)) {
    ::kill(leftover, SIGINT);
    if (!wait_gone(leftover, kStopWithin)) fail("the server left behind by an earlier run does not stop");
  }
  // Its backends notice its death by themselves, but late; a new server must not meet them.
  for (const pid_t orphan : processes_in(options_.data)) {
    ::kill(orphan, SIGKILL);
    if (!wait_gone(orphan, kStopWithin)) fail("a process left behind by an earlier run does not end");
  }
  // PostgreSQL would take an unreaped predecessor for a running one, by either of its lock files.
  fs::remove(options_.data / "postmaster.pid");
  fs::remove(options_.socket / ".s.PGSQL.5432.lock");
}

void Cluster::wait_ready() {
  const auto deadline = steady_clock::now() + options_.ready_within;
  const std::string target = connection("template1");
  std::unique_ptr<Connection> session;
  for (std::string refused; !session;) {
    try {
      session = std::make_unique<Connection>(target);
    } catch (const StoreUnavailable& error) {
      refused = error.what();
    }
    if (session) break;
    if (!running()) fail("PostgreSQL ended while starting");
    if (steady_clock::now() > deadline) fail("PostgreSQL is not ready in time: " + refused);
    std::this_thread::sleep_for(kPollEvery);
  }
  try {
    if (Connection::Transaction(*session).query(kFindDatabase).empty()) session->script("create database quarry");
  } catch (const std::runtime_error& error) {
    fail(error.what());
  }
}

bool Cluster::running() {
  if (pid_ < 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

void Cluster::stop() {
  if (!running()) return;
  ::kill(pid_, SIGINT);
  for (const auto deadline = steady_clock::now() + kStopWithin; running(); std::this_thread::sleep_for(kPollEvery))
    if (steady_clock::now() > deadline) fail("PostgreSQL does not stop");
}

void Cluster::kill() {
  if (!running()) return;
  const auto children = children_of(pid_);
  ::kill(pid_, SIGKILL);
  for (const pid_t child : children) ::kill(child, SIGKILL);
  wait_for_child(pid_);
  pid_ = -1;
  for (const pid_t child : children) wait_gone(child, kStopWithin);
}

std::string Cluster::log_tail() const {
  constexpr std::streamoff kTail = 2'000;
  std::ifstream log(options_.log, std::ios::ate);
  const std::streamoff size = log.tellg();
  log.seekg(size > kTail ? size - kTail : 0);
  return {std::istreambuf_iterator<char>(log), {}};
}

void Cluster::fail(const std::string& what) const {
  throw ClusterError(what + " (data " + options_.data.string() + ", log " + options_.log.string() +
                     "); its log ends:\n" + log_tail());
}

}  // namespace quarry::sql
