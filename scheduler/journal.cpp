#include "scheduler/journal.h"

#include <functional>
#include <iterator>
#include <utility>

#include "common/log.h"

namespace quarry::scheduler {
namespace {

/// What `all` answers for the whole batch; where it fails, what it answers for each item alone. `bad` hears of an item
/// that fails alone.
template <class Item, class Made>
std::vector<Made> one_by_one_if_needed(const std::vector<Item>& batch,
                                       const std::function<std::vector<Made>(const std::vector<Item>&)>& all,
                                       const std::function<void(const Item&, const std::string&)>& bad) {
  try {
    return all(batch);
  } catch (const sql::StoreUnavailable&) {
    throw;
  } catch (const std::exception& error) {
    if (batch.size() == 1) {
      bad(batch.front(), error.what());
      return {};
    }
    spdlog::error("a batch of {} failed, so each of its items is tried alone: {}", batch.size(), error.what());
  }
  std::vector<Made> made;
  for (const Item& item : batch) {
    auto of_one = one_by_one_if_needed<Item, Made>({item}, all, bad);
    std::move(of_one.begin(), of_one.end(), std::back_inserter(made));
  }
  return made;
}

std::vector<wire::Lease> lease(Journal& journal, int64_t epoch, const std::vector<sql::Placement>& placements) {
  return one_by_one_if_needed<sql::Placement, wire::Lease>(
      placements, [&](const auto& batch) { return journal.lease(epoch, batch); },
      [&](const sql::Placement& placement, const std::string& why) {
        spdlog::error("job {} cannot be leased and ends: {}", placement.job.to_string(), why);
        try {
          journal.fault(epoch, placement.job, "the service could not read the job");
        } catch (const sql::StoreUnavailable&) {
          throw;
        } catch (const std::exception& error) {
          spdlog::error("nor can job {} be ended: {}", placement.job.to_string(), error.what());
        }
      });
}

std::vector<sql::FailureOutcome> expire(Journal& journal, int64_t epoch,
                                        const std::vector<wire::SessionKey>& sessions) {
  return one_by_one_if_needed<wire::SessionKey, sql::FailureOutcome>(
      sessions, [&](const auto& batch) { return journal.expire_sessions(epoch, batch); },
      [](const wire::SessionKey& session, const std::string& why) {
        spdlog::error("session {} cannot be closed: {}", session.id.to_string(), why);
      });
}

std::vector<wire::Lease> send_again(Journal& journal, const std::vector<wire::Fence>& fences) {
  return one_by_one_if_needed<wire::Fence, wire::Lease>(
      fences, [&](const auto& batch) { return journal.load_leases(batch); },
      [](const wire::Fence& fence, const std::string& why) {
        spdlog::error("the lease of job {} cannot be read: {}", fence.job.to_string(), why);
      });
}

}  // namespace

// Sessions first and the queue last: what ends in between shows in a later part, or in the first census.
Snapshot load(Journal& journal) {
  Snapshot snapshot;
  snapshot.sessions = journal.load_sessions();
  snapshot.running = journal.load_running();
  snapshot.ready = journal.load_ready();
  return snapshot;
}

Answer perform(Journal& journal, int64_t leader_epoch, Work work) {
  Answer answer;
  if (!work.expire.empty()) answer.expired = expire(journal, leader_epoch, work.expire);
  if (!work.place.empty()) answer.leases = lease(journal, leader_epoch, work.place);
  if (!work.send_again.empty()) answer.sent_again = send_again(journal, work.send_again);
  if (work.census) {
    answer.sessions = journal.load_sessions();
    answer.running = journal.load_running();
  }
  if (work.find_ready) answer.ready = journal.load_ready();
  answer.work = std::move(work);
  return answer;
}

}  // namespace quarry::scheduler
