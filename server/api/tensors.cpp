#include <utility>

#include "server/api/download.h"
#include "server/api/handlers.h"
#include "server/limits.h"

namespace quarry::server {

namespace {

Problem tensor_missing(const std::string& text) {
  return {"tensor_not_found", "there is no tensor file " + text.substr(0, 64), "", "PUT it to /v1/tensors/{sha256}"};
}

Result<Digest> digest_of(const std::string& text) {
  if (const auto digest = parse_digest(text)) return *digest;
  return Problem{"bad_parameter", "the path does not end in a SHA-256 of 64 lower-case hex digits", "",
                 "correct the path"};
}

/// Which bytes of the file this request brings.
struct Part {
  uint64_t begin = 0;
  std::optional<uint64_t> end, total;  ///< of a Content-Range
};

Result<Part> part_of(const http::Request& request) {
  Part part;
  const std::string* field = request.field("content-range");
  if (field == nullptr) {
    part.total = request.body->length();
    return part;
  }
  const auto range = http::read_content_range(*field);
  if (!range) return Problem{"content_range", "Content-Range is not 'bytes first-last/total'", "", "correct the field"};
  const auto length = request.body->length();
  if (length && *length != range->bytes.end - range->bytes.begin)
    return Problem{"content_range", "Content-Range and Content-Length disagree", "",
                   "send exactly the bytes of the range"};
  part.begin = range->bytes.begin;
  part.end = range->bytes.end;
  part.total = range->total;
  return part;
}

/// An unfinished upload has no expiry of its own yet.
http::Response stored(int status, const Digest& digest, uint64_t bytes, std::optional<WallTime> expires_at) {
  JsonWriter json;
  json.begin_object().field("sha256", to_hex(digest)).field("bytes", bytes).key("expires_at");
  expires_at ? json.string(expires_at->rfc3339()) : json.null();
  json.end_object();
  return http::Response::json(status, json.take());
}

http::Response with_offset(http::Response response, uint64_t offset) {
  response.fields.emplace_back("Upload-Offset", std::to_string(offset));
  return response;
}

Problem too_large() {
  return {"tensor_too_large", "a tensor file has at most " + std::to_string(kMaxTensorBytes) + " bytes", "",
          "split it over several files"};
}

/// Bytes of a body, and why it ended when it did not end well.
struct Chunk {
  std::vector<std::byte> bytes;
  std::optional<http::RequestFailed> failure;
};

/// Fills a chunk from the body: fewer bytes than kFileChunkBytes only at its end. A full one that is done with is
/// filled again: a fresh one is zeroed first, which took a tenth of an upload's time.
Awaitable<std::shared_ptr<Chunk>> next_chunk(http::BodyReader& body, std::shared_ptr<Chunk> spare = nullptr) {
  auto chunk = spare ? std::move(spare) : std::make_shared<Chunk>();
  chunk->bytes.resize(kFileChunkBytes);
  size_t used = 0;
  try {
    while (used < chunk->bytes.size()) {
      const size_t got = co_await body.read(std::span(chunk->bytes).subspan(used));
      if (got == 0) break;
      used += got;
    }
  } catch (http::RequestFailed& failure) {
    chunk->failure = std::move(failure);
  }
  chunk->bytes.resize(used);
  co_return chunk;
}

/// Receives the body into the upload: one chunk is hashed and written while the next one arrives. What came before a
/// body broke off is kept, so that the upload can go on from there.
Awaitable<Status> receive(Service& service, http::BodyReader& body, std::shared_ptr<Upload> upload, uint64_t most) {
  std::shared_ptr<WorkPool::Task<Status>> writing;
  std::shared_ptr<Chunk> written, spare;
  uint64_t received = 0;
  for (;;) {
    const std::shared_ptr<Chunk> chunk = co_await next_chunk(body, std::move(spare));
    if (writing) QUARRY_CO_TRY(co_await writing->wait());
    spare = std::exchange(written, chunk);
    received += chunk->bytes.size();
    if (received > most) co_return too_large();
    service.metrics.bytes_uploaded += chunk->bytes.size();
    if (!chunk->bytes.empty()) writing = service.work.start([upload, chunk] { return upload->append(chunk->bytes); });
    if (chunk->bytes.size() == kFileChunkBytes && !chunk->failure) continue;
    if (writing) QUARRY_CO_TRY(co_await writing->wait());
    if (chunk->failure) throw *chunk->failure;
    co_return Status();
  }
}

Status check_safetensors(const Upload& upload) {
  auto file =
      read_tensor_file(upload.offset(), [&](uint64_t at, std::span<std::byte> into) { return upload.read(at, into); });
  if (!file) return std::move(file).problem();
  return {};
}

Problem quota_reached(uint64_t stored, uint64_t asked) {
  return {"storage_quota",
          "the account's tensors come to " + std::to_string(stored) + " bytes of at most " +
              std::to_string(kTensorQuotaBytes) + "; " + std::to_string(asked) + " more do not fit",
          "", "DELETE tensors that are not needed; one that no job uses goes by itself after 30 days"};
}

/// Makes the file the account's, for another while.
Awaitable<Result<sql::TensorRow>> keep_tensor(Service& service, AccountId account, Digest digest, uint64_t bytes) {
  const auto keep = [account, digest, bytes](sql::ObjectStore& store) {
    const auto reached = store.put_tensor(account, digest, bytes, kTensorQuotaBytes);
    return std::pair(reached, reached ? std::nullopt : store.tensor(account, digest));
  };
  const auto [reached, row] = co_await service.database.run(keep);
  service.catalog.forget_tensor(account, digest);
  if (reached) co_return quota_reached(reached->stored_bytes, bytes);
  co_return row.value_or(sql::TensorRow{bytes, {}});
}

/// The account has the file: the body is read and dropped, unless the client waits to be told to send it.
Awaitable<http::Response> already_there(Service& service, Call& call, Digest digest, uint64_t bytes) {
  const std::string* expect = call.request.field("expect");
  if (expect == nullptr)
    for (;;) {
      const auto chunk = co_await next_chunk(*call.request.body);
      if (chunk->failure) throw *chunk->failure;
      if (chunk->bytes.empty()) break;
    }
  QUARRY_ANSWER_ASSIGN(const sql::TensorRow row, co_await keep_tensor(service, call.account, digest, bytes));
  co_return stored(200, digest, bytes, row.expires_at);
}

Awaitable<http::Response> finish_upload(Service& service, AccountId account, Digest digest,
                                        std::shared_ptr<Upload> upload) {
  const uint64_t bytes = upload->offset();
  const auto commit = [upload] { return upload->commit(check_safetensors); };
  const Status committed = co_await service.work.run(commit);
  if (!committed) co_return refusal(committed.problem());
  QUARRY_ANSWER_ASSIGN(const sql::TensorRow row, co_await keep_tensor(service, account, digest, bytes));
  co_return stored(201, digest, bytes, row.expires_at);
}

}  // namespace

Awaitable<http::Response> put_tensor(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const Digest digest, digest_of(call.arguments.at(0)));
  QUARRY_ANSWER_ASSIGN(const Part part, part_of(call.request));
  if (part.total.value_or(0) > kMaxTensorBytes) co_return refusal(too_large());
  if (const auto row = co_await service.catalog.tensor(call.account, digest))
    co_return co_await already_there(service, call, digest, row->bytes);
  const auto sum = [account = call.account](sql::ObjectStore& store) { return store.stored_bytes(account); };
  const uint64_t kept = co_await service.database.run(sum);
  if (kept + part.total.value_or(1) > kTensorQuotaBytes) co_return refusal(quota_reached(kept, part.total.value_or(1)));
  const std::string owner = call.account.uuid();
  const auto begin = [&blobs = service.blobs, owner, digest, part] {
    return blobs.begin(BlobKind::Tensor, owner, digest, part.begin, part.total.value_or(0));
  };
  auto begun = co_await service.work.run(begin);
  if (!begun) {
    auto response = refusal(begun.problem());
    if (begun.problem().code != "upload_offset") co_return response;
    co_return with_offset(std::move(response),
                          service.blobs.upload_offset(BlobKind::Tensor, owner, digest).value_or(0));
  }
  const std::shared_ptr<Upload> upload = std::move(*begun);
  const uint64_t most = part.end ? *part.end - part.begin : kMaxTensorBytes;
  Status received = co_await receive(service, *call.request.body, upload, most);
  const bool good = co_await service.keys.is_good(call.key_id);  // the body may have taken its time
  if (received.ok() && !good) received = Keys::unauthorized();
  if (!received) {
    const auto discard = [upload] { upload->discard(); };
    co_await service.work.run(discard);
    co_return refusal(received.problem());
  }
  if (part.end && upload->offset() < *part.total) {
    const auto sync = [upload] { return upload->sync(); };
    QUARRY_ANSWER_TRY(co_await service.work.run(sync));
    co_return with_offset(stored(202, digest, upload->offset(), std::nullopt), upload->offset());
  }
  co_return co_await finish_upload(service, call.account, digest, upload);
}

