// Removing what has expired, killed with -9 again and again: a file that a row names is never missing, and in the end
// nothing is left behind.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "server/housekeeping.h"
#include "tests/sql/fixture.h"

namespace quarry::test {
namespace {

constexpr int kJobs = 120;
constexpr int kLeastKills = 20;

std::vector<std::byte> large(int n) {
  std::vector<std::byte> bytes(wire::kMaxInlineOutputBytes + 1);
  std::memcpy(bytes.data(), &n, sizeof n);
  return bytes;
}

Digest store_file(server::BlobStore& blobs, server::BlobKind kind, int n) {
  const auto bytes = large(n);
  const Digest name = sha256(bytes);
  REQUIRE(blobs.put(kind, name, bytes));
  return name;
}

/// Jobs that ended, each with a result of its own and one that the next job has too, and tensors of two accounts.
void fill(World& world, server::BlobStore& blobs) {
  for (int n = 0; n < kJobs; ++n) {
    const JobId job = world.submit_job();
    wire::Completion completion;
    completion.fence = world.lease(job, 0, world.first).fence;
    for (const int content : {n, kJobs + n / 2})
      completion.kept.push_back(
          {content == n ? "w" : "v", store_file(blobs, server::BlobKind::Result, content), large(0).size(), {}});
    REQUIRE(world.complete(completion).result.accepted);
    const Digest tensor = store_file(blobs, server::BlobKind::Tensor, -1 - n);
    world.store->put_tensor(world.renter, tensor, 1, UINT64_MAX);
    if (n % 2 == 0) world.store->put_tensor(world.first.owner, tensor, 1, UINT64_MAX);
  }
}

/// Another process that does nothing but remove; to be killed.
pid_t start_removing(const std::string& database, const std::filesystem::path& root) {
  const pid_t child = fork();
  if (child != 0) return child;
  SystemClock clock;
  SystemRandom random;
  server::BlobStore blobs(root);
  sql::DatabasePool pool(database, 2, clock, random);
  server::TimeLimits times;
  times.housekeeping = std::chrono::milliseconds(1);
  times.blob_grace = std::chrono::milliseconds(0);
  const server::Housekeeping housekeeping(blobs, pool, times);
  for (;;) pause();
}

void check_files(World& world, const server::BlobStore& blobs) {
  const std::string results =
      world.ask("select coalesce(string_agg(distinct encode(sha256, 'hex'), ','), '') from blob_use");
  const std::string tensors = world.ask("select coalesce(string_agg(encode(sha256, 'hex'), ','), '') from tensor");
  size_t missing = 0;
  for (const auto& [names, kind] : {std::pair(results, server::BlobKind::Result), {tensors, server::BlobKind::Tensor}})
    for (size_t at = 0; at + 64 <= names.size(); at += 65)
      missing += !blobs.exists(kind, *parse_digest(names.substr(at, 64)));
  CHECK(missing == 0);
}

size_t files_in(const std::filesystem::path& root) {
  size_t count = 0;
  for (const char* kind : {"tensors", "results"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / kind))
      count += entry.is_regular_file();
  return count;
}

}  // namespace

TEST_CASE("Removal that is killed anywhere loses no file that a row names, and leaves none that no row names") {
  World world;
  std::string pattern = "/var/tmp/quarry-expiry-test.XXXXXX";  // on a disk: blobs need a gigabyte free
  const std::filesystem::path root = mkdtemp(pattern.data());
  server::BlobStore blobs(root);
  fill(world, blobs);
  REQUIRE(files_in(root) == kJobs * 2 + kJobs / 2);
  world.execute(
      "do $$ begin execute format('alter database %I set quarry.clock_offset = ''31 days''', current_database()); end "
      "$$");
  // Half of the jobs ended later and half of the shared tensors are used: those stay.
  world.execute(
      "update job set ended_at = ended_at + interval '2 days' where id in (select id from job order by id limit " +
      std::to_string(kJobs / 2) + ")");
  world.execute("update tensor_owner set expires_at = expires_at + interval '2 days' where account = '" +
                world.first.owner.uuid() + "'");
  const size_t stay = kJobs / 2 + kJobs / 4 + kJobs / 2;
  std::mt19937 random(Catch::rngSeed());
  for (int kills = 0; kills < kLeastKills || files_in(root) > stay; ++kills) {
    INFO("kill " << kills);
    REQUIRE(kills < 2'000);
    const pid_t child = start_removing(world.target, root);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % (20 + 5 * kills)));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    check_files(world, blobs);
  }
  CHECK(files_in(root) == stay);
  world.store = sql::Store::open(world.target, world.clock, world.random);
  CHECK(world.store->reconcile().empty());
  std::filesystem::remove_all(root);
  CHECK(world.ask("select count(*) from job_spec") == std::to_string(kJobs / 2));
}

}  // namespace quarry::test
