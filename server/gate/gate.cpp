#include "server/gate/gate.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "common/log.h"
#include "server/gate/box_session.h"
#include "server/gate/scheduler_stream.h"

namespace quarry::server {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::milliseconds kSeenEvery{500};  ///< heartbeats are passed on in batches
constexpr std::chrono::milliseconds kWhyLimit{500};   ///< for the scheduler's answer to one question
constexpr size_t kMaxQuestions = 1'024;               ///< on their way at once
}  // namespace

struct Gate::State final : GateHost {
  State(const GateOptions& options, Database& database, WorkPool& work, BlobStore& blobs, Hub& hub, Metrics& metrics)
      : database_(database), work_(work), blobs_(blobs), hub_(hub), metrics_(metrics), seen_timer_(io_) {
    SchedulerStream::Handlers handlers;
    handlers.on_up = [this] {
      for (const auto& [id, session] : sessions_) {
        scheduler_->send(session->up());
        compiled(*session, session->compiled());
      }
    };
    handlers.on_message = [this](wire::Message message) { from_scheduler(std::move(message)); };
    handlers.on_connected = [this](bool connected) { metrics_.scheduler_connected = connected; };
    scheduler_ =
        std::make_shared<SchedulerStream>(io_, database_, options.files, options.server_name, std::move(handlers));
    listener_ = wire::listen(
        io_, options.address, options.port, options.files,
        [this](std::shared_ptr<wire::Link> link) { std::make_shared<BoxSession>(*this, std::move(link))->start(); });
    scheduler_->start();
    pass_on_heartbeats();
    thread_ = std::thread([this] { io_.run(); });
  }

  void stop() {
    if (!thread_.joinable()) return;
    std::promise<void> done;
    asio::post(io_, [this, &done] {
      listener_->stop();
      seen_timer_.cancel();
      const auto sessions = sessions_;  // closing removes them
      for (const auto& [id, session] : sessions) session->close();
      for (const auto& [request, question] : questions_) question->limit.cancel();
      scheduler_->stop();
      done.set_value();
    });
    done.get_future().wait();
    // The links say goodbye; nothing here depends on their doing so.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    io_.stop();
    thread_.join();
  }

  // --- from sessions ---
  asio::io_context& io() override { return io_; }
  Database& database() override { return database_; }
  WorkPool& work() override { return work_; }
  BlobStore& blobs() override { return blobs_; }
  Hub& hub() override { return hub_; }
  Metrics& metrics() override { return metrics_; }

  void opened(const std::shared_ptr<BoxSession>& session) override {
    auto& place = sessions_[session->up().session.id];
    const auto earlier = std::exchange(place, session);
    if (earlier) earlier->close();
    metrics_.worker_sessions = static_cast<int64_t>(sessions_.size());
    scheduler_->send(session->up());
  }
  void ended(BoxSession& session) override {
    const auto found = sessions_.find(session.up().session.id);
    if (found == sessions_.end() || found->second.get() != &session) return;  // another link of the session took over
    sessions_.erase(found);
    seen_.erase(session.up().session);  // said after SessionDown, a last heartbeat would make it reachable again
    metrics_.worker_sessions = static_cast<int64_t>(sessions_.size());
    scheduler_->send(wire::SessionDown{session.up().session});
  }
  void seen(const wire::SessionKey& session) override { seen_.insert(session); }
  void compiled(BoxSession& session, const std::vector<uint64_t>& graphs) override {
    if (!graphs.empty()) scheduler_->send(wire::SessionCompiled{session.up().session, graphs});
  }
  void tell_scheduler(wire::AttemptEnded attempt) override {
    ended_.attempts.push_back(std::move(attempt));
    if (ended_.attempts.size() > 1) return;
    asio::post(io_, [this] { scheduler_->send(std::exchange(ended_, {})); });
  }

