#include "server/api/inline_results.h"

#include <openssl/evp.h>

#include <algorithm>

#include "server/api/download.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

std::string base64(std::span<const std::byte> bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends with a NUL
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const int written =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), data, static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(written));
  return text;
}

/// The bytes of a result; nullopt when they are not where they should be, and then the result's own request says so.
Awaitable<std::optional<std::vector<std::byte>>> bytes_of(Service& service, const std::vector<wire::Extent>& extents) {
  std::vector<std::byte> bytes;
  for (const wire::Extent& extent : extents) {
    const LocatedBlob blob = co_await locate_blob(service, extent.blob);
    if (blob.bytes() < extent.offset + extent.bytes) co_return std::nullopt;
    const size_t begin = bytes.size();
    bytes.resize(begin + extent.bytes);
    const std::span into = std::span(bytes).subspan(begin);
    if (blob.memory) {
      const auto from = blob.memory->begin() + static_cast<std::ptrdiff_t>(extent.offset);
      std::copy_n(from, extent.bytes, into.begin());
    } else if (!blob.file->read(extent.offset, into)) {
      co_return std::nullopt;
    }
  }
  co_return bytes;
}

}  // namespace

Result<bool> wants_inline_results(const http::Request& request) {
  const auto results = request.parameter("results");
  if (!results) return false;
  if (*results == "inline") return true;
  return Problem{"bad_parameter", "results is not 'inline'", "", "correct ?results=, or leave it out"};
}

Awaitable<std::map<std::string, std::string>> inline_results(Service& service, const sql::JobRow& job,
                                                             const std::vector<OutputInfo>& outputs) {
  std::map<std::string, std::string> data;
  if (job.state != JobState::Succeeded) co_return data;
  size_t left = kMaxInlineResultBytes;
  for (const OutputInfo& output : outputs) {
    if (output.bytes > std::min<uint64_t>(left, wire::kMaxInlineOutputBytes)) continue;
    const auto row = std::find_if(job.outputs.begin(), job.outputs.end(),
                                  [&](const sql::OutputRow& found) { return found.name == output.name; });
    if (row == job.outputs.end()) continue;
    const auto bytes = co_await bytes_of(service, row->extents);
    if (!bytes || bytes->size() != output.bytes) continue;
    left -= bytes->size();
    data.emplace(output.name, base64(*bytes));
  }
  co_return data;
}

}  // namespace quarry::server
