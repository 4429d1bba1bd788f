#include <atomic>

#include "common/text.h"
#include "server/api/answers.h"
#include "server/api/handlers.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

constexpr std::chrono::milliseconds kReread{1'000};  ///< how soon an event made through another server is seen
constexpr std::chrono::milliseconds kSettle{20};     ///< outbox rows may appear this long after their hint
constexpr std::chrono::seconds kKeepAlive{15};
constexpr int32_t kPage = 500;

/// One server-sent event; payloads are one line of JSON.
void append_event(std::string& out, const std::string& id, std::string_view kind, std::string_view data) {
  if (!id.empty()) out.append("id: ").append(id).append("\n");
  out.append("event: ").append(kind).append("\ndata: ").append(data).append("\n\n");
}

bool ends_stream(const std::string& kind) {
  return kind == "job.succeeded" || kind == "job.failed" || kind == "job.cancelled" || kind == "job.expired";
}

Problem unknown_event() {
  return {"bad_header", "Last-Event-ID is not an id of this stream", "", "send the last id that came, or none"};
}

class StreamCount {
 public:
  explicit StreamCount(std::atomic<int64_t>& count)
      : count_(count), allowed_(++count <= static_cast<int64_t>(kMaxEventStreams)) {}
  ~StreamCount() { --count_; }
  StreamCount(const StreamCount&) = delete;
  bool allowed() const { return allowed_; }

 private:
  std::atomic<int64_t>& count_;
  bool allowed_;
};

struct EventStream {
  Service& service;
  AccountId account;
  std::string key_id;
  JobId job;
  bool job_is_over;  ///< when the stream began: its last event is there
  int64_t sequence;  ///< of the last event sent
  std::unique_ptr<Hub::Subscription> changes;
  std::shared_ptr<void> share;  ///< of what the account may have
  std::shared_ptr<StreamCount> count;

  /// Sends what the outbox has beyond `sequence`; true once the job's last event is out.
  Awaitable<bool> send_durable(http::BodyWriter& writer) {
    for (;;) {
      const auto rows =
          co_await service.database.run([who = account, id = job, after = sequence](sql::EventStore& store) {
            return store.job_events_after(who, id, after, kPage);
          });
      std::string text;
      bool over = false;
      for (const sql::EventRow& row : rows) {
        append_event(text, std::to_string(row.sequence), row.kind, row.payload);
        sequence = row.sequence;
        over |= ends_stream(row.kind);
      }
      if (!text.empty()) co_await writer.write(text);
      if (over || rows.size() < static_cast<size_t>(kPage)) co_return over;
    }
  }

  Awaitable<void> send_progress(http::BodyWriter& writer) {
    const auto progress = changes->take_progress();
    if (!progress) co_return;
    JsonWriter json;
    json.begin_object().field("job", job.to_string()).field("steps_done", progress->steps_done);
    json.field("steps_total", progress->steps_total);
    write_phase(json, *progress);
    json.end_object();
    std::string text;
    append_event(text, "", "job.progress", json.take());
    co_await writer.write(text);
  }

  Awaitable<void> run(http::BodyWriter& writer) {
    auto spoken = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point reread{};
    while (!writer.stopping()) {
      const auto now = std::chrono::steady_clock::now();
      const bool hinted = changes->take_changed();
      if (hinted || now >= reread) {
        const bool good = co_await service.keys.is_good(key_id);
        if (!good) co_return;  // revoked meanwhile
        const bool over = co_await send_durable(writer);
        if (over || job_is_over) co_return;
        reread = now + (hinted ? kSettle : kReread);
      }
      co_await send_progress(writer);
      if (now - spoken > kKeepAlive) {
        co_await writer.write(std::string_view(": still here\n\n"));
        spoken = now;
      }
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(reread - std::chrono::steady_clock::now());
      if (left.count() > 0) co_await changes->wait(left);
    }
  }
};

}  // namespace

Awaitable<http::Response> get_job_events(Service& service, Call& call) {
  const auto id = JobId::parse(call.arguments.at(0));
  const Problem missing{"job_not_found", "there is no job " + call.arguments.at(0).substr(0, 64), "",
                        "see GET /v1/jobs"};
  if (!id) co_return refusal(missing);
  int64_t after = 0;
  if (const std::string* last = call.request.field("last-event-id")) {
    after = parse_number<int64_t>(*last).value_or(-1);
    if (after < 0) co_return refusal(unknown_event());
  }
  auto share = service.event_streams.hold(call.account.uuid());
  if (!share)
    co_return refusal(
        {"too_many_streams", "this account has too many event streams open", "", "close some, or use GET ?wait="});
  auto count = std::make_shared<StreamCount>(service.metrics.event_streams);
  if (!count->allowed())
    co_return refusal(
        {"too_many_streams", "too many event streams are open on this server", "", "use GET ?wait= instead"});
  auto changes = service.hub.subscribe(*id);  // before the first read, so that nothing falls between
  const auto job = co_await service.database.run(
      [account = call.account, job_id = *id](sql::JobStore& store) { return store.job(account, job_id); });
  if (!job) co_return refusal(missing);
  const bool over = is_terminal(job->state);
  if (!over && after > 0) {
    const auto is_past_the_newest = [account = call.account, job_id = *id, after](sql::EventStore& store) {
      return store.job_events_after(account, job_id, after - 1, 1).empty();
    };
    const bool past = co_await service.database.run(is_past_the_newest);
    if (past) co_return refusal(unknown_event());
  }
  auto stream = std::make_shared<EventStream>(EventStream{service, call.account, call.key_id, *id, over, after,
                                                          std::move(changes), std::move(share), std::move(count)});
  http::Response response;
  response.fields.emplace_back("Content-Type", "text/event-stream");
  response.close = true;
  response.body = http::StreamedBody{std::nullopt, [stream](http::BodyWriter& writer) { return stream->run(writer); }};
  co_return response;
}

}  // namespace quarry::server