Awaitable<http::Response> head_tensor(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const Digest digest, digest_of(call.arguments.at(0)));
  if (const auto row = co_await service.catalog.tensor(call.account, digest)) {
    http::Response response;
    response.head_length = row->bytes;
    response.fields.emplace_back("Content-Type", "application/octet-stream");
    response.fields.emplace_back("Accept-Ranges", "bytes");
    co_return response;
  }
  const auto find = [&blobs = service.blobs, owner = call.account.uuid(), digest] {
    return blobs.upload_offset(BlobKind::Tensor, owner, digest);
  };
  const auto offset = co_await service.work.run(find);
  auto response = refusal(tensor_missing(call.arguments.at(0)));
  co_return offset ? with_offset(std::move(response), *offset) : std::move(response);
}

Awaitable<http::Response> get_tensor(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const Digest digest, digest_of(call.arguments.at(0)));
  const auto row = co_await service.catalog.tensor(call.account, digest);
  if (!row) co_return refusal(tensor_missing(call.arguments.at(0)));
  std::vector<DownloadPart> parts;
  parts.emplace_back(wire::Extent{digest, 0, row->bytes});
  co_return download(service, call.request, std::move(parts));
}

Awaitable<http::Response> delete_tensor(Service& service, Call& call) {
  QUARRY_ANSWER_ASSIGN(const Digest digest, digest_of(call.arguments.at(0)));
  const auto remove = [account = call.account, digest](sql::ObjectStore& store) {
    return store.delete_tensor(account, digest);
  };
  const bool removed = co_await service.database.run(remove);
  service.catalog.forget_tensor(call.account, digest);
  if (!removed) co_return refusal(tensor_missing(call.arguments.at(0)));
  http::Response response;
  response.status = 204;
  co_return response;
}

}  // namespace quarry::server
