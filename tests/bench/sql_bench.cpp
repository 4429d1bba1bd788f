// What the store does a second, fsync on: submits, leases and completes in batches of 1, 100 and 1,000, each batch one
// transaction.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/random.h"
#include "sql/cluster.h"
#include "sql/store.h"

namespace quarry {
namespace {

using Seconds = std::chrono::duration<double>;

sql::NewJob noop_job(AccountId account, const Clock& clock, RandomSource& random) {
  sql::NewJob job;
  job.id = JobId::make(clock.wall(), random);
  job.account = account;
  job.document =
      R"({"version":1,"seed":"0","inputs":{},"stages":[{"graph":"graph_0","steps":1,"first_step":0,"carry":{},"feed":{}}]})";
  job.step = {{1}, {0}, {1}, {0}, 8, 1};
  job.memory_bound_bytes = 4'096;
  job.prices.per_pflop = *Money::parse("0.0025");
  job.limit = *Money::parse("0.001");
  return job;
}

class Bench {
 public:
  explicit Bench(const std::string& connection) : store_(sql::Store::open(connection, clock_, random_)) {
    renter_ = create_account(*store_, "renter", clock_.wall(), random_);
    store_->deposit(renter_, *Money::parse("1000000"), "bench");
    const BoxId box = store_->create_box(renter_, "box", sha256("code"));
    store_->claim_box(sha256("code"), sha256("key"));
    wire::Hello hello;
    hello.devices = {
        {"opencl:0", "device", "opencl", "1", 1u << 30, 2, {{"f32_flops_per_s", 1e11}}, {{0, 0, 2, 1u << 30}}}};
    opened_ = store_->open_session(box, hello);
    epoch_ = store_->try_lead("bench", "-", std::chrono::hours(1)).epoch;
  }

  nlohmann::json run(size_t batch, size_t transactions) {
    Seconds submit{}, lease{}, complete{};
    for (size_t i = 0; i < transactions; ++i) {
      std::vector<sql::Submission> submissions(batch);
      for (auto& submission : submissions) {
        submission.account = renter_;
        submission.jobs = {noop_job(renter_, clock_, random_)};
        submission.idempotency = {submission.jobs[0].id.to_string(), sha256("request")};
        submission.answer = std::string(300, 'x');
      }
      std::vector<sql::Placement> placements;
      submit += timed([&] {
        for (const auto& outcome : store_->submit(submissions))
          placements.push_back({outcome.ready.at(0).job, 0, opened_.session, opened_.scheduling.at(0).slice});
      });
      std::vector<wire::Completion> completions;
      lease += timed([&] {
        for (const auto& leased : store_->lease(epoch_, placements)) completions.push_back(completion(leased.fence));
      });
      complete += timed([&] {
        for (const auto& outcome : store_->complete(completions))
          if (!outcome.job_ended) throw std::runtime_error("a job did not end");
      });
    }
    const double jobs = static_cast<double>(batch * transactions);
    nlohmann::json figures = nlohmann::json::array();
    const auto add = [&](const char* name, double value) {
      figures.push_back({{"name", std::string("sql_") + name + "_batch_" + std::to_string(batch)},
                         {"value", value},
                         {"unit", "jobs/s"}});
    };
    add("submits", jobs / submit.count());
    add("leases", jobs / lease.count());
    add("completes", jobs / complete.count());
    add("all_three", jobs / (submit + lease + complete).count());
    return figures;
  }

 private:
  template <class Work>
  static Seconds timed(const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::steady_clock::now() - start;
  }
  static wire::Completion completion(const wire::Fence& fence) {
    const std::vector<std::byte> value(4);
    wire::Completion completion;
    completion.fence = fence;
    completion.kept = {{"y", sha256(value), value.size(), value}};
    completion.device_ns = 1'000;
    return completion;
  }

  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<sql::Store> store_;
  AccountId renter_;
  sql::OpenedSession opened_;
  int64_t epoch_ = 0;
};

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
    quarry::Bench bench(cluster.connection());
    bench.run(100, 5);  // warm: plans, caches, first checkpoint's page images
    for (const auto& [batch, transactions] : {std::pair<size_t, size_t>{1, 300}, {100, 50}, {1'000, 15}})
      for (const auto& figure : bench.run(batch, transactions)) figures.push_back(figure);
  }
  fs::remove_all(directory);
  for (const auto& figure : figures)
    std::printf("%-32s %10.0f jobs/s\n", figure["name"].get<std::string>().c_str(), figure["value"].get<double>());
  if (argc == 3 && std::string(argv[1]) == "--json") {
    std::FILE* file = std::fopen(argv[2], "w");
    if (file == nullptr) return 1;
    const std::string text = figures.dump(1);
    std::fwrite(text.data(), 1, text.size(), file);
    return std::fclose(file);
  }
  return 0;
}
