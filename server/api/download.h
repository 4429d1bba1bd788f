// Sends stored bytes as an answer: whole or by Range, in chunks, the next one read from disk while the last one is
// sent.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "server/api/service.h"
#include "server/http/message.h"
#include "wire/messages.h"

namespace quarry::server {

/// Bytes in memory, or a range of a blob that may lie among the tensors, the results, or (when small) in PostgreSQL.
using DownloadPart = std::variant<std::string, wire::Extent>;

/// Opens one blob wherever it lies; nullopt bytes and no file when it is gone.
struct LocatedBlob {
  std::shared_ptr<OpenBlob> file;
  std::shared_ptr<std::vector<std::byte>> memory;
  uint64_t bytes() const { return file ? file->bytes : memory ? memory->size() : 0; }
  explicit operator bool() const { return file != nullptr || memory != nullptr; }
};
Awaitable<LocatedBlob> locate_blob(Service& service, Digest digest);

/// 200 with everything, 206 with a range, or 416. `content_type` and `fields` are added.
http::Response download(Service& service, const http::Request& request, std::vector<DownloadPart> parts);

}  // namespace quarry::server
