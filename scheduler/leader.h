// One term of leadership: turns messages of servers into events for the core, its decisions into work for the journal,
// and the journal's answers into leases sent. Like the core it is pure: main, or the simulation, carries messages and
// work and tells the time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "scheduler/core.h"
#include "scheduler/journal.h"

namespace quarry::scheduler {

/// A link to a server, numbered by whoever carries messages; never reused within a term.
using PeerId = uint64_t;

struct Timing {
  std::chrono::milliseconds census_every{5'000};
  std::chrono::milliseconds find_ready_every{
      60'000};                              ///< while jobs wait; with each census when none does or a link changed
  std::chrono::milliseconds settle{2'000};  ///< from a changed link to the census, while there is other work to do
};

struct Outgoing {
  PeerId peer = 0;
  wire::Message message;
};
struct Turn {
  std::optional<Work> work;  ///< to be performed, and answered before the next is given out
  std::vector<Outgoing> send;
  std::vector<PeerId> close;  ///< after what is sent to them
  Instant wake;
};

class Leader {
 public:
  Leader(int64_t epoch, Snapshot snapshot, Rules rules, Timing timing, Instant now);

  void message(PeerId peer, wire::Message message);
  void peer_gone(PeerId peer);
  void answer(Answer answer, Instant now);
  /// Decides on all that came since the last turn.
  Turn turn(Instant now);

  int64_t epoch() const { return epoch_; }
  const State& state() const { return state_; }

 private:
  struct Receiver;
  struct Route {
    PeerId peer = 0;
    wire::SessionKey session;
  };
  void connected(PeerId peer, const wire::SessionKey& session);
  void link_changed();
  void send(const wire::SessionKey& session, wire::Message message);
  void send_leases(std::vector<wire::Lease> leases);
  void answer_placements(const std::vector<sql::Placement>& placements, std::vector<wire::Lease> leases);
  void answer_expiries(const std::vector<wire::SessionKey>& sessions, const std::vector<sql::FailureOutcome>& outcomes);
  void answer_census(const Answer& answer, Instant now);
  void decide(Instant now);
  Work take_work(Instant now);
  void ask_what_was_missed(Instant now);

  const int64_t epoch_;
  const Timing timing_;
  State state_;
  std::vector<Event> events_;
  Work next_;
  bool working_ = false;
  std::set<PeerId> peers_;             // that said hello
  std::map<SessionId, Route> routes_;  // to the servers that hold the sessions' connections
  std::vector<Outgoing> send_;
  std::vector<PeerId> close_;
  std::set<wire::Fence> unheard_of_;  // running by the last census, though unknown here
  Instant next_census_, next_find_ready_, wake_;
  bool links_changed_ = false, recheck_ = false;  // hints may have been lost with an old link, or before a new one
};

}  // namespace quarry::scheduler
