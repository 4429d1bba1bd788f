// Fetches blobs from the server into the cache: parts of several blobs are asked for ahead, within one window for the
// whole link. Threading: the io_context's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "wire/messages.h"
#include "worker/blob_cache.h"

namespace quarry::worker {

class BlobFetcher {
 public:
  using Done = std::function<void(Result<BlobPin>)>;
  /// `send` returns false when there is no link; link_up() then asks again.
  BlobFetcher(BlobCache& cache, std::function<bool(const wire::Message&)> send)
      : cache_(cache), send_(std::move(send)) {}

  /// `done` is called once, never from inside this call. Fetches of the same blob join.
  void fetch(const BlobKey& key, Done done);
  /// Forgets what is on its way, with its room in the cache: nobody waits for it.
  void forget_all();
  /// Whether anything on its way takes room in the cache, which its end may free.
  bool holds_room() const;
  /// A new link: the server gives a blob only for a lease that it has sent on that link, so each waits for again().
  void link_up();
  /// The server sent the lease that needs this blob again, so continue the fetch.
  void again(const BlobKey& key);
  void received(wire::BlobData data);

 private:
  struct Fetch {
    std::vector<Done> waiters;
    std::unique_ptr<BlobWriter> writer;                ///< once the size is known
    bool held_back = false;                            ///< until again()
    uint64_t total_bytes = 0, asked = 0;               ///< asked: bytes from the start that were asked for
    std::map<uint64_t, std::vector<std::byte>> early;  ///< parts that overtook the next one
  };
  struct Part {
    BlobKey key;
    uint64_t offset;
  };
  void ask();
  bool ask_part(const BlobKey& key, Fetch& fetch);
  Status take(const BlobKey& key, Fetch& fetch, uint64_t offset, wire::BlobData data);
  Status append_in_order(Fetch& fetch);
  void finish(const BlobKey& key, Result<BlobPin> result);

  BlobCache& cache_;
  std::function<bool(const wire::Message&)> send_;
  std::map<BlobKey, Fetch> fetches_;
  std::map<uint64_t, Part> parts_;  ///< asked for and not answered, by request
  uint64_t next_request_ = 1;
};

}  // namespace quarry::worker
