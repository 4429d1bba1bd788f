// quarry-server: the HTTPS API for renters and the gate for workers. Start as many as you like over one database and
// blob directory.
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "common/log.h"
#include "common/private_files.h"
#include "common/random.h"
#include "server/application.h"

namespace {

using namespace quarry;

struct Flags {
  server::Options options;
  std::string listen = "127.0.0.1:8443", gate_listen = "127.0.0.1:8444", metrics_listen = "127.0.0.1:8446";
  std::string price_per_pflop = "0.0025";
};

void describe(CLI::App& app, Flags& flags) {
  const auto required = [&](const char* flag, auto& value, const char* help, const char* variable) {
    app.add_option(flag, value, help)->envname(variable)->required();
  };
  const auto optional = [&](const char* flag, auto& value, const char* help, const char* variable) {
    app.add_option(flag, value, help)->envname(variable)->capture_default_str();
  };
  server::Options& o = flags.options;
  required("--database", o.database, "PostgreSQL connection string", "QUARRY_DATABASE");
  optional("--listen", flags.listen, "HOST:PORT of the HTTPS API; port 0 picks a free one", "QUARRY_LISTEN");
  optional("--gate-listen", flags.gate_listen, "HOST:PORT for workers", "QUARRY_GATE_LISTEN");
  optional("--gate-advertise", o.gate_advertise,
           "name or address of the gate that workers are told (default: where it listens)", "QUARRY_GATE_ADVERTISE");
  optional("--metrics-listen", flags.metrics_listen, "HOST:PORT of Prometheus /metrics, plain HTTP",
           "QUARRY_METRICS_LISTEN");
  required("--blobs", o.blobs, "directory of tensors, graphs and results", "QUARRY_BLOBS");
  required("--tls-certificate", o.tls_certificate, "PEM; common name 'server'", "QUARRY_TLS_CERTIFICATE");
  required("--tls-key", o.tls_key, "PEM, readable by this user alone", "QUARRY_TLS_KEY");
  required("--authority-certificate", o.authority_certificate, "PEM of Quarry's own CA",
           "QUARRY_AUTHORITY_CERTIFICATE");
  required("--authority-key", o.authority_key, "PEM; issues the certificates of boxes", "QUARRY_AUTHORITY_KEY");
  required("--quote-key-file", o.quote_key_file, "32 or more secret bytes that sign quotes; the same for all servers",
           "QUARRY_QUOTE_KEY_FILE");
  optional("--price-per-pflop", flags.price_per_pflop, "dollars per 10^15 metered FLOPs", "QUARRY_PRICE_PER_PFLOP");
  optional("--io-threads", o.io_threads, "threads for HTTPS connections", "QUARRY_IO_THREADS");
  optional("--work-threads", o.work_threads, "threads for files, hashing and graphs", "QUARRY_WORK_THREADS");
  optional("--database-threads", o.database_threads, "threads, each with a connection to PostgreSQL",
           "QUARRY_DATABASE_THREADS");
}

/// Each connection is an open file.
void raise_open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void run(Flags& flags, const sigset_t& signals) {
  server::Options& options = flags.options;
  options.listen = parse_address(flags.listen, "--listen");
  options.gate_listen = parse_address(flags.gate_listen, "--gate-listen");
  options.metrics_listen = parse_address(flags.metrics_listen, "--metrics-listen");
  const auto price = Money::parse(flags.price_per_pflop);
  if (!price || price->pico() < 0)
    throw std::runtime_error("--price-per-pflop: '" + flags.price_per_pflop + "' is not an amount of dollars");
  options.prices.per_pflop = *price;
  SystemClock clock;
  SystemRandom random;
  server::Application application(options, clock, random);
  std::printf("ready https=%s:%u gate=%s:%u metrics=%s:%u\n", options.listen.host.c_str(), unsigned{application.port()},
              options.gate_listen.host.c_str(), unsigned{application.gate_port()}, options.metrics_listen.host.c_str(),
              unsigned{application.metrics_port()});
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("stopping");
  application.stop();
}

}  // namespace

int main(int argc, char** argv) {
  // Tensors pass through in chunks from several threads: without this each thread's arena keeps its own peak.
  mallopt(M_ARENA_MAX, 2);
  CLI::App app{"quarry-server: the HTTPS API for renters, and the gate that workers connect to."};
  Flags flags;
  describe(app, flags);
  CLI11_PARSE(app, argc, argv);
  ::umask(kPrivateUmask);
  start_logging("quarry-server");
  std::signal(SIGPIPE, SIG_IGN);
  raise_open_files_limit();
  // Blocked before any thread starts, so that only main's sigwait takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  try {
    run(flags, signals);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "quarry-server: %s\n", error.what());
    return 1;
  }
  return 0;
}
