#include "worker/blob_fetcher.h"

#include <algorithm>

namespace quarry::worker {
namespace {

/// Parts on their way at once: 16 MiB fill a 10 Gbit/s link of 10 ms, and stay well under what a link may queue (64
/// MiB).
constexpr size_t kWindow = 16;

Problem bad_part() {
  return {"hash_mismatch", "the server sent a part of a blob that does not fit the others", "", ""};
}

}  // namespace

void BlobFetcher::fetch(const BlobKey& key, Done done) {
  Fetch& fetch = fetches_[key];
  fetch.waiters.push_back(std::move(done));
  fetch.held_back = false;  // its lease has just come
  ask();
}

void BlobFetcher::forget_all() {
  fetches_.clear();
  parts_.clear();
}

bool BlobFetcher::holds_room() const {
  return std::any_of(fetches_.begin(), fetches_.end(),
                     [](const auto& entry) { return entry.second.writer != nullptr && !entry.second.held_back; });
}

void BlobFetcher::link_up() {
  parts_.clear();
  for (auto& [key, fetch] : fetches_) {
    fetch.early.clear();
    fetch.asked = fetch.writer ? fetch.writer->written() : 0;
    fetch.held_back = true;
  }
}

void BlobFetcher::again(const BlobKey& key) {
  const auto at = fetches_.find(key);
  if (at == fetches_.end() || !std::exchange(at->second.held_back, false)) return;
  ask();
}

void BlobFetcher::ask() {
  for (auto& [key, fetch] : fetches_)
    while (parts_.size() < kWindow && ask_part(key, fetch)) {
    }
}

/// False when nothing more is to be asked for now.
bool BlobFetcher::ask_part(const BlobKey& key, Fetch& fetch) {
  if (fetch.held_back) return false;
  const bool first = fetch.writer == nullptr;
  if (first ? fetch.asked > 0 : fetch.asked >= fetch.total_bytes) return false;
  const uint64_t bytes =
      first ? wire::kMaxBlobPartBytes : std::min<uint64_t>(wire::kMaxBlobPartBytes, fetch.total_bytes - fetch.asked);
  if (!send_(wire::BlobGet{next_request_, key.digest, key.graph, fetch.asked, bytes})) return false;
  parts_.emplace(next_request_++, Part{key, fetch.asked});
  fetch.asked += bytes;
  return true;
}

void BlobFetcher::received(wire::BlobData data) {
  const auto part = parts_.find(data.request);
  if (part == parts_.end()) return;  // of a fetch that failed, or of an earlier link
  const auto [key, offset] = part->second;
  parts_.erase(part);
  const auto at = fetches_.find(key);
  if (at == fetches_.end()) return;
  Fetch& fetch = at->second;
  if (auto status = take(key, fetch, offset, std::move(data)); !status.ok()) {
    finish(key, status.problem());
  } else if (fetch.writer->written() == fetch.total_bytes) {
    finish(key, fetch.writer->commit());
  }
  ask();
}

Status BlobFetcher::take(const BlobKey& key, Fetch& fetch, uint64_t offset, wire::BlobData data) {
  if (!data.error.empty())
    return Problem{"blob_missing", "the server has no blob " + to_hex(key.digest) + ": " + data.error, "", ""};
  if (!fetch.writer) {
    QUARRY_ASSIGN(fetch.writer, cache_.begin(key, data.total_bytes));
    fetch.total_bytes = data.total_bytes;
    fetch.asked = data.bytes.size();
  }
  const bool fits = data.total_bytes == fetch.total_bytes && offset + data.bytes.size() <= fetch.total_bytes;
  if (!fits || (data.bytes.empty() && offset < fetch.total_bytes)) return bad_part();
  fetch.early.insert_or_assign(offset, std::move(data.bytes));
  return append_in_order(fetch);
}

Status BlobFetcher::append_in_order(Fetch& fetch) {
  for (auto next = fetch.early.find(fetch.writer->written()); next != fetch.early.end();
       next = fetch.early.find(fetch.writer->written())) {
    const std::vector<std::byte> bytes = std::move(next->second);
    fetch.early.erase(next);
    if (bytes.empty()) break;
    QUARRY_TRY(fetch.writer->append(bytes));
  }
  return {};
}

void BlobFetcher::finish(const BlobKey& key, Result<BlobPin> result) {
  const auto node = fetches_.extract(key);
  std::erase_if(parts_, [&](const auto& part) { return part.second.key == key; });
  for (const Done& done : node.mapped().waiters) {
    auto pin = result.ok() ? cache_.find(key) : std::nullopt;
    done(pin ? Result<BlobPin>(std::move(*pin)) : Result<BlobPin>(result.problem()));
  }
}

}  // namespace quarry::worker
