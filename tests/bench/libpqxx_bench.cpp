// Why sql/ speaks to libpq and not through libpqxx: the submit and the completion of one job, by the store and by
// libpqxx 6.4, over a connection with and without network delay. A proxy on the Unix socket delays what passes, and
// reads which statements the store sends; libpqxx then runs those very statements, each prepared, one after the other.
// Every transaction commits. Built only where libpqxx is installed.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <pqxx/pqxx>
#include <regex>
#include <thread>

#include "common/random.h"
#include "sql/cluster.h"
#include "sql/store.h"

namespace quarry {
namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::microseconds;
constexpr int kRounds = 60;

struct Sent {
  std::string statement;
  std::vector<std::optional<std::string>> values;
};

/// Reads the frontend's messages of one connection.
class Recorder {
 public:
  void take(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    pending_ += bytes;
    while (one_message()) {
    }
  }
  std::vector<Sent> take_sent() {
    const std::lock_guard lock(mutex_);
    return std::exchange(sent_, {});
  }
  std::string session_settings() {
    const std::lock_guard lock(mutex_);
    return settings_;
  }

 private:
  static uint32_t number(std::string_view text) {
    uint32_t value = 0;
    std::memcpy(&value, text.data(), sizeof value);
    return ntohl(value);
  }
  bool one_message() {
    const size_t head = started_ ? 5 : 4;
    if (pending_.size() < head) return false;
    const size_t whole = number(std::string_view(pending_).substr(head - 4)) + head - 4;
    if (pending_.size() < whole) return false;
    const std::string body = pending_.substr(head, whole - head);
    const char type = started_ ? pending_[0] : '\0';
    pending_.erase(0, whole);
    started_ = true;
    if (type == 'P') parse(body);
    if (type == 'B') bind(body);
    if (type == 'Q' && body.starts_with("set ")) settings_ = body.c_str();
    return true;
  }
  void parse(const std::string& body) {
    const std::string name = body.c_str();
    texts_[name] = body.c_str() + name.size() + 1;
  }
  void bind(std::string_view body) {
    body.remove_prefix(body.find('\0') + 1);
    Sent sent{texts_.at(std::string(body.substr(0, body.find('\0')))), {}};
    body.remove_prefix(body.find('\0') + 1);
    const auto small = [&] {
      uint16_t value = 0;
      std::memcpy(&value, body.data(), sizeof value);
      body.remove_prefix(sizeof value);
      return ntohs(value);
    };
    body.remove_prefix(size_t{2} * small());
    for (int left = small(); left > 0; --left) {
      const auto length = static_cast<int32_t>(number(body));
      body.remove_prefix(4);
      sent.values.emplace_back();
      if (length < 0) continue;
      sent.values.back() = std::string(body.substr(0, static_cast<size_t>(length)));
      body.remove_prefix(static_cast<size_t>(length));
    }
    sent_.push_back(std::move(sent));
  }

  std::mutex mutex_;
  std::string pending_, settings_;
  bool started_ = false;
  std::map<std::string, std::string> texts_;
  std::vector<Sent> sent_;
};

/// A Unix socket in `directory` behind which the cluster's stands, `delay` away in each direction.
class Proxy {
 public:
  Proxy(const std::filesystem::path& directory, std::filesystem::path cluster) : cluster_(std::move(cluster)) {
    std::filesystem::create_directories(directory);
    listener_ = socket(AF_UNIX, SOCK_STREAM, 0);
    const sockaddr_un at = address(directory / ".s.PGSQL.5432");
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || listen(listener_, 8) != 0)
      throw std::runtime_error("the proxy cannot listen");
    std::thread([this] { accept_all(); }).detach();
  }
  std::atomic<int64_t> delay_us{0};
  Recorder recorder;  ///< of the first connection

 private:
  static sockaddr_un address(const std::filesystem::path& path) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::strncpy(at.sun_path, path.c_str(), sizeof at.sun_path - 1);
    return at;
  }
  void accept_all() {
    for (bool first = true;; first = false) {
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      const int server = socket(AF_UNIX, SOCK_STREAM, 0);
      const sockaddr_un at = address(cluster_ / ".s.PGSQL.5432");
      if (connect(server, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return;
      std::thread([this, client, server, first] { pass(client, server, first ? &recorder : nullptr); }).detach();
      std::thread([this, client, server] { pass(server, client, nullptr); }).detach();
    }
  }
  void pass(int from, int to, Recorder* reads) {
    char buffer[64 << 10];
    for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;) {
      if (reads != nullptr) reads->take({buffer, static_cast<size_t>(got)});
      // Sleeping would add what the kernel wakes late, which is as long as the delay itself.
      for (const auto until = Clock::now() + Microseconds(delay_us.load()); Clock::now() < until;) {
      }
      for (ssize_t done = 0; done < got;) done += write(to, buffer + done, static_cast<size_t>(got - done));
    }
    shutdown(to, SHUT_RDWR);
  }
  std::filesystem::path cluster_;
  int listener_ = -1;
};

