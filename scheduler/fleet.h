// The open sessions and their slices: which have a free slot, how busy they are, which are to be left alone for a
// while, which graphs they have compiled. Slices of the same grade of memory and the same dtypes form a class, so there
// are few. Knows nothing of the queue.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "scheduler/queue.h"
#include "wire/messages.h"

namespace quarry::scheduler {

struct Session;
struct Slice;

/// Least busy first, then the one that was used longest ago: light work spreads over all boxes.
struct ByLoad {
  bool operator()(const Slice* a, const Slice* b) const;
};

struct SliceClass {
  uint64_t grade = 0;  ///< the memory that each of its slices has at least (grades.h)
  uint32_t dtypes = 0;
  std::multiset<uint64_t> memory_bytes;  ///< of its slices in open sessions
  std::set<Slice*, ByLoad> free;         ///< with a free slot, reachable and not paused

  uint64_t largest() const { return *memory_bytes.rbegin(); }
  /// Whether one of its slices does.
  bool fits(const Requirement& needs) const { return needs.memory_bytes <= largest() && (needs.dtypes & ~dtypes) == 0; }
};

struct Slice {
  SliceId id;
  Session* session = nullptr;
  SliceClass* kind = nullptr;
  uint64_t memory_bytes = 0;
  uint64_t gflops = 0;  ///< its speed in 10^9 FLOP/s, for predictions
  int32_t slots = 1;
  int32_t placed = 0;
  std::map<AccountId, int32_t> placed_of;  ///< the same by account
  uint64_t work = 0;                       ///< placed, in 10^9 metered FLOPs
  uint64_t last_used = 0;                  ///< a count of placements, not a time
  int32_t failures = 0;                    ///< in a row
  std::optional<Instant> paused_until;

  bool serves() const;  ///< reachable, not about to be expired, not paused
  bool is_free() const { return serves() && placed < slots; }
  bool fits(const Requirement& needs) const {
    return needs.memory_bytes <= memory_bytes && (needs.dtypes & ~kind->dtypes) == 0;
  }
  /// One slot is kept for others, so that an account whose first segment comes now need not wait for one to become free
  /// and then behind what waits here: a slice takes turns between accounts too (worker/slice.h).
  bool takes(AccountId account) const {
    const auto of = placed_of.find(account);
    return of == placed_of.end() || slots <= 2 || of->second < slots - 1;
  }
  std::chrono::milliseconds time_for(uint64_t gflop) const;
};

struct Session {
  wire::SessionKey key;
  BoxId box;
  bool reachable = true;
  bool expiring = false;  ///< the journal was asked to close it
  Instant opened, seen;
  std::list<Slice> slices;
  std::set<JobId> jobs;           ///< placed here
  std::deque<uint64_t> compiled;  ///< graphs, the latest last; kMaxCompiledGraphs of them

  Slice* slice(SliceId id);
};

class Fleet {
 public:
  const std::map<SessionId, Session>& sessions() const { return sessions_; }
  Session* find(const wire::SessionKey& key);
  Session* newest_of(BoxId box);
  void open(const wire::SessionUp& up, bool reachable, Instant now);
  /// Removes it. Its jobs must have been taken from it.
  void close(const wire::SessionKey& key);
  void set_reachable(Session& session, bool reachable);
  void start_expiring(Session& session);
  void saw(Session& session, Instant now);

  void occupy(Slice& slice, const wire::ReadyJob& job);
  void release(Slice& slice, const wire::ReadyJob& job);
  /// Until then at least.
  void pause(Slice& slice, Instant until);
  void compiled(Session& session, uint64_t graph);
  /// Sessions that have compiled the graph, by epoch; nullptr: none.
  const std::map<int64_t, Session*>* with_compiled(uint64_t graph) const;
  /// Lets slices go on whose pause is over; the next one's end.
  std::optional<Instant> end_pauses(Instant now);

  /// Sessions not seen since `before`, longest unseen first.
  std::vector<Session*> unseen_since(Instant before);

  std::map<std::pair<uint64_t, uint32_t>, SliceClass>& classes() { return classes_; }
  const std::map<std::pair<uint64_t, uint32_t>, SliceClass>& classes() const { return classes_; }

 private:
  void list(Slice& slice);    // among its class's free ones, if it is
  void unlist(Slice& slice);  // before anything that it is ordered by changes
  void forget_compiled(Session& session);

  std::map<SessionId, Session> sessions_;
  std::map<BoxId, SessionId> by_box_;
  std::map<std::pair<uint64_t, uint32_t>, SliceClass> classes_;
  std::map<std::tuple<Instant, int64_t, SliceId>, Slice*> paused_;  // by end, session epoch, slice
  std::set<std::pair<Instant, SessionId>> by_seen_;
  std::unordered_map<uint64_t, std::map<int64_t, Session*>> compiled_on_;  // looked up, never walked
  uint64_t placements_ = 0;
};

}  // namespace quarry::scheduler
