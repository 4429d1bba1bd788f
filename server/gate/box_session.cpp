#include "server/gate/box_session.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/log.h"
#include "wire/graph_key.h"

namespace quarry::server {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kHelloLimit{10};
constexpr uint32_t kLeaseTtlMs = 10'000;  ///< the scheduler's lease of a session (docs/architecture.md)
constexpr uint32_t kHeartbeatMs = 2'000;
/// Answers of "blob_missing" to one lease: a worker puts the blob again when it is told so, three times at most.
constexpr int kMaxBlobMissing = 3;
constexpr std::chrono::milliseconds kRetry{500};  ///< when the database refuses or is away

/// Work that a session starts from its thread and nobody waits for.
template <class Work>
void spawn(asio::io_context& io, Work work) {
  asio::co_spawn(io, std::move(work), [](std::exception_ptr error) {
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& failure) {
      spdlog::error("gate: {}", failure.what());
    } catch (const http::RequestFailed& failure) {
      spdlog::warn("gate: {}", failure.problem.detail);
    }
  });
}

}  // namespace

BoxSession::BoxSession(GateHost& host, std::shared_ptr<wire::Link> link) : host_(host), link_(std::move(link)) {}

void BoxSession::start() {
  wire::Link::Handlers handlers;
  handlers.on_message = [self = shared_from_this()](wire::Message message) { self->received(std::move(message)); };
  handlers.on_close = [self = shared_from_this()](const std::string& reason) { self->closed(reason); };
  link_->start(std::move(handlers));
  auto timer = std::make_shared<asio::steady_timer>(host_.io(), kHelloLimit);
  timer->async_wait([timer, weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self && !self->greeted_) self->refuse("hello_expected", "a worker says Hello first");
  });
}

void BoxSession::close() {
  link_->close();
}

void BoxSession::refuse(const std::string& code, const std::string& detail) {
  spdlog::warn("worker {} refused: {}", link_->peer_name(), detail);
  link_->send(wire::Refusal{code, detail});
  link_->close();
}

void BoxSession::closed(const std::string& reason) {
  gone_ = true;
  if (blobs_) blobs_->stop();
  if (open_) {
    spdlog::info("link of session {} ended: {}", up_.session.id.to_string(), reason);
    host_.ended(*this);
    // Their progress may end elsewhere, and would stay here for ever.
    for (const JobId& job : leases_.jobs()) host_.hub().ended(job);
  }
}

void BoxSession::received(wire::Message message) {
  if (!greeted_) {
    auto* hello = std::get_if<wire::Hello>(&message);
    if (hello == nullptr) return refuse("hello_expected", "a worker says Hello first");
    greeted_ = true;
    return spawn(host_.io(), [self = shared_from_this(), said = std::move(*hello)]() mutable {
      return self->open(std::move(said));
    });
  }
  if (!open_) return refuse("too_early", "a worker waits for Welcome");
  if (std::holds_alternative<wire::Heartbeat>(message)) return host_.seen(up_.session);
  if (auto* progress = std::get_if<wire::Progress>(&message)) return handle(std::move(*progress));
  if (auto* completions = std::get_if<wire::Completions>(&message)) return handle(std::move(*completions));
  if (auto* failures = std::get_if<wire::Failures>(&message)) return handle(std::move(*failures));
  if (const auto* compiled = std::get_if<wire::Compiled>(&message)) return handle(*compiled);
  if (auto* rates = std::get_if<wire::Rates>(&message)) return handle(std::move(*rates));
  if (auto* put = std::get_if<wire::BlobPut>(&message)) {
    if (put->offset == 0 && !leases_.may_deliver(put->blob, put->total_bytes)) return blobs_->refuse(*put);
    return blobs_->take_part(std::move(*put));
  }
  if (const auto* get = std::get_if<wire::BlobGet>(&message)) {
    if (!leases_.may_read(get->blob, get->graph)) return blobs_->refuse(*get);
    return spawn(host_.io(), [blobs = blobs_, asked = *get] { return blobs->send_part(asked); });
  }
  refuse("unexpected_message", "a worker does not send this");
}

