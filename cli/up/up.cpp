// `quarry up`: the whole service on one machine until Ctrl-C: a private PostgreSQL, server, scheduler, one worker per
// local device.
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/up/held_port.h"
#include "cli/up/installation.h"
#include "cli/up/supervisor.h"
#include "common/clock.h"
#include "engine/device/device.h"
#include "sql/cluster.h"
#include "sql/store.h"

namespace quarry::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEveryAddress = "0.0.0.0";

struct Ports {
  HeldPort api, gate, scheduler, metrics;
};

std::vector<std::string> local_devices(const UpFlags& flags) {
  if (flags.devices == std::vector<std::string>{"none"}) return {};
  if (!flags.devices.empty()) return flags.devices;
  std::vector<std::string> selectors;
  for (const auto& device : device::list_devices())
    if (device.properties.backend != "interpreter") selectors.push_back(device.selector);
  return selectors.empty() ? std::vector<std::string>{"interpreter"} : selectors;
}

/// Everything that `quarry up` owns while it runs. Members stop in reverse order: children first, the database last.
class Service {
 public:
  Service(Context& context, const UpFlags& flags) : context_(context), flags_(flags) {
    at_.data = flags.data_directory.empty() ? default_data_directory() : fs::absolute(flags.data_directory);
  }

  Status start() {
    programs_ = fs::read_symlink("/proc/self/exe").parent_path();
    if (at_.data.string().find_first_of("'\",\\\n") != std::string::npos)
      return Problem{"usage", "PostgreSQL takes no quote, comma or backslash in the path " + at_.data.string(), "",
                     "Name another place with --data-dir."};
    if (flags_.name.empty() && flags_.listen == kEveryAddress)
      return Problem{"usage", "with --listen 0.0.0.0 other machines need a name or an address of this one", "",
                     "Give it with --name."};
    QUARRY_TRY(lock_directory(at_.data));
    QUARRY_TRY(hold_ports());
    QUARRY_TRY(make_installation(at_, {local_host(), name()}, clock_, random_));
    say("database");
    try {
      cluster_ = std::make_unique<sql::Cluster>(sql::ClusterOptions{
          .data = at_.data / "postgres", .socket = at_.data / "run", .log = at_.logs() / "postgres.log"});
      sql::migrate(cluster_->connection());
      store_ = sql::Store::open(cluster_->connection(), clock_, random_);
    } catch (const std::exception& error) {
      return Problem{"cannot_start", error.what(), "",
                     "PostgreSQL's log is " + (at_.logs() / "postgres.log").string() +
                         (geteuid() == 0 ? ". Its user must be able to reach the data directory." : ".")};
    }
    QUARRY_TRY(make_account());
    QUARRY_TRY(start_scheduler());
    QUARRY_TRY(start_server());
    devices_ = local_devices(flags_);
    for (const auto& device : devices_) QUARRY_TRY(start_worker(device));
    return {};
  }

  /// Until SIGINT or SIGTERM.
  void run(const sigset_t& signals) {
    announce();
    const timespec tick{0, 100'000'000};
    while (sigtimedwait(&signals, nullptr, &tick) < 0) {
      supervisor_.tend([&](const std::string& name, const std::string& how) {
        std::cerr << "the " << name << " " << how << "; starting it again\n";
      });
      bound_logs(at_.logs());
      if (!cluster_->running()) {
        std::cerr << "PostgreSQL ended; starting it again\n";
        try {
          cluster_->start();
        } catch (const std::exception& error) {  // a full disk too: it is tried again
          std::cerr << error.what() << "\n";
        }
      }
    }
    say("stopping");
    supervisor_.stop();
  }

 private:
  void say(const std::string& what) const { std::cerr << context_.terminal.dim_talk("quarry: " + what) << std::endl; }
  fs::path config_path() const {
    return context_.config_path.empty() ? default_config_path() : fs::path(context_.config_path);
  }
  std::string program(const char* name) const { return (programs_ / name).string(); }

  /// The account for local use. Credit that was asked for is added each time; a new account has some without asking.
  Status make_account() {
    std::optional<Money> credit;
    if (!flags_.credit.empty()) {
      credit = Money::parse(flags_.credit);
      if (!credit || credit->pico() < 0)
        return Problem{"usage", "--credit " + flags_.credit + " is not an amount of dollars", "", ""};
    }
    QUARRY_ASSIGN(const Money added,
                  make_development_account(*store_, credit, local_url(), at_, config_path(), random_));
    if (added.pico() > 0) say("added $" + added.to_string() + " to the development account");
    return {};
  }

