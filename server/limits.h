// Every limit on what a client, a worker or a peer can make this process do, in one place
// (docs/api.md). Each is refused by name. Limits on graphs and jobs are in engine/graph/limits.h; those on frames
// between programs in wire/messages.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace quarry::server {

// --- one HTTP request ---
inline constexpr size_t kMaxHeadBytes = 16 << 10;  ///< request line and fields together
inline constexpr size_t kMaxFields = 64;
inline constexpr size_t kMaxTargetBytes = 4 << 10;
inline constexpr size_t kMaxJsonBytes = 8 << 20;
inline constexpr size_t kMaxOpenJsonBytes = 64 << 10;  ///< of a request that needs no key
inline constexpr size_t kMaxGraphBytes = 128 << 20;    ///< equal to graph::kMaxTextBytes; asserted in api/graphs.cpp
inline constexpr size_t kMaxJobsPerRequest = 1'000;
inline constexpr size_t kMaxIdempotencyKeyBytes = 255;
inline constexpr int32_t kMaxPageSize = 200;
inline constexpr int32_t kDefaultPageSize = 50;
inline constexpr std::chrono::seconds kMaxWait{60};        ///< of ?wait=
inline constexpr size_t kMaxInlineResultBytes = 64 << 10;  ///< in one answer to ?results=inline

// --- stored bytes ---
inline constexpr uint64_t kMaxTensorBytes = uint64_t{256} << 30;
inline constexpr uint64_t kMaxResultBytes = uint64_t{64} << 30;  ///< kept outputs of one job
/// Of the blob directory's disk: below it uploads get 507.
inline constexpr uint64_t kKeepFreeBytes = uint64_t{1} << 30;
/// Between two readings of what the open jobs will store, and before a refusal reads it again (blobs/result_room.h).
inline constexpr std::chrono::seconds kRoomMeasuredEvery{60}, kRoomMeasuredAgain{1};
inline constexpr int kNoSpaceRetrySeconds = 30;
/// Tensors of one account. Results are paid for until they expire and do not count.
inline constexpr uint64_t kTensorQuotaBytes = uint64_t{2} << 40;
/// A tensor that a job or quote names, or that is put again, is kept for its full time again when a day of it is over.
inline constexpr std::chrono::hours kRenewTensorAfter{24};
inline constexpr std::chrono::seconds kTensorCacheTime{1};  ///< how long a deleted tensor may still be seen here
inline constexpr size_t kMaxUploadsPerAccount = 64;         ///< unfinished ones; the oldest that rests gives way
inline constexpr std::chrono::hours kUploadLifetime{24};    ///< of an unfinished upload after its last byte
inline constexpr size_t kFileChunkBytes = 256 << 10;        ///< what is held in memory of a tensor under way
inline constexpr size_t kBufferedBodyBytes = 512 << 20;     ///< request bodies in memory at once, of all connections
inline constexpr size_t kBufferedBodyBytesPerAccount = 192 << 20;  ///< of them: one of the largest graphs and others

// --- jobs ---
inline constexpr int64_t kMaxSegments = 1'000'000;

// --- time (a test may shorten it) ---
struct TimeLimits {
  std::chrono::milliseconds handshake{10'000};
  std::chrono::milliseconds head{10'000};          ///< from a request's first byte to the end of its head
  std::chrono::milliseconds idle{75'000};          ///< between requests of a kept-alive connection
  std::chrono::milliseconds body_gap{30'000};      ///< between two reads of a body, and for one written chunk
  std::chrono::milliseconds rate_grace{30'000};    ///< a body may be slower than kMinBodyBytesPerSecond for this long
  std::chrono::milliseconds drain{10'000};         ///< for requests in flight at a graceful stop
  std::chrono::milliseconds housekeeping{60'000};  ///< between two looks for what is to be removed
  /// A file stays so long after the last row that named it went: what was planned meanwhile still finds it.
  std::chrono::milliseconds blob_grace{3'600'000};
};
inline constexpr uint64_t kMinBodyBytesPerSecond = 1'000;
/// The rest of a refused body that is read and dropped so that the connection can be kept.
inline constexpr size_t kDroppedBytes = 1 << 20;
/// Read and dropped, undeciphered, before a connection closes: a client that first sends its whole body must still find
/// the answer. Over kMaxJsonBytes, so that one who sends a little too much learns it.
inline constexpr size_t kLingerBytes = 16 << 20;
inline constexpr std::chrono::seconds kLingerGap{2};    ///< between two reads of it
inline constexpr std::chrono::seconds kLingerTime{10};  ///< for all of it
inline constexpr std::chrono::minutes kQuoteLifetime{15};
inline constexpr std::chrono::milliseconds kKeyCacheTime{1'000};  ///< how long a revoked key may still work here

// --- how many ---
/// Of HTTPS connections. Where there is no room, those that only wait give way (http/connection_table.h).
struct ConnectionLimits {
  size_t total = 10'000;
  size_t per_network = 1'024;  ///< one IPv4 address, or 64 bits of an IPv6 address
};
/// Descriptors that are not for HTTPS connections: files, the database, workers.
inline constexpr size_t kOtherDescriptors = 1'024;
inline constexpr size_t kMaxConnectionsPerKey = 256;
inline constexpr size_t kMaxEventStreams = 1'000;
inline constexpr size_t kMaxEventStreamsPerAccount = 200;
inline constexpr size_t kMaxGateUploadsPerLink = 64;

/// A token bucket's refill per second and its size.
struct Rate {
  double per_second;
  double burst;
};
inline constexpr Rate kRatePerKey{10'000, 20'000};
inline constexpr Rate kRatePerAccount{20'000, 40'000};
inline constexpr Rate kRatePerAddress{20'000, 40'000};  ///< of requests that need no key
inline constexpr Rate kRateOfFailedSignIns{20, 200};    ///< per address: guesses of keys and claim codes
inline constexpr size_t kMaxBuckets = 100'000;          ///< remembered at once; the fullest are forgotten first

}  // namespace quarry::server
