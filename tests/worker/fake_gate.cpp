#include "tests/worker/fake_gate.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "wire/certificates.h"

namespace quarry::worker::test {
namespace {

std::string write(const std::string& path, const std::string& text) {
  REQUIRE(replace_file(path, text, 0600).ok());
  return path;
}

wire::TlsFiles issue(const wire::KeyAndCertificate& authority, const std::string& directory, const std::string& name,
                     WallTime now) {
  const std::string key = wire::make_key_pem();
  const auto certificate =
      wire::issue_certificate(authority, wire::make_request_pem(key, name), name, {"127.0.0.1"}, 1, now);
  REQUIRE(certificate.ok());
  return {write(directory + "/" + name + ".crt", *certificate), write(directory + "/" + name + ".key", key),
          write(directory + "/authority.crt", authority.certificate_pem)};
}

}  // namespace

FakeGate::FakeGate(boost::asio::io_context& io, const std::string& directory) {
  const wire::KeyAndCertificate authority = wire::make_authority("test authority", clock_.wall());
  box_files_ = issue(authority, directory, BoxId::make(clock_.wall(), random_).to_string(), clock_.wall());
  listener_ = wire::listen(io, "127.0.0.1", 0, issue(authority, directory, "server", clock_.wall()),
                           [this](std::shared_ptr<wire::Link> link) { accept(std::move(link)); });
  slice_ = SliceId::make(clock_.wall(), random_);
  expire_session();
}

void FakeGate::expire_session() {
  session_ = {SessionId::make(clock_.wall(), random_), session_.epoch + 1};
}

void FakeGate::accept(std::shared_ptr<wire::Link> link) {
  ++links;
  link_ = std::move(link);
  link_->start({[this](wire::Message message) { receive(std::move(message)); }, [](const std::string&) {}});
}

void FakeGate::cut() {
  std::exchange(link_, nullptr)->close();
}

void FakeGate::receive(wire::Message message) {
  if (const auto* said = std::get_if<wire::Hello>(&message)) return welcome(*said);
  if (const auto* get = std::get_if<wire::BlobGet>(&message)) return give(*get);
  if (const auto* put = std::get_if<wire::BlobPut>(&message)) return take(*put);
  if (const auto* done = std::get_if<wire::Completions>(&message)) return take(*done);
  if (std::holds_alternative<wire::Heartbeat>(message)) ++heartbeats;
  if (const auto* failed = std::get_if<wire::Failures>(&message))
    failures.insert(failures.end(), failed->failures.begin(), failed->failures.end());
  if (const auto* said = std::get_if<wire::Compiled>(&message))
    compiled.insert(compiled.end(), said->graphs.begin(), said->graphs.end());
  if (const auto* report = std::get_if<wire::Progress>(&message))
    progress.insert(progress.end(), report->attempts.begin(), report->attempts.end());
}

void FakeGate::welcome(const wire::Hello& said) {
  ++hellos;
  hello = said;
  if (said.resume == session_) ++resumes;
  link_->agree(version);
  wire::Welcome welcome{
      .version = version, .session = session_, .incarnation = 1, .lease_ttl_ms = 10'000, .heartbeat_ms = 100};
  welcome.slices.push_back({said.devices.at(0).key, 0, slice_});
  link_->send(welcome);
}

void FakeGate::give(const wire::BlobGet& get) {
  ++gets;
  asked.insert(get.blob);
  const auto found = blobs_.find({get.blob, get.graph});
  wire::BlobData data{.request = get.request};
  if (found == blobs_.end()) {
    data.error = "not_found";
  } else {
    const auto& bytes = found->second;
    data.total_bytes = bytes.size();
    const auto from = bytes.begin() + static_cast<ptrdiff_t>(get.offset);
    data.bytes.assign(from, from + static_cast<ptrdiff_t>(std::min<uint64_t>(get.bytes, bytes.size() - get.offset)));
  }
  link_->send(data);
}

void FakeGate::take(const wire::BlobPut& put) {
  auto& upload = uploads[put.blob];
  if (put.offset == 0) upload.clear();
  upload.insert(upload.end(), put.bytes.begin(), put.bytes.end());
  const bool whole = upload.size() == put.total_bytes;
  link_->send(wire::BlobAck{put.request, whole, whole && sha256(upload) != put.blob ? "hash_mismatch" : ""});
}

void FakeGate::take(const wire::Completions& message) {
  wire::CompletionResults results;
  for (const wire::Completion& completion : message.completions) {
    completions.push_back(completion);
    const bool missing = std::exchange(forget_first_upload, false);
    results.results.push_back({completion.fence, !missing, missing ? "blob_missing" : "accepted"});
  }
  if (answer_completions) link_->send(results);
}

wire::Lease FakeGate::make_lease(const GraphFile& graph, graph::Stage stage,
                                 const std::map<std::string, std::vector<std::byte>>& inputs) {
  wire::Lease lease;
  lease.fence = {1, JobId::make(clock_.wall(), random_), 0, session_.epoch, ++jobs_};
  lease.session = session_.id;
  lease.slice = slice_;
  lease.graph = stage.graph = graph.id;
  blobs_[{graph.id, true}] = graph.cbor;
  std::vector<std::string> names;
  for (const auto& [name, bytes] : inputs) {
    blobs_[{sha256(bytes), false}] = bytes;
    lease.inputs[name] = {{sha256(bytes), 0, bytes.size()}};
    names.push_back(name);
  }
  lease.job_document = document(stage, names);
  lease.steps = stage.steps;
  lease.time_limit_ms = 60'000;
  return lease;
}

void FakeGate::send(std::vector<wire::Lease> leases) {
  link_->send(wire::Leases{std::move(leases)});
}
void FakeGate::cancel(const wire::Fence& fence) {
  link_->send(wire::Cancels{{fence}, "cancelled"});
}

}  // namespace quarry::worker::test
