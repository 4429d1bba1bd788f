// The scheduler's process: stands for election, and while it leads carries messages between servers, the leader and the
// journal.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "scheduler/election.h"
#include "scheduler/journal_thread.h"
#include "scheduler/leader.h"
#include "wire/link.h"

namespace quarry::scheduler {

struct ProcessOptions {
  std::string listen_host;
  uint16_t listen_port = 0;
  std::string advertise;  ///< host:port for servers; empty: where it listens
  std::string holder;     ///< unique to this process
  wire::TlsFiles tls;
  std::chrono::milliseconds leader_ttl{3'000};
  Rules rules;
  Timing timing;
};

/// Everything runs on the io_context's one thread, except what Election and JournalThread do on theirs.
class Process {
 public:
  Process(boost::asio::io_context& io, OpenStore open, const Clock& clock, const ProcessOptions& options);
  ~Process();
  uint16_t port() const { return listener_->port(); }
  /// Closes the links, resigns and lets the io_context run out of work.
  void stop();

 private:
  void won(int64_t epoch);
  void lost();
  void load();
  void loaded(int64_t term, Snapshot snapshot);
  void accepted(std::shared_ptr<wire::Link> link);
  void start_link(PeerId peer);
  void close_links();
  void wake_soon();
  void turn();
  void worked(int64_t term, std::optional<Answer> answer);

  boost::asio::io_context& io_;
  const Clock& clock_;
  const ProcessOptions options_;
  boost::asio::steady_timer timer_;
  int64_t epoch_ = 0;  // 0: standing by
  int64_t term_ = 0;   // counts loads: answers of earlier ones are dropped
  std::optional<Leader> leader_;
  Instant load_began_;
  std::map<PeerId, std::shared_ptr<wire::Link>> links_;
  PeerId next_peer_ = 1;
  bool turn_posted_ = false, stopping_ = false;
  std::unique_ptr<wire::Listener> listener_;
  std::unique_ptr<JournalThread> journal_;
  std::unique_ptr<Election> election_;
};

}  // namespace quarry::scheduler
