#include "worker/blob_uploader.h"

#include <algorithm>

namespace quarry::worker {
namespace {

constexpr size_t kWindow = 16;  ///< parts on their way at once, as for fetching

}  // namespace

void BlobUploader::put(const Digest& blob, uint64_t bytes, std::shared_ptr<const FileDescriptor> file, Done done) {
  Upload& upload = uploads_[blob];
  upload.waiters.push_back(std::move(done));
  if (upload.file) return;  // joins one on its way
  upload.file = std::move(file);
  upload.total_bytes = bytes;
  push();
}

void BlobUploader::link_up() {
  parts_.clear();
  for (auto& [blob, upload] : uploads_) upload.sent = 0, upload.all_sent = false;
  push();
}

void BlobUploader::push() {
  // One blob's parts after the other's: the server keeps few files open, and the first blob is whole soonest.
  for (auto& [blob, upload] : uploads_)
    while (parts_.size() < kWindow && push_part(blob, upload)) {
    }
}

bool BlobUploader::push_part(const Digest& blob, Upload& upload) {
  if (upload.all_sent) return false;
  wire::BlobPut put{next_request_, blob, upload.total_bytes, upload.sent, {}};
  put.bytes.resize(std::min<uint64_t>(wire::kMaxBlobPartBytes, upload.total_bytes - upload.sent));
  // A file that the executor shortened meanwhile leaves zeros, and the server refuses the hash.
  (void)read_exactly(upload.file->get(), upload.sent, put.bytes);
  const uint64_t after = upload.sent + put.bytes.size();
  if (!send_(put)) return false;
  upload.sent = after;
  upload.all_sent = after == upload.total_bytes;
  parts_.emplace(next_request_++, Part{blob, upload.all_sent});
  return true;
}

void BlobUploader::received(const wire::BlobAck& ack) {
  const auto at = parts_.find(ack.request);
  if (at == parts_.end()) return;  // of an upload that failed, or of an earlier link
  const Part part = at->second;
  parts_.erase(at);
  if (!ack.error.empty()) {
    finish(part.blob, Problem{"upload_failed", "the server refused an output: " + ack.error, "", ""});
  } else if (ack.stored) {
    finish(part.blob, {});
  } else if (part.last) {
    finish(part.blob, Problem{"upload_failed", "the server did not store an output", "", ""});
  }
  push();
}

void BlobUploader::finish(const Digest& blob, Status status) {
  const auto node = uploads_.extract(blob);
  if (node.empty()) return;
  std::erase_if(parts_, [&](const auto& part) {
    return part.second.blob == blob;
  });  // their answers would be taken for a later put's
  for (const Done& done : node.mapped().waiters) done(status);
}

}  // namespace quarry::worker
