#include "scheduler/process.h"

#include <boost/asio/post.hpp>
#include <stdexcept>
#include <utility>

#include "common/address.h"
#include "common/log.h"

namespace quarry::scheduler {
namespace asio = boost::asio;

Process::Process(asio::io_context& io, OpenStore open, const Clock& clock, const ProcessOptions& options)
    : io_(io), clock_(clock), options_(options), timer_(io) {
  open();  // a database that cannot be reached at start is an error, not a state to wait in
  listener_ = wire::listen(io, options.listen_host, options.listen_port, options.tls,
                           [this](auto link) { accepted(std::move(link)); });
  journal_ = std::make_unique<JournalThread>(open);
  const std::string address =
      options.advertise.empty() ? to_string(Address{options.listen_host, port()}) : options.advertise;
  election_ = std::make_unique<Election>(
      open, options.holder, address, options.leader_ttl, clock,
      Election::Handlers{[this](int64_t epoch) { asio::post(io_, [this, epoch] { won(epoch); }); },
                         [this] { asio::post(io_, [this] { lost(); }); }});
}

Process::~Process() = default;

void Process::stop() {
  stopping_ = true;
  leader_.reset();
  timer_.cancel();
  listener_->stop();
  close_links();
  journal_.reset();
  election_.reset();
}

void Process::won(int64_t epoch) {
  if (stopping_) return;
  spdlog::info("leading, epoch {}", epoch);
  epoch_ = epoch;
  load();
}

void Process::lost() {
  if (stopping_) return;
  spdlog::warn("no longer leading, standing by");
  epoch_ = 0;
  ++term_;
  leader_.reset();
  close_links();
}

void Process::load() {
  leader_.reset();
  close_links();
  load_began_ = clock_.now();
  journal_->load([this, term = ++term_](Snapshot snapshot) {
    asio::post(io_, [this, term, snapshot = std::move(snapshot)]() mutable { loaded(term, std::move(snapshot)); });
  });
}

void Process::loaded(int64_t term, Snapshot snapshot) {
  if (stopping_ || term != term_) return;
  const Instant read = clock_.now();
  const size_t ready = snapshot.ready.size(), running = snapshot.running.size(), sessions = snapshot.sessions.size();
  leader_.emplace(epoch_, std::move(snapshot), options_.rules, options_.timing, read);
  spdlog::info("queue rebuilt: {} ready, {} running, {} sessions; read in {} ms, built in {} ms", ready, running,
               sessions, (read - load_began_).count() / 1'000, (clock_.now() - read).count() / 1'000);
  for (const auto& [peer, link] : links_) start_link(peer);
  wake_soon();
}

// A link that comes while the queue is being rebuilt waits unread; one that comes to a standby is told to look
// elsewhere.
void Process::accepted(std::shared_ptr<wire::Link> link) {
  if (stopping_ || epoch_ == 0 || link->peer_name() != "server") {
    if (!stopping_ && epoch_ != 0)
      spdlog::warn("refused a link from '{}': only servers speak to the scheduler", link->peer_name());
    link->send(wire::Refusal{"not_leading", "Look up who leads, and connect there."});
    link->close();
    return;
  }
  const PeerId peer = next_peer_++;
  links_.emplace(peer, std::move(link));
  if (leader_) start_link(peer);
}

void Process::start_link(PeerId peer) {
  const auto ours = [this, peer] { return leader_ && links_.contains(peer); };
  links_.at(peer)->start({[this, peer, ours](wire::Message message) {
                            if (!ours()) return;
                            leader_->message(peer, std::move(message));
                            wake_soon();
                          },
                          [this, peer, ours](const std::string& reason) {
                            if (!ours()) return;
                            spdlog::info("server {} left: {}", peer, reason);
                            links_.erase(peer);
                            leader_->peer_gone(peer);
                            wake_soon();
                          }});
  spdlog::info("server {} connected", peer);
}

void Process::close_links() {
  for (const auto& [peer, link] : std::exchange(links_, {})) link->close();
}

// Everything that came in one round of the event loop joins one turn.
void Process::wake_soon() {
  if (std::exchange(turn_posted_, true)) return;
  asio::post(io_, [this] { turn(); });
}

void Process::turn() {
  turn_posted_ = false;
  if (!leader_) return;
  Turn turn = leader_->turn(clock_.now());
  for (auto& outgoing : turn.send) {
    const auto at = links_.find(outgoing.peer);
    if (at == links_.end()) continue;
    if (const auto* hello = std::get_if<wire::SchedulerHello>(&outgoing.message)) at->second->agree(hello->version);
    try {
      at->second->send_in_turn(outgoing.message);
    } catch (const std::length_error& error) {  // no message is worth the leader
      spdlog::error("a message to server {} is not sent: {}", outgoing.peer, error.what());
    }
  }
  for (const PeerId peer : turn.close)
    if (const auto at = links_.find(peer); at != links_.end()) at->second->close();
  if (turn.work) {
    for (const auto& session : turn.work->expire) spdlog::info("expiring session {}", session.id.to_string());
    journal_->perform(epoch_, std::move(*turn.work), [this, term = term_](std::optional<Answer> answer) {
      asio::post(io_, [this, term, answer = std::move(answer)]() mutable { worked(term, std::move(answer)); });
    });
  }
  timer_.expires_after(turn.wake - clock_.now());
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) wake_soon();
  });
}

void Process::worked(int64_t term, std::optional<Answer> answer) {
  if (stopping_ || term != term_) return;
  if (!answer) return load();  // what was done is unknown: start again from what is durable
  leader_->answer(std::move(*answer), clock_.now());
  wake_soon();
}

}  // namespace quarry::scheduler
