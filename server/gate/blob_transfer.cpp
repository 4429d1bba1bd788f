#include "server/gate/blob_transfer.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/log.h"
#include "server/limits.h"
#include "server/try.h"

namespace quarry::server {

namespace {
constexpr size_t kMaxWaitingParts = 64;  ///< of all blobs of a link, of 1 MiB each: a worker sends 16 at once
/// Several completions' worth (wire/fields.h), and some 25 MB. A link may last for years.
constexpr size_t kMaxDelivered = 200'000;
constexpr std::chrono::milliseconds kLookForRoomEvery{500};
}  // namespace

BlobTransfer::BlobTransfer(boost::asio::io_context& io, std::shared_ptr<wire::Link> link, std::string owner,
                           Database& database, WorkPool& work, BlobStore& blobs, Metrics& metrics)
    : io_(io),
      link_(std::move(link)),
      owner_(std::move(owner)),
      database_(database),
      work_(work),
      blobs_(blobs),
      metrics_(metrics) {}

void BlobTransfer::refuse(const wire::BlobGet& get) {
  link_->send(wire::BlobData{get.request, 0, {}, "not_found"});
}

Awaitable<BlobTransfer::Source> BlobTransfer::find(const wire::BlobGet& get) {
  const std::pair key(get.blob, get.graph);
  if (last_source_.first == key && (last_source_.second.file || last_source_.second.memory))
    co_return last_source_.second;
  Source source;
  source.file = co_await work_.run([&blobs = blobs_, key]() -> std::shared_ptr<OpenBlob> {
    for (const BlobKind kind : {BlobKind::Graph, BlobKind::Tensor, BlobKind::Result})
      if ((kind == BlobKind::Graph) == key.second)
        if (auto blob = blobs.open(kind, key.first)) return std::make_shared<OpenBlob>(std::move(*blob));
    return nullptr;
  });
  if (!source.file && !get.graph) {
    auto small = co_await database_.run([blob = get.blob](sql::ObjectStore& store) { return store.small_blob(blob); });
    if (small) source.memory = std::make_shared<std::vector<std::byte>>(std::move(*small));
  }
  last_source_ = {key, source};
  co_return source;
}

Awaitable<void> BlobTransfer::send_part(wire::BlobGet get) {
  const auto self = shared_from_this();
  try {
    const Source source = co_await find(get);
    const uint64_t total = source.file ? source.file->bytes : source.memory ? source.memory->size() : 0;
    if ((!source.file && !source.memory) || get.offset > total) co_return refuse(get);
    wire::BlobData data{get.request, total, {}, ""};
    const uint64_t bytes = std::min({get.bytes, uint64_t{wire::kMaxBlobPartBytes}, total - get.offset});
    if (source.memory) {
      const auto part = std::span(*source.memory).subspan(get.offset, bytes);
      data.bytes.assign(part.begin(), part.end());
    } else {
      const auto read = [file = source.file, offset = get.offset, bytes] {
        std::vector<std::byte> part(bytes);
        if (!file->read(offset, part)) part.clear();
        return part;
      };
      data.bytes = co_await work_.run(read);
      if (data.bytes.size() != bytes) co_return refuse(get);
    }
    metrics_.blob_bytes_to_workers += bytes;
    link_->send(data);
  } catch (const http::RequestFailed& failure) {
    spdlog::warn("a blob could not be sent to a worker: {}", failure.problem.detail);
    link_->close();  // the worker dials again and asks anew; "not_found" would fail the attempt
  }
}

void BlobTransfer::refuse(const wire::BlobPut& put) {
  link_->send(wire::BlobAck{put.request, false, "not_expected"});
}

void BlobTransfer::take_part(wire::BlobPut put) {
  const Digest blob = put.blob;
  if (!receiving_.contains(blob) && receiving_.size() >= kMaxGateUploadsPerLink) {
    link_->send(wire::BlobAck{put.request, false, "too_many_uploads"});
    return;
  }
  metrics_.blob_bytes_from_workers += put.bytes.size();
  Receiving& receiving = receiving_[blob];
  receiving.waiting.push_back(std::move(put));
  if (++waiting_parts_ > kMaxWaitingParts) link_->close();
  if (std::exchange(receiving.busy, true)) return;
  boost::asio::co_spawn(
      io_, [self = shared_from_this(), blob] { return self->drain(blob); }, boost::asio::detached);
}

void BlobTransfer::remember_delivered(const Digest& blob) {
  if (!delivered_.insert(blob).second) return;
  deliveries_.push_back(blob);
  if (deliveries_.size() <= kMaxDelivered) return;
  delivered_.erase(deliveries_.front());
  deliveries_.pop_front();
}

/// Stores the waiting parts of one blob in their order.
Awaitable<void> BlobTransfer::drain(Digest blob) {
  Receiving& receiving = receiving_[blob];  // stays while busy
  while (!receiving.waiting.empty()) {
    const auto put = std::make_shared<const wire::BlobPut>(std::move(receiving.waiting.front()));
    receiving.waiting.pop_front();
    --waiting_parts_;
    if (put->offset == 0) receiving.failed = false;
    if (receiving.failed) continue;  // its error was sent with the part that failed
    const Result<bool> stored = co_await store_when_there_is_room(receiving, put);
    if (stored && *stored) remember_delivered(blob);
    if (!stored || *stored) receiving.upload.reset();
    receiving.failed = !stored;
    link_->send(wire::BlobAck{put->request, stored && *stored, stored ? "" : stored.problem().code});
  }
  receiving.busy = false;
  if (!receiving.upload) receiving_.erase(blob);
}

Awaitable<Result<bool>> BlobTransfer::store_when_there_is_room(Receiving& receiving,
                                                               std::shared_ptr<const wire::BlobPut> put) {
  boost::asio::steady_timer timer(io_);
  for (;;) {
    Result<bool> stored = co_await store_part(receiving, put);
    if (stored || stored.problem().code != "no_space" || stopped_) co_return stored;
    spdlog::warn("a box's result waits: the disk is full");
    timer.expires_after(kLookForRoomEvery);
    co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
}

/// True when the blob is whole and durable with this part.
Awaitable<Result<bool>> BlobTransfer::store_part(Receiving& receiving, std::shared_ptr<const wire::BlobPut> put) {
  if (put->total_bytes > kMaxResultBytes) co_return Problem{"too_large", "the blob is over its limit", "", ""};
  if (put->offset == 0) {
    receiving.upload.reset();
    const auto begin = [&blobs = blobs_, owner = owner_, put] {
      return blobs.begin(BlobKind::Result, owner, put->blob, 0, put->total_bytes);
    };
    QUARRY_CO_ASSIGN(receiving.upload, co_await work_.run(begin));
  }
  const auto upload = receiving.upload;
  if (!upload || upload->offset() != put->offset || put->offset + put->bytes.size() > put->total_bytes)
    co_return Problem{"out_of_order", "a part does not follow the one before", "", ""};
  const auto store = [upload, put]() -> Result<bool> {
    QUARRY_TRY(upload->append(put->bytes));
    if (upload->offset() < put->total_bytes) return false;
    QUARRY_TRY(upload->commit(nullptr));
    return true;
  };
  co_return co_await work_.run(store);
}

}  // namespace quarry::server
