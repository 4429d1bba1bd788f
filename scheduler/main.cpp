// quarry-scheduler: one leads and decides who runs what; others stand by.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <exception>

#include "common/address.h"
#include "common/log.h"
#include "common/private_files.h"
#include "common/random.h"
#include "scheduler/process.h"

namespace {

using namespace quarry;
using namespace quarry::scheduler;

void run(const std::string& database, const std::string& listen, ProcessOptions options) {
  const Address address = parse_address(listen, "--listen");
  options.listen_host = address.host;
  options.listen_port = address.port;
  SystemClock clock;
  SystemRandom random;
  const OpenStore open = [&] { return sql::Store::open(database, clock, random); };
  options.holder = "scheduler pid " + std::to_string(getpid()) + " " + std::to_string(random.next_u64());
  boost::asio::io_context io(1);
  Process process(io, open, clock, options);
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code, int) {
    spdlog::info("stopping");
    process.stop();
  });
  std::printf("ready listen=%s:%u\n", options.listen_host.c_str(), unsigned{process.port()});
  std::fflush(stdout);
  io.run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"quarry-scheduler: decides which box runs which segment. One leads; as many as you like stand by."};
  std::string database, listen = "127.0.0.1:8445";
  ProcessOptions options;
  app.add_option("--database", database, "PostgreSQL connection string")->envname("QUARRY_DATABASE")->required();
  app.add_option("--listen", listen, "HOST:PORT for servers; port 0 picks a free one")
      ->envname("QUARRY_LISTEN")
      ->capture_default_str();
  app.add_option("--advertise", options.advertise, "HOST:PORT that servers are told; default: where it listens")
      ->envname("QUARRY_ADVERTISE");
  app.add_option("--tls-certificate", options.tls.certificate, "PEM; common name 'scheduler'")
      ->envname("QUARRY_TLS_CERTIFICATE")
      ->required();
  app.add_option("--tls-key", options.tls.key, "PEM")->envname("QUARRY_TLS_KEY")->required();
  app.add_option("--authority-certificate", options.tls.authority, "PEM of Quarry's own CA")
      ->envname("QUARRY_AUTHORITY_CERTIFICATE")
      ->required();
  CLI11_PARSE(app, argc, argv);
  ::umask(kPrivateUmask);
  start_logging("quarry-scheduler");
  try {
    run(database, listen, options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "quarry-scheduler: %s\n", error.what());
    return 1;
  }
}
