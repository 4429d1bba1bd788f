// Blobs to and from one worker: parts of what its leases let it read, and results it delivers, verified by hash. Runs
// on the gate's thread; file work goes to the work pool.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <memory>
#include <set>

#include "server/async.h"
#include "server/blobs/blob_store.h"
#include "server/metrics.h"
#include "wire/link.h"

namespace quarry::server {

class BlobTransfer : public std::enable_shared_from_this<BlobTransfer> {
 public:
  /// `owner` names this session's unfinished uploads.
  BlobTransfer(boost::asio::io_context& io, std::shared_ptr<wire::Link> link, std::string owner, Database& database,
               WorkPool& work, BlobStore& blobs, Metrics& metrics);

  /// Answers with BlobData; the caller has checked that the worker may read it.
  Awaitable<void> send_part(wire::BlobGet get);
  void refuse(const wire::BlobGet& get);
  /// Takes the next part of a result; acknowledges each with BlobAck. While the disk is full a part waits: that is this
  /// side's trouble, and not the box's. The caller has checked that the box may deliver the blob.
  void take_part(wire::BlobPut put);
  void refuse(const wire::BlobPut& put);
  void stop() { stopped_ = true; }  ///< the link is gone: nothing waits any more
  /// Whether this session delivered the blob: a hash alone proves nothing.
  bool delivered(const Digest& blob) const { return delivered_.contains(blob); }

 private:
  struct Receiving {
    std::deque<wire::BlobPut> waiting;
    bool busy = false;
    bool failed = false;  ///< parts are dropped until one starts anew
    std::shared_ptr<Upload> upload;
  };
  struct Source {
    std::shared_ptr<OpenBlob> file;
    std::shared_ptr<std::vector<std::byte>> memory;
  };
  Awaitable<Source> find(const wire::BlobGet& get);
  Awaitable<void> drain(Digest blob);
  void remember_delivered(const Digest& blob);
  Awaitable<Result<bool>> store_when_there_is_room(Receiving& receiving, std::shared_ptr<const wire::BlobPut> put);
  Awaitable<Result<bool>> store_part(Receiving& receiving, std::shared_ptr<const wire::BlobPut> put);

  boost::asio::io_context& io_;
  std::shared_ptr<wire::Link> link_;
  std::string owner_;
  Database& database_;
  WorkPool& work_;
  BlobStore& blobs_;
  Metrics& metrics_;
  std::map<Digest, Receiving> receiving_;
  size_t waiting_parts_ = 0;
  bool stopped_ = false;
  std::set<Digest> delivered_;
  std::deque<Digest> deliveries_;  ///< the same in their order: the oldest are forgotten first
  /// The blob being fetched, kept open between its parts.
  std::pair<std::pair<Digest, bool>, Source> last_source_{};
};

}  // namespace quarry::server