sql::NewJob noop_job(AccountId account, RandomSource& random) {
  sql::NewJob job;
  job.id = JobId::make(SystemClock().wall(), random);
  job.account = account;
  job.document = R"({"version":1,"seed":"0","stages":[{"graph":"graph_0","steps":1}]})";
  job.step = {{1}, {0}, {1}, {0}, 8, 1};
  job.prices.per_pflop = *Money::parse("0.0025");
  job.limit = *Money::parse("0.001");
  return job;
}

class Bench {
 public:
  Bench(const std::string& near, const std::string& far, Proxy& proxy)
      : proxy_(proxy), near_(sql::Store::open(near, clock_, random_)), far_(sql::Store::open(far, clock_, random_)) {
    renter_ = create_account(*near_, "renter", clock_.wall(), random_);
    near_->deposit(renter_, *Money::parse("1000"), "bench");
    const BoxId box = near_->create_box(renter_, "box", sha256("code"));
    near_->claim_box(sha256("code"), sha256("key"));
    wire::Hello hello;
    hello.devices = {{"opencl:0", "device", "opencl", "1", 1u << 30, 2, {}, {{0, 0, 2, 1u << 30}}}};
    opened_ = near_->open_session(box, hello);
    epoch_ = near_->try_lead("bench", "-", std::chrono::hours(1)).epoch;
    for (int i = 0; i < 5; ++i) by_store(i == 4);  // warm; the last one is what libpqxx repeats
    libpqxx_.emplace(far);
    pqxx::nontransaction(*libpqxx_).exec(proxy_.recorder.session_settings());
  }

  /// Submit and completion of one job, in microseconds each.
  std::pair<double, double> by_store(bool record = false) {
    const sql::NewJob job = noop_job(renter_, random_);
    sql::Submission submission;
    submission.account = renter_;
    submission.jobs = {job};
    submission.idempotency = {job.id.to_string(), sha256("request")};
    submission.answer = std::string(300, 'x');
    proxy_.recorder.take_sent();
    const double submit = timed([&] { far_->submit({submission}); });
    if (record) submit_ = proxy_.recorder.take_sent();
    const auto leases = near_->lease(epoch_, {{job.id, 0, opened_.session, opened_.scheduling.at(0).slice}});
    const std::vector<std::byte> value(4);
    wire::Completion completion;
    completion.fence = leases.at(0).fence;
    completion.kept = {{"y", sha256(value), value.size(), value}};
    proxy_.recorder.take_sent();
    const double complete = timed([&] {
      if (!far_->complete({completion}).at(0).job_ended) throw std::runtime_error("a job did not end");
    });
    if (record) {
      complete_ = proxy_.recorder.take_sent();
      recorded_job_ = job.id;
    }
    return {submit, complete};
  }

  std::pair<double, double> by_libpqxx() {
    const JobId job = JobId::make(clock_.wall(), random_);
    std::map<std::string, std::string> renamed{{recorded_job_.uuid(), job.uuid()},
                                               {recorded_job_.to_string(), job.to_string()}};
    const double submit = timed([&] { repeat(submit_, renamed); });
    if (near_->lease(epoch_, {{job, 0, opened_.session, opened_.scheduling.at(0).slice}}).empty())
      throw std::runtime_error("libpqxx submitted no job");
    const double complete = timed([&] { repeat(complete_, renamed); });
    if (near_->job(renter_, job)->state != JobState::Succeeded) throw std::runtime_error("libpqxx completed no job");
    return {submit, complete};
  }
  size_t statements() const { return submit_.size() + complete_.size(); }

 private:
  template <class Work>
  static double timed(const Work& work) {
    const auto start = Clock::now();
    work();
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  }

