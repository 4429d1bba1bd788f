// Turns what an executor produced into what a completion says: every output by its hash, small ones inline, large ones
// put to the server before the completion is sent. Threading: the io_context's thread; hashing takes turns with
// everything else there.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "wire/messages.h"
#include "worker/blob_uploader.h"
#include "worker/slice.h"

namespace quarry::worker {

struct Delivered {
  std::vector<wire::Produced> kept, carried;
};

class ResultDelivery : public std::enable_shared_from_this<ResultDelivery> {
 public:
  using Done = std::function<void(Result<Delivered>)>;
  /// `done` is called once, perhaps before this returns. The files stay open until the delivery is dropped, so that
  /// repeat() can put them once more; `uploader` must outlive it.
  static std::shared_ptr<ResultDelivery> start(boost::asio::io_context& io, BlobUploader& uploader,
                                               std::vector<LocalOutput> outputs, Done done);
  ResultDelivery(boost::asio::io_context& io, BlobUploader& uploader, std::vector<LocalOutput> outputs, Done done);
  /// Puts the large outputs again, e.g. when the server says that it lost one.
  void repeat(Done done);

 private:
  struct Item {
    LocalOutput output;
    std::shared_ptr<const FileDescriptor> file;  ///< of those that travel as blobs
    wire::Produced produced;
  };
  void next();
  Status prepare(Item& item);
  void hash_part();
  void put_all();
  void put_done(const Status& status);
  void end(Result<Delivered> result);
  Delivered collect() const;

  boost::asio::io_context& io_;
  BlobUploader& uploader_;
  Done done_;
  std::vector<Item> items_;
  size_t current_ = 0;         ///< the item that is hashed now
  uint64_t hashed_ = 0;        ///< bytes of it
  uint64_t inline_bytes_ = 0;  ///< of all outputs
  size_t puts_ = 0;            ///< not answered
  Sha256 hash_;
};

}  // namespace quarry::worker
