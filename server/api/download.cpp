#include "server/api/download.h"

#include <algorithm>
#include <stdexcept>

#include "server/api/call.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

uint64_t size_of(const DownloadPart& part) {
  const auto* text = std::get_if<std::string>(&part);
  return text != nullptr ? text->size() : std::get<wire::Extent>(part).bytes;
}

using Chunk = std::shared_ptr<std::vector<std::byte>>;

/// Sends [begin, end) of a blob, one chunk ahead of the socket.
Awaitable<void> send_blob(Service& service, LocatedBlob blob, uint64_t begin, uint64_t end, http::BodyWriter& writer) {
  if (blob.bytes() < end) throw std::runtime_error("a stored blob is shorter than its extent");
  if (blob.memory) {
    co_await writer.write(std::span(*blob.memory).subspan(begin, end - begin));
    co_return;
  }
  Chunk spare;  // sent, and read into again: a fresh one would be zeroed first
  const auto read_ahead = [&](uint64_t at) {
    const size_t bytes = static_cast<size_t>(std::min<uint64_t>(kFileChunkBytes, end - at));
    auto chunk = spare ? std::move(spare) : std::make_shared<std::vector<std::byte>>();
    chunk->resize(bytes);
    return service.work.start([file = blob.file, at, chunk = std::move(chunk)] {
      if (!file->read(at, *chunk)) throw std::runtime_error("a stored blob cannot be read");
      return chunk;
    });
  };
  if (begin == end) co_return;
  auto next = read_ahead(begin);
  while (begin < end) {
    Chunk chunk = co_await next->wait();
    begin += chunk->size();
    if (begin < end) next = read_ahead(begin);
    co_await writer.write(*chunk);
    service.metrics.bytes_downloaded += chunk->size();
    spare = std::move(chunk);
  }
}

Awaitable<void> send_parts(Service& service, std::shared_ptr<const std::vector<DownloadPart>> parts,
                           http::ByteRange range, http::BodyWriter& writer) {
  uint64_t part_begin = 0;
  for (const DownloadPart& part : *parts) {
    const uint64_t part_end = part_begin + size_of(part);
    const uint64_t begin = std::max(range.begin, part_begin) - part_begin;
    const uint64_t end = std::min(range.end, part_end) - std::min(part_begin, range.end);
    const uint64_t skipped = part_begin;
    part_begin = part_end;
    if (range.begin >= part_end || range.end <= skipped || begin >= end) continue;
    if (const auto* text = std::get_if<std::string>(&part)) {
      co_await writer.write(std::string_view(*text).substr(begin, end - begin));
      continue;
    }
    const auto& extent = std::get<wire::Extent>(part);
    LocatedBlob blob = co_await locate_blob(service, extent.blob);
    if (!blob) throw std::runtime_error("the blob " + to_hex(extent.blob) + " is missing");
    co_await send_blob(service, std::move(blob), extent.offset + begin, extent.offset + end, writer);
  }
}

}  // namespace

Awaitable<LocatedBlob> locate_blob(Service& service, Digest digest) {
  auto file = co_await service.work.run([&blobs = service.blobs, digest]() -> std::shared_ptr<OpenBlob> {
    for (const BlobKind kind : {BlobKind::Result, BlobKind::Tensor})
      if (auto blob = blobs.open(kind, digest)) return std::make_shared<OpenBlob>(std::move(*blob));
    return nullptr;
  });
  if (file) co_return LocatedBlob{std::move(file), nullptr};
  auto small = co_await service.database.run([digest](sql::ObjectStore& store) { return store.small_blob(digest); });
  co_return LocatedBlob{nullptr, small ? std::make_shared<std::vector<std::byte>>(std::move(*small)) : nullptr};
}

http::Response download(Service& service, const http::Request& request, std::vector<DownloadPart> parts) {
  uint64_t total = 0;
  for (const DownloadPart& part : parts) total += size_of(part);
  http::ByteRange range{0, total};
  const std::string* field = request.field("range");
  const auto kind = field ? http::read_range(*field, total, range) : http::RangeKind::Whole;
  http::Response response;
  switch (kind) {
    case http::RangeKind::Whole:
      break;
    case http::RangeKind::Part:
      response.status = 206;
      response.fields.emplace_back("Content-Range", "bytes " + std::to_string(range.begin) + "-" +
                                                        std::to_string(range.end - 1) + "/" + std::to_string(total));
      break;
    case http::RangeKind::Unsatisfiable: {
      auto refused =
          refusal({"range_not_satisfiable", "the range starts after the last of " + std::to_string(total) + " bytes",
                   "", "ask for a range within the file"});
      refused.fields.emplace_back("Content-Range", "bytes */" + std::to_string(total));
      return refused;
    }
  }
  response.fields.emplace_back("Content-Type", "application/octet-stream");
  response.fields.emplace_back("Accept-Ranges", "bytes");
  auto shared = std::make_shared<const std::vector<DownloadPart>>(std::move(parts));
  response.body = http::StreamedBody{range.end - range.begin, [&service, shared, range](http::BodyWriter& writer) {
                                       return send_parts(service, shared, range, writer);
                                     }};
  return response;
}

}  // namespace quarry::server