Awaitable<void> BoxSession::open(wire::Hello hello) {
  const auto self = shared_from_this();
  const auto version = wire::agreed_version(hello.oldest_version, hello.newest_version);
  if (!version)
    co_return refuse("version", "this server speaks versions " + std::to_string(wire::kOldestVersion) + " to " +
                                    std::to_string(wire::kVersion) + ": update the worker");
  const auto box = BoxId::parse(link_->peer_name());
  if (!box) co_return refuse("unknown_box", "the certificate names no box");
  std::optional<sql::OpenedSession> opened;
  std::vector<wire::Lease> held;
  std::string why = "the box is not enrolled with this key";
  const auto open_it = [id = *box, key = link_->peer_key_sha256(),
                        hello](sql::FleetStore& store) -> std::optional<sql::OpenedSession> {
    const auto row = store.find_box(id);
    if (!row || row->revoked || !row->key_sha256 || *row->key_sha256 != key) return std::nullopt;
    return store.open_session(id, hello);
  };
  try {
    opened = co_await host_.database().run(open_it);
  } catch (const std::invalid_argument& error) {
    why = error.what();
  } catch (const http::RequestFailed& failure) {
    co_return refuse("unavailable", failure.problem.detail);
  }
  if (gone_) co_return;
  if (!opened) co_return refuse("box_refused", why);
  if (opened->resumed) {
    // Before the worker is welcomed: it says at once what it has finished, and delivers blobs for it.
    const auto read = [key = opened->session](sql::Store& store) { return store.session_leases(key); };
    try {
      held = co_await host_.database().run(read);
    } catch (const http::RequestFailed& failure) {
      co_return refuse("unavailable", failure.problem.detail);
    }
    if (gone_) co_return;
  }
  for (const wire::Lease& lease : held) leases_.add(lease);
  box_ = *box;
  up_ = {opened->session, opened->box, opened->owner, opened->scheduling};
  blobs_ = std::make_shared<BlobTransfer>(host_.io(), link_, "box-" + box->uuid(), host_.database(), host_.work(),
                                          host_.blobs(), host_.metrics());
  open_ = true;
  wire::Welcome welcome;
  welcome.version = *version;
  welcome.session = opened->session;
  welcome.incarnation = opened->incarnation;
  welcome.lease_ttl_ms = kLeaseTtlMs;
  welcome.heartbeat_ms = kHeartbeatMs;
  welcome.slices = opened->slices;
  link_->agree(*version);
  link_->send(welcome);
  spdlog::info("box {} {} session {}", box->to_string(), opened->resumed ? "resumed" : "opened",
               up_.session.id.to_string());
  host_.opened(self);
}

void BoxSession::lease(std::vector<wire::Lease> leases) {
  for (const wire::Lease& lease : leases) {
    leases_.add(lease);
    host_.hub().changed(lease.fence.job);
  }
  link_->send_in_turn(wire::Leases{std::move(leases)});
}

void BoxSession::cancel(std::vector<wire::Fence> fences, const std::string& reason) {
  link_->send_in_turn(wire::Cancels{std::move(fences), reason});
}

void BoxSession::handle(wire::Progress progress) {
  for (const wire::AttemptProgress& attempt : progress.attempts)
    if (const auto job = leases_.job_progress(attempt)) host_.hub().progress(attempt.fence.job, *job);
}

bool BoxSession::is_backed(const wire::Completion& completion) const {
  const auto backed = [&](const wire::Produced& value) {
    return value.inline_bytes.has_value() || blobs_->delivered(value.blob);
  };
  return std::all_of(completion.kept.begin(), completion.kept.end(), backed) &&
         std::all_of(completion.carried.begin(), completion.carried.end(), backed);
}

void BoxSession::handle(wire::Completions completions) {
  for (wire::Completion& completion : completions.completions) {
    if (!is_ours(completion.fence))
      answer({completion.fence, false, "stale_fence"});
    else if (is_backed(completion))
      submit(std::make_shared<const wire::Completion>(std::move(completion)));
    else
      not_backed(completion);
  }
}

/// The link may be new and the blobs have come over the one before: the worker puts them again. One that goes on naming
/// what it does not bring has not done its lease's work.
void BoxSession::not_backed(const wire::Completion& completion) {
  const int times = leases_.blob_missing(completion.fence);
  if (times == 0) return answer({completion.fence, false, "stale_fence"});
  if (times <= kMaxBlobMissing) return answer({completion.fence, false, "blob_missing"});
  submit(std::make_shared<const wire::AttemptFailure>(
      wire::AttemptFailure{completion.fence, "rejected", "a value that the completion names was not delivered"}));
  answer({completion.fence, false, "rejected"});
}

