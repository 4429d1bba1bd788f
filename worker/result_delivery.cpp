#include "worker/result_delivery.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace quarry::worker {
namespace {

static_assert(kMaxLocalInlineBytes <= wire::kMaxInlineOutputBytes, "what is inline here can be inline on the wire");

/// Half of a frame: names, hashes and the other completions of a batch share it.
constexpr uint64_t kMaxInlinePerCompletion = wire::kMaxFrameBytes / 2;
/// About a millisecond of hashing between two turns of the links.
constexpr size_t kHashPartBytes = 1 << 20;

}  // namespace

std::shared_ptr<ResultDelivery> ResultDelivery::start(boost::asio::io_context& io, BlobUploader& uploader,
                                                      std::vector<LocalOutput> outputs, Done done) {
  auto self = std::make_shared<ResultDelivery>(io, uploader, std::move(outputs), std::move(done));
  self->next();
  return self;
}

ResultDelivery::ResultDelivery(boost::asio::io_context& io, BlobUploader& uploader, std::vector<LocalOutput> outputs,
                               Done done)
    : io_(io), uploader_(uploader), done_(std::move(done)) {
  for (LocalOutput& output : outputs) items_.push_back({std::move(output), nullptr, {}});
}

void ResultDelivery::next() {
  for (; current_ < items_.size(); ++current_) {
    Item& item = items_[current_];
    if (auto status = prepare(item); !status.ok()) return end(status.problem());
    if (item.file) {
      hashed_ = 0;
      return hash_part();
    }
  }
  put_all();
}

/// Afterwards an item is inline with its hash, or a file that is still to be hashed.
Status ResultDelivery::prepare(Item& item) {
  LocalOutput& output = item.output;
  item.produced.name = output.name;
  item.produced.bytes = output.bytes;
  const bool fits =
      output.bytes <= wire::kMaxInlineOutputBytes && inline_bytes_ + output.bytes <= kMaxInlinePerCompletion;
  if (fits && output.file.valid()) {
    output.small.resize(output.bytes);
    QUARRY_TRY(read_exactly(output.file.get(), 0, output.small));
    output.file.reset();
  } else if (!fits && !output.file.valid()) {
    QUARRY_ASSIGN(output.file, make_memory_file("quarry-output", output.small));
  }
  if (fits) {
    inline_bytes_ += output.bytes;
    item.produced.blob = sha256(output.small);
    item.produced.inline_bytes = std::move(output.small);
  } else {
    item.file = std::make_shared<const FileDescriptor>(std::move(output.file));
  }
  return {};
}

void ResultDelivery::hash_part() {
  Item& item = items_[current_];
  std::vector<std::byte> part(std::min<uint64_t>(kHashPartBytes, item.produced.bytes - hashed_));
  if (auto status = read_exactly(item.file->get(), hashed_, part); !status.ok()) return end(status.problem());
  hash_.update(part);
  hashed_ += part.size();
  if (hashed_ == item.produced.bytes) {
    item.produced.blob = hash_.finish();
    ++current_;
  }
  boost::asio::post(io_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    const bool within = self->current_ < self->items_.size() && self->items_[self->current_].file != nullptr;
    within ? self->hash_part() : self->next();
  });
}

void ResultDelivery::put_all() {
  puts_ = 1;  // held by this loop
  for (const Item& item : items_) {
    if (!item.file) continue;
    ++puts_;
    uploader_.put(item.produced.blob, item.produced.bytes, item.file, [weak = weak_from_this()](const Status& status) {
      if (const auto self = weak.lock()) self->put_done(status);
    });
  }
  put_done({});
}

void ResultDelivery::put_done(const Status& status) {
  if (!status.ok()) return end(status.problem());
  if (--puts_ == 0) end(collect());
}

void ResultDelivery::end(Result<Delivered> result) {
  if (const Done done = std::exchange(done_, nullptr)) done(std::move(result));
}

void ResultDelivery::repeat(Done done) {
  done_ = std::move(done);
  put_all();
}

Delivered ResultDelivery::collect() const {
  Delivered delivered;
  for (const Item& item : items_) (item.output.carried ? delivered.carried : delivered.kept).push_back(item.produced);
  return delivered;
}

}  // namespace quarry::worker
