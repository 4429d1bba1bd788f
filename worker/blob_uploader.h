// Puts large outputs to the server as blobs, in parts within one window for the whole link. Threading: the io_context's
// thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "wire/messages.h"
#include "worker/file_descriptor.h"

namespace quarry::worker {

class BlobUploader {
 public:
  using Done = std::function<void(Status)>;
  explicit BlobUploader(std::function<bool(const wire::Message&)> send) : send_(std::move(send)) {}

  /// `done` is called once the server holds the blob durably, never from inside this call. Puts of the same blob join.
  void put(const Digest& blob, uint64_t bytes, std::shared_ptr<const FileDescriptor> file, Done done);
  void link_up();  ///< what was not answered starts again
  void received(const wire::BlobAck& ack);

 private:
  struct Upload {
    std::vector<Done> waiters;
    std::shared_ptr<const FileDescriptor> file;
    uint64_t total_bytes = 0, sent = 0;
    bool all_sent = false;
  };
  void push();
  bool push_part(const Digest& blob, Upload& upload);
  void finish(const Digest& blob, Status status);

  std::function<bool(const wire::Message&)> send_;
  std::map<Digest, Upload> uploads_;
  struct Part {
    Digest blob;
    bool last;
  };
  std::map<uint64_t, Part> parts_;  ///< sent and not answered, by request
  uint64_t next_request_ = 1;
};

}  // namespace quarry::worker