void BoxSession::handle(wire::Failures failures) {
  for (wire::AttemptFailure& failure : failures.failures)
    if (is_ours(failure.fence)) submit(std::make_shared<const wire::AttemptFailure>(std::move(failure)));
}

void BoxSession::handle(const wire::Compiled& compiled) {
  std::vector<uint64_t> graphs;
  for (const Digest& graph : compiled.graphs) {
    graphs.push_back(wire::graph_key(graph));
    std::erase(compiled_, graphs.back());
    compiled_.push_back(graphs.back());
  }
  if (compiled_.size() > wire::kMaxCompiledGraphs)
    compiled_.erase(compiled_.begin(), compiled_.end() - static_cast<std::ptrdiff_t>(wire::kMaxCompiledGraphs));
  host_.compiled(*this, graphs);
}

void BoxSession::handle(wire::Rates rates) {
  const auto store_them = [box = box_, rates = std::move(rates)](sql::FleetStore& store) {
    store.update_rates(box, rates.device_key, rates.rate_card);
  };
  spawn(host_.io(), [self = shared_from_this(), store_them] { return self->host_.database().run(store_them); });
}

void BoxSession::retry(std::function<void()> again) {
  auto timer = std::make_shared<asio::steady_timer>(host_.io(), kRetry);
  timer->async_wait(
      [timer, self = shared_from_this(), again = std::move(again)](const boost::system::error_code& error) {
        if (!error && !self->gone_) again();  // a worker that dials again says again what was not answered
      });
}

void BoxSession::submit(std::shared_ptr<const wire::Completion> completion) {
  const auto done = [self = shared_from_this(), completion](Result<sql::CompletionOutcome> result) {
    asio::post(self->host_.io(), [self, completion, result = std::move(result)] {
      if (result.ok()) return self->completed(*result, completion->compile_ns);
      self->retry([self, completion] { self->submit(completion); });
    });
  };
  if (!host_.database().pool().complete(*completion, done))
    retry([self = shared_from_this(), completion] { self->submit(completion); });
}

void BoxSession::submit(std::shared_ptr<const wire::AttemptFailure> failure) {
  const auto done = [self = shared_from_this(), failure](Result<sql::FailureOutcome> result) {
    asio::post(self->host_.io(), [self, failure, result = std::move(result)] {
      if (result.ok()) return self->failed(*failure, *result);
      self->retry([self, failure] { self->submit(failure); });
    });
  };
  if (!host_.database().pool().fail(*failure, done))
    retry([self = shared_from_this(), failure] { self->submit(failure); });
}

void BoxSession::completed(const sql::CompletionOutcome& outcome, uint64_t compile_ns) {
  const wire::CompletionResult& result = outcome.result;
  answer(result);
  leases_.remove(result.fence);
  if (result.accepted)
    ++host_.metrics().segments_accepted;
  else if (result.code == "rejected")
    ++host_.metrics().attempts_rejected;
  else
    ++host_.metrics().stale_completions;
  constexpr uint64_t kNsPerMs = 1'000'000;
  const auto compile_ms = static_cast<uint32_t>(std::min<uint64_t>(compile_ns / kNsPerMs, UINT32_MAX));
  host_.tell_scheduler(
      {result.fence, up_.session.id, result.accepted, result.accepted ? "" : result.code, outcome.next, compile_ms});
  host_.hub().ended(result.fence.job);
}

void BoxSession::failed(const wire::AttemptFailure& failure, const sql::FailureOutcome& outcome) {
  leases_.remove(failure.fence);
  if (failure.code == "rejected")
    ++host_.metrics().attempts_rejected;
  else if (!outcome.stale && failure.code != "cancelled" && failure.code != "drained")
    ++host_.metrics().attempts_failed;
  host_.tell_scheduler({failure.fence, up_.session.id, false, failure.code, outcome.next, 0});
  host_.hub().ended(failure.fence.job);
}

void BoxSession::answer(wire::CompletionResult result) {
  answers_.push_back(std::move(result));
  if (answers_.size() > 1) return;
  asio::post(host_.io(), [self = shared_from_this()] {
    self->link_->send(wire::CompletionResults{std::exchange(self->answers_, {})});
  });
}

}  // namespace quarry::server
