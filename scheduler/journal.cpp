#include "scheduler/journal.h"

#include <utility>

namespace quarry::scheduler {

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
  if (!work.expire.empty()) answer.expired = journal.expire_sessions(leader_epoch, work.expire);
  if (!work.place.empty()) answer.leases = journal.lease(leader_epoch, work.place);
  if (!work.send_again.empty()) answer.sent_again = journal.load_leases(work.send_again);
  if (work.census) {
    answer.sessions = journal.load_sessions();
    answer.running = journal.load_running();
  }
  if (work.find_ready) answer.ready = journal.load_ready();
  answer.work = std::move(work);
  return answer;
}

}  // namespace quarry::scheduler
