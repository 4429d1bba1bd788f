// The server's side of a worker's link, as far as a worker can see it: real TLS and real messages, blobs in memory,
// leases on demand.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "common/random.h"
#include "tests/worker/support.h"
#include "wire/link.h"

namespace quarry::worker::test {

class FakeGate {
 public:
  FakeGate(boost::asio::io_context& io, const std::string& directory);

  uint16_t port() const { return listener_->port(); }
  const wire::TlsFiles& box_files() const { return box_files_; }

  /// A lease of a job on `graph` whose inputs are whole blobs; graph and blobs can be fetched from now on.
  wire::Lease make_lease(const GraphFile& graph, graph::Stage stage,
                         const std::map<std::string, std::vector<std::byte>>& inputs);
  void send(std::vector<wire::Lease> leases);
  void cancel(const wire::Fence& fence);
  /// Breaks the link; the worker dials again.
  void cut();
  /// The next link gets a new session: the old one's lease has run out.
  void expire_session();

  uint32_t version = wire::kVersion;  ///< that its next Welcome names
  bool answer_completions = true;
  bool forget_first_upload = false;  ///< says "blob_missing" to the first completion
  int links = 0, hellos = 0, resumes = 0;
  std::optional<wire::Hello> hello;
  std::vector<wire::Completion> completions;  ///< every one received, repeats too
  std::vector<wire::AttemptFailure> failures;
  std::vector<Digest> compiled;  ///< every graph that was said to be, repeats too
  std::vector<wire::AttemptProgress> progress;
  std::map<Digest, std::vector<std::byte>> uploads;
  std::set<Digest> asked;  ///< blobs and graphs asked for
  int gets = 0, heartbeats = 0;

 private:
  void accept(std::shared_ptr<wire::Link> link);
  void receive(wire::Message message);
  void welcome(const wire::Hello& said);
  void give(const wire::BlobGet& get);
  void take(const wire::BlobPut& put);
  void take(const wire::Completions& message);

  SystemClock clock_;
  SeededRandom random_{1};
  wire::TlsFiles box_files_;
  std::unique_ptr<wire::Listener> listener_;
  std::shared_ptr<wire::Link> link_;
  wire::SessionKey session_;
  SliceId slice_;
  std::map<std::pair<Digest, bool>, std::vector<std::byte>> blobs_;
  int32_t jobs_ = 0;
};

}  // namespace quarry::worker::test