  std::string name() const { return flags_.name.empty() ? flags_.listen : flags_.name; }
  /// Where programs of this machine find the service.
  std::string local_host() const { return flags_.listen == kEveryAddress ? "127.0.0.1" : flags_.listen; }
  std::string local_url() const { return "https://" + local_host() + ":" + std::to_string(ports_.api.number()); }

  /// The API's port is the one asked for, the others follow it; 0: any free ones.
  Status hold_ports() {
    int next = flags_.port;
    for (HeldPort* port : {&ports_.api, &ports_.gate, &ports_.scheduler, &ports_.metrics}) {
      const bool for_others = port == &ports_.api || port == &ports_.gate;
      auto held = HeldPort::hold(next, for_others ? flags_.listen : "127.0.0.1");
      if (!held.ok()) return held.problem();
      *port = std::move(held).value();
      if (next != 0) ++next;
    }
    return {};
  }

  Status launch(const std::string& name, std::vector<std::string> arguments) {
    say(name);
    QUARRY_TRY(supervisor_.start({name, std::move(arguments), at_.logs() / (name + ".log")}));
    return {};
  }

  Status start_scheduler() {
    return launch("scheduler", {program("quarry-scheduler"), "--database", cluster_->connection(), "--listen",
                                ports_.scheduler.address(), "--advertise", ports_.scheduler.address(),
                                "--tls-certificate", at_.certificate("scheduler"), "--tls-key", at_.key("scheduler"),
                                "--authority-certificate", at_.authority_certificate()});
  }

  Status start_server() {
    return launch("server", {program("quarry-server"),
                             "--database",
                             cluster_->connection(),
                             "--listen",
                             ports_.api.address(),
                             "--gate-listen",
                             ports_.gate.address(),
                             "--gate-advertise",
                             name(),
                             "--metrics-listen",
                             ports_.metrics.address(),
                             "--blobs",
                             at_.blobs(),
                             "--tls-certificate",
                             at_.certificate("server"),
                             "--tls-key",
                             at_.key("server"),
                             "--authority-certificate",
                             at_.authority_certificate(),
                             "--authority-key",
                             at_.authority_key(),
                             "--quote-key-file",
                             at_.quote_key(),
                             "--price-per-pflop",
                             flags_.price_per_pflop});
  }

  Status start_worker(const std::string& device) {
    QUARRY_TRY(make_claim_code(*store_, at_, device, random_));
    return launch("worker-" + at_.worker(device).filename().string(),
                  {program("quarry-worker"), "--api", local_url(), "--authority-certificate",
                   at_.authority_certificate(), "--data", at_.worker(device), "--device", device, "--claim-code-file",
                   at_.claim_code(device), "--slots", std::to_string(flags_.slots)});
  }

  void announce() const {
    const std::string url = local_url();
    if (context_.json) {
      context_.print_json({{"server", url},
                           {"gate", ports_.gate.address()},
                           {"metrics", "http://" + ports_.metrics.address() + "/metrics"},
                           {"data", at_.data.string()},
                           {"config", config_path().string()},
                           {"devices", devices_},
                           {"ready", true}});
      return;
    }
    const Terminal& terminal = context_.terminal;
    std::cout << terminal.bold("Quarry is up") << " at " << terminal.cyan(url) << "\n"
              << "  data     " << at_.data.string() << "\n  config   " << config_path().string()
              << "\n  metrics  http://" << ports_.metrics.address() << "/metrics\n";
    for (const auto& device : devices_) std::cout << "  device   " << device << "\n";
    if (name() != local_host())
      std::cout << "  others   https://" << name() << ":" << ports_.api.number() << " with "
                << at_.authority_certificate().string() << "\n";
    std::cout << "Try `quarry demo` in another terminal. Ctrl-C stops everything; state is kept." << std::endl;
  }

  Context& context_;
  UpFlags flags_;
  SystemClock clock_;
  SystemRandom random_;
  Installation at_;
  Ports ports_{};
  fs::path programs_;
  std::vector<std::string> devices_;
  std::unique_ptr<sql::Cluster> cluster_;
  std::unique_ptr<sql::Store> store_;
  Supervisor supervisor_{clock_};
};

}  // namespace

Status up(Context& context, const UpFlags& flags) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);  // before any thread: they are taken by sigtimedwait alone
  Service service(context, flags);
  QUARRY_TRY(service.start());
  service.run(signals);
  return {};
}

}  // namespace quarry::cli