  void pass_on_heartbeats() {
    if (!seen_.empty()) {
      scheduler_->send(wire::SessionsSeen{{seen_.begin(), seen_.end()}});
      seen_.clear();
    }
    seen_timer_.expires_after(kSeenEvery);
    seen_timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) pass_on_heartbeats();
    });
  }

  // --- from the scheduler ---
  void from_scheduler(wire::Message message) {
    if (auto* leases = std::get_if<wire::Leases>(&message)) return route(std::move(leases->leases));
    if (auto* cancels = std::get_if<wire::Cancels>(&message)) return route(std::move(*cancels));
    if (const auto* expired = std::get_if<wire::SessionsExpired>(&message)) {
      for (const wire::SessionKey& key : expired->sessions)
        if (const auto found = sessions_.find(key.id); found != sessions_.end()) found->second->close();
      return;
    }
    if (auto* waiting = std::get_if<wire::Waiting>(&message)) return answered(std::move(*waiting));
    spdlog::warn("the scheduler sent a message that a server does not take");
  }
  // --- questions to the scheduler ---
  struct Question {
    Question(asio::io_context& io, std::function<void()> then) : limit(io, kWhyLimit), resume(std::move(then)) {}
    asio::steady_timer limit;
    std::function<void()> resume;
    std::shared_ptr<wire::Waiting> answer;
  };
  Awaitable<std::optional<std::string>> why_waiting(JobId job) {
    constexpr uint32_t kSince = 2;
    if (!scheduler_->speaks(kSince)) co_return std::nullopt;
    const auto answer = std::make_shared<wire::Waiting>();
    const auto start = [this, job, answer](std::function<void()> resume) {
      asio::post(io_, [this, job, answer, resume = std::move(resume)] { ask(job, answer, resume); });
    };
    co_await until_resumed(start);
    const bool waits = !answer->code.empty() && answer->code != "unknown" && answer->code != "running";
    co_return waits ? std::optional(answer->detail) : std::nullopt;
  }
  void ask(JobId job, const std::shared_ptr<wire::Waiting>& answer, const std::function<void()>& resume) {
    if (questions_.size() >= kMaxQuestions) return resume();
    const uint64_t request = ++last_question_;
    const auto question = std::make_shared<Question>(io_, resume);
    question->answer = answer;
    questions_.emplace(request, question);
    question->limit.async_wait([this, request](const boost::system::error_code&) {
      const auto node = questions_.extract(request);
      if (!node.empty()) node.mapped()->resume();
    });
    scheduler_->send(wire::WhyWaiting{request, job});
  }
  void answered(wire::Waiting waiting) {
    const auto found = questions_.find(waiting.request);
    if (found == questions_.end()) return;  // too late
    *found->second->answer = std::move(waiting);
    found->second->limit.cancel();
  }

  void route(std::vector<wire::Lease> leases) {
    std::map<SessionId, std::vector<wire::Lease>> by_session;
    for (wire::Lease& lease : leases) by_session[lease.session].push_back(std::move(lease));
    for (auto& [id, mine] : by_session)
      if (const auto found = sessions_.find(id); found != sessions_.end()) found->second->lease(std::move(mine));
  }
  /// A fence does not name its session's id; the epoch is unique among sessions.
  void route(wire::Cancels cancels) {
    std::map<int64_t, std::vector<wire::Fence>> by_epoch;
    for (const wire::Fence& fence : cancels.fences) by_epoch[fence.session_epoch].push_back(fence);
    for (const auto& [id, session] : sessions_) {
      const auto found = by_epoch.find(session->up().session.epoch);
      if (found != by_epoch.end()) session->cancel(found->second, cancels.reason);
    }
  }

  void job_cancelled(JobId job, const sql::CancelOutcome& outcome) {
    scheduler_->send(wire::CancelRequested{{job}});
    if (!outcome.running || !outcome.session) return;
    asio::post(io_, [this, fence = *outcome.running, session = *outcome.session] {
      if (const auto found = sessions_.find(session); found != sessions_.end())
        found->second->cancel({fence}, "cancelled");
    });
  }
  /// Jobs of many requests leave in one message.
  void jobs_ready(std::vector<wire::ReadyJob> jobs) {
    std::lock_guard lock(ready_mutex_);
    const bool first = ready_.jobs.empty();
    std::move(jobs.begin(), jobs.end(), std::back_inserter(ready_.jobs));
    if (!first || ready_.jobs.empty()) return;
    asio::post(io_, [this] {
      wire::JobsReady batch;
      {
        std::lock_guard relock(ready_mutex_);
        batch = std::exchange(ready_, {});
      }
      scheduler_->send(batch);
    });
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
  Database& database_;
  WorkPool& work_;
  BlobStore& blobs_;
  Hub& hub_;
  Metrics& metrics_;
  std::map<SessionId, std::shared_ptr<BoxSession>> sessions_;
  std::set<wire::SessionKey> seen_;
  wire::AttemptsEnded ended_;
  asio::steady_timer seen_timer_;
  std::map<uint64_t, std::shared_ptr<Question>> questions_;
  uint64_t last_question_ = 0;
  std::mutex ready_mutex_;
  wire::JobsReady ready_;
  std::shared_ptr<SchedulerStream> scheduler_;
  std::unique_ptr<wire::Listener> listener_;
  std::thread thread_;
};

Gate::Gate(const GateOptions& options, Database& database, WorkPool& work, BlobStore& blobs, Hub& hub, Metrics& metrics)
    : state_(std::make_unique<State>(options, database, work, blobs, hub, metrics)) {}
Gate::~Gate() {
  stop();
}
uint16_t Gate::port() const {
  return state_->listener_->port();
}
void Gate::stop() {
  state_->stop();
}
void Gate::jobs_ready(std::vector<wire::ReadyJob> jobs) {
  state_->jobs_ready(std::move(jobs));
}
Awaitable<std::optional<std::string>> Gate::why_waiting(JobId job) {
  return state_->why_waiting(job);
}
void Gate::job_cancelled(JobId job, const sql::CancelOutcome& outcome) {
  state_->job_cancelled(job, outcome);
}

}  // namespace quarry::server