  /// The statements once more, with the job's and the transfers' ids new.
  void repeat(const std::vector<Sent>& statements, std::map<std::string, std::string>& renamed) {
    static const std::regex id("job_[0-9a-z]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
    pqxx::work transaction(*libpqxx_);
    for (const Sent& sent : statements) {
      if (sent.statement == "begin" || sent.statement == "commit") continue;
      const auto [name, fresh] = names_.try_emplace(sent.statement, "q" + std::to_string(names_.size()));
      if (fresh) libpqxx_->prepare(name->second, sent.statement);
      std::vector<std::string> texts;
      for (const auto& value : sent.values) texts.push_back(value ? with_new_ids(*value, id, sent, renamed) : "");
      std::vector<const char*> values;
      for (size_t i = 0; i < texts.size(); ++i) values.push_back(sent.values[i] ? texts[i].c_str() : nullptr);
      transaction.exec_prepared(name->second, pqxx::prepare::make_dynamic_params(values));
    }
    transaction.commit();
  }
  std::string with_new_ids(const std::string& text, const std::regex& id, const Sent& sent,
                           std::map<std::string, std::string>& renamed) {
    std::string out;
    auto rest = text.cbegin();
    for (std::sregex_iterator at(text.begin(), text.end(), id), end; at != end; ++at) {
      out.append(rest, text.cbegin() + at->position());
      rest = text.cbegin() + at->position() + at->length();
      const std::string found = at->str();
      auto known = renamed.find(found);
      // Ids that the transaction makes are the transfers', and first named where they are inserted.
      if (known == renamed.end() && sent.statement.find("insert into transfer ") != std::string::npos &&
          &text == &*sent.values[0])
        known = renamed.emplace(found, TransferId::make(clock_.wall(), random_).uuid()).first;
      out += known == renamed.end() ? found : known->second;
    }
    return out.append(rest, text.cend());
  }

  SystemClock clock_;
  SystemRandom random_;
  Proxy& proxy_;
  std::unique_ptr<sql::Store> near_, far_;
  std::optional<pqxx::connection> libpqxx_;
  AccountId renter_;
  sql::OpenedSession opened_;
  int64_t epoch_ = 0;
  std::vector<Sent> submit_, complete_;
  JobId recorded_job_;
  std::map<std::string, std::string> names_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Both ways in turn, so that a busy machine is as busy for one as for the other.
void measure(Bench& bench, Proxy& proxy, int64_t round_trip_us, nlohmann::json& figures) {
  proxy.delay_us = round_trip_us / 2;
  std::vector<double> store_submit, store_complete, other_submit, other_complete;
  for (int round = 0; round < kRounds; ++round) {
    const auto [a, b] = bench.by_store();
    const auto [c, d] = bench.by_libpqxx();
    store_submit.push_back(a), store_complete.push_back(b), other_submit.push_back(c), other_complete.push_back(d);
  }
  const auto add = [&](const std::string& what, const std::vector<double>& own, const std::vector<double>& other) {
    const std::string name = "sql_" + what + "_at_" + std::to_string(round_trip_us) + "_us";
    const double value = median(own) / 1'000, peer = median(other) / 1'000;
    std::printf("%-32s %8.2f ms   libpqxx %8.2f ms, ratio %.2f\n", name.c_str(), value, peer, value / peer);
    figures.push_back({{"name", name},
                       {"value", value},
                       {"unit", "ms"},
                       {"peer", "libpqxx"},
                       {"peer_value", peer},
                       {"ratio", value / peer}});
  };
  add("submit", store_submit, other_submit);
  add("complete", store_complete, other_complete);
}

}  // namespace
}  // namespace quarry

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "quarry-bench-XXXXXX").string();
  const fs::path directory = mkdtemp(pattern.data());
  fs::permissions(directory, fs::perms::others_exec | fs::perms::group_exec, fs::perm_options::add);
  nlohmann::json figures = nlohmann::json::array();
  {
    quarry::sql::Cluster cluster(
        {.data = directory / "data", .socket = directory / "run", .log = directory / "log", .throwaway = true});
    quarry::sql::migrate(cluster.connection());
    auto& proxy = *new quarry::Proxy(directory / "far", directory / "run");  // its threads use it until the end
    quarry::Bench bench(cluster.connection(), "host='" + (directory / "far").string() + "' user=quarry dbname=quarry",
                        proxy);
    std::printf("%zu statements a job, BEGIN and COMMIT among them\n", bench.statements());
    for (const int64_t round_trip_us : {0, 500}) quarry::measure(bench, proxy, round_trip_us, figures);
    std::fflush(stdout);
    if (argc == 3 && std::string(argv[1]) == "--json")
      if (std::FILE* file = std::fopen(argv[2], "w")) {
        const std::string text = figures.dump(1);
        std::fwrite(text.data(), 1, text.size(), file);
        std::fclose(file);
      }
  }
  fs::remove_all(directory);
  std::_Exit(0);  // the proxy's threads wait for connections for ever
}
