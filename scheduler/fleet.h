// The open sessions and their slices: which have a free slot, how busy they are, which are to be left alone for a
// while. Slices that can run the same work form a class; there are few. Knows nothing of the queue: a class only
// carries the order of the groups that fit it.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <set>
#include <tuple>
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
  uint64_t memory_bytes = 0;
  uint32_t dtypes = 0;
  size_t slices = 0;                    ///< of it in open sessions
  std::set<Slice*, ByLoad> free;        ///< with a free slot, reachable and not paused
  std::map<Rank, const Group*> groups;  ///< those whose segments fit, in the order of service

  bool fits(const Requirement& needs) const {
    return needs.memory_bytes <= memory_bytes && (needs.dtypes & ~dtypes) == 0;
  }
};

struct Slice {
  SliceId id;
  Session* session = nullptr;
  SliceClass* kind = nullptr;
  int32_t slots = 1;
  int32_t placed = 0;
  uint64_t last_used = 0;  ///< a count of placements, not a time
  int32_t failures = 0;    ///< in a row
  bool paused = false;
};

struct Session {
  wire::SessionKey key;
  BoxId box;
  bool reachable = true;
  bool expiring = false;  ///< the journal was asked to close it
  Instant opened, seen;
  std::list<Slice> slices;
  std::set<JobId> jobs;  ///< placed here

  Slice* slice(SliceId id);
};

class Fleet {
 public:
  const std::map<SessionId, Session>& sessions() const { return sessions_; }
  Session* find(const wire::SessionKey& key);
  Session* newest_of(BoxId box);
  /// Adds a session; classes that this makes are returned, for their groups to be listed.
  std::vector<SliceClass*> open(const wire::SessionUp& up, bool reachable, Instant now);
  /// Removes it. Its jobs must have been taken from it.
  void close(const wire::SessionKey& key);
  void set_reachable(Session& session, bool reachable);
  void start_expiring(Session& session);
  void saw(Session& session, Instant now);

  void occupy(Slice& slice, JobId job);
  void release(Slice& slice, JobId job);
  void pause(Slice& slice, Instant until);
  /// Lets slices go on whose pause is over; the next one's end.
  std::optional<Instant> end_pauses(Instant now);

  /// Sessions not seen since `before`, longest unseen first.
  std::vector<Session*> unseen_since(Instant before);

  std::map<std::pair<uint64_t, uint32_t>, SliceClass>& classes() { return classes_; }
  const std::map<std::pair<uint64_t, uint32_t>, SliceClass>& classes() const { return classes_; }

 private:
  void list(Slice& slice);    // among its class's free ones, if it is
  void unlist(Slice& slice);  // before anything that it is ordered by changes

  std::map<SessionId, Session> sessions_;
  std::map<BoxId, SessionId> by_box_;
  std::map<std::pair<uint64_t, uint32_t>, SliceClass> classes_;
  std::map<std::tuple<Instant, int64_t, SliceId>, Slice*> paused_;  // by end, session epoch, slice
  std::set<std::pair<Instant, SessionId>> by_seen_;
  uint64_t placements_ = 0;
};

}  // namespace quarry::scheduler
