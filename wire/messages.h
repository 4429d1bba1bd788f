// The versioned messages between worker and server, and between server and scheduler. Each frame on a link is a 4-byte
// big-endian length and one CBOR map {"t": type, ...fields}. Every field is checked and bounded on decode; an unknown
// type or field is a Problem.
//
//   worker -> server   Hello, Heartbeat, Progress, Completions, Failures, BlobGet, BlobPut, Compiled, Rates
//   server -> worker   Welcome, Leases, Cancels, CompletionResults, BlobData, BlobAck, Refusal
//   server -> scheduler ServerHello, JobsReady, SessionUp, SessionsSeen, SessionDown, AttemptsEnded, CancelRequested,
//                       SessionCompiled, WhyWaiting
//   scheduler -> server SchedulerHello, Leases, Cancels, SessionsExpired, Waiting
//
// Both sides of a link name the versions that they speak, and the link then uses the newest that both know: a field or
// a message of a newer version is not sent, and a field that did not come keeps its default. The messages that agree on
// the version (Hello, Welcome, ServerHello, SchedulerHello, Refusal) have the form of kOldestVersion for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/id.h"
#include "common/result.h"
#include "common/sha256.h"

namespace quarry::wire {

inline constexpr uint32_t kVersion = 2;        ///< newest spoken here
inline constexpr uint32_t kOldestVersion = 1;  ///< oldest still understood
inline constexpr size_t kMaxFrameBytes = 8 << 20;
inline constexpr size_t kFramePrefixBytes = 4;  ///< the length in front of each frame
inline constexpr size_t kMaxBlobPartBytes = 1 << 20;
inline constexpr size_t kMaxInlineOutputBytes = 16 << 10;  ///< outputs up to this size travel inside the completion
inline constexpr size_t kMaxBatch = 2'000;
inline constexpr size_t kMaxJobDocumentBytes = 4 << 20;  ///< a lease carries its job's document in one frame
/// Of a failure's or refusal's text; longer ones are clipped when sent.
inline constexpr size_t kMaxDetailBytes = 2'048;
inline constexpr size_t kMaxCodeBytes = 64;        ///< failure codes, backend names, device keys
inline constexpr size_t kMaxLabelBytes = 256;      ///< names of devices, drivers, software, inputs, outputs
inline constexpr int32_t kMaxSlots = 1'024;        ///< leases in flight per slice
inline constexpr size_t kMaxCompiledGraphs = 256;  ///< that a session says it has compiled: its latest ones

/// Names one attempt for ever: PostgreSQL refuses a completion whose fence is not the job's current one.
struct Fence {
  uint64_t incarnation = 0;  ///< of the cluster; renewed at each restore
  JobId job;
  int32_t segment = 0;
  int64_t session_epoch = 0;
  int32_t attempt = 0;
  auto operator<=>(const Fence&) const = default;
};

/// A range of a stored blob; an input is the concatenation of its extents.
struct Extent {
  Digest blob{};
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct SliceReport {
  int32_t index = 0;  ///< within the device
  uint32_t first_unit = 0, units = 0;
  uint64_t memory_bytes = 0;
};
struct DeviceReport {
  std::string key;  ///< stable on the box, e.g. "opencl:0"
  std::string name, backend, driver;
  uint64_t memory_bytes = 0;
  uint32_t compute_units = 0;
  std::map<std::string, double> rate_card;  ///< "f32_flops_per_s", "bytes_per_s", "watts": measured at start
  std::vector<SliceReport> slices;
};
struct SessionKey {
  SessionId id;
  int64_t epoch = 0;
  auto operator<=>(const SessionKey&) const = default;
};

struct Hello {
  uint32_t oldest_version = kOldestVersion, newest_version = kVersion;
  std::string software;
  std::optional<SessionKey> resume;
  std::vector<DeviceReport> devices;
  int32_t slots_per_slice = 1;  ///< leases in flight per slice
};
struct WelcomeSlice {
  std::string device_key;
  int32_t index = 0;
  SliceId slice;
};
struct Welcome {
  uint32_t version = kVersion;
  SessionKey session;
  uint64_t incarnation = 0;
  uint32_t lease_ttl_ms = 0, heartbeat_ms = 0;
  std::vector<WelcomeSlice> slices;
};
struct Refusal {
  std::string code, detail;
};
struct Heartbeat {
  int32_t running = 0;
};

/// One value that the completion of a segment must bring, neither more nor less.
struct ExpectedOutput {
  std::string name;  ///< output name for kept values, input name for carried ones
  uint64_t bytes = 0;
  bool carried = false;
};
/// One segment of a job to run: everything but the bytes. The same lease may come again (after a reconnection, or a
/// scheduler's restart): a worker that knows its fence, running or done, ignores the repeat.
struct Lease {
  Fence fence;
  SessionId session;
  SliceId slice;
  Digest graph{};                     ///< graph id; its CBOR is fetched as BlobGet{graph = true}
  std::string job_document;           ///< JSON as docs/api.md, the client's own
  int64_t first_step = 0, steps = 0;  ///< of this segment
  bool last_segment = true;
  std::map<std::string, std::vector<Extent>> inputs;  ///< plain inputs, feeds, and carried inputs' values at first_step
  uint64_t memory_bound_bytes = 0;
  uint32_t time_limit_ms = 0;  ///< 60 s + 20 times the predicted time
  /// Since version 2. The renter's account as this box knows it: leases with the same number are one account's, and no
  /// other box knows it by that number. Leases that wait on a slice take turns by it.
  uint64_t tenant = 0;
  /// Since version 2. nullopt: the job was submitted before its outputs were stored with it.
  std::optional<std::vector<ExpectedOutput>> outputs;
};
struct Leases {
  std::vector<Lease> leases;
};
struct Cancels {
  std::vector<Fence> fences;
  std::string reason;
};
enum class Phase : uint8_t { Fetching, Compiling, Running };
struct AttemptProgress {
  Fence fence;
  int64_t steps_done = 0, steps_total = 0;
  Phase phase = Phase::Running;              ///< since version 2, as the next two
  uint64_t phase_done = 0, phase_total = 0;  ///< of Compiling: kernels
};
struct Progress {
  std::vector<AttemptProgress> attempts;
};

/// A produced value: raw bytes by hash; small ones travel in `inline_bytes`, others were put as blobs before.
struct Produced {
  std::string name;  ///< output name for kept values, input name for carried ones
  Digest blob{};
  uint64_t bytes = 0;
  std::optional<std::vector<std::byte>> inline_bytes;
};
struct Completion {
  Fence fence;
  std::vector<Produced> kept;
  std::vector<Produced> carried;  ///< only when this is not the last segment
  uint64_t device_ns = 0, compile_ns = 0;
  double energy_joules = 0;  ///< 0 when the device does not measure
  std::string schedules_hash;
};
struct Completions {
  std::vector<Completion> completions;
};
struct CompletionResult {
  Fence fence;
  bool accepted = false;
  std::string code;  ///< "accepted", "already_accepted", "stale_fence", "blob_missing", "rejected"
};
struct CompletionResults {
  std::vector<CompletionResult> results;
};
struct AttemptFailure {
  Fence fence;
  std::string code;    ///< a typed failure: "device_error", "graph_error", "out_of_memory", "executor_crashed",
                       ///< "time_limit", "cancelled"
  std::string detail;  ///< for the renter; no paths or secrets
};
struct Failures {
  std::vector<AttemptFailure> failures;
};

struct BlobGet {
  uint64_t request = 0;
  Digest blob{};
  bool graph = false;              ///< `blob` is a graph id
  uint64_t offset = 0, bytes = 0;  ///< at most kMaxBlobPartBytes
};
struct BlobData {
  uint64_t request = 0;
  uint64_t total_bytes = 0;
  std::vector<std::byte> bytes;
  std::string error;  ///< "not_found" or empty
};
/// Parts of one blob arrive in order; the server verifies the hash with the last part and answers each part.
struct BlobPut {
  uint64_t request = 0;
  Digest blob{};
  uint64_t total_bytes = 0, offset = 0;
  std::vector<std::byte> bytes;
};
struct BlobAck {
  uint64_t request = 0;
  bool stored = false;  ///< the whole blob is durable
  std::string error;    ///< "hash_mismatch", "no_space", ... or empty
};

/// The graphs whose kernels this box has compiled and kept, the latest last; each message adds to the ones before.
struct Compiled {
  std::vector<Digest> graphs;
};
/// The figures of a device, measured again.
struct Rates {
  std::string device_key;
  std::map<std::string, double> rate_card;
};

struct ServerHello {
  std::string server;
  uint32_t oldest_version = kOldestVersion, newest_version = kVersion;
};
struct SchedulerHello {
  uint32_t version = kVersion;
  int64_t leader_epoch = 0;
};
/// What the scheduler needs to know to place one segment.
struct ReadyJob {
  JobId job;
  AccountId account;
  int32_t segment = 0;
  int64_t submitted_at_us = 0;
  uint64_t memory_bound_bytes = 0;
  uint32_t dtypes = 0;         ///< bit per graph::DType
  uint64_t metered_gflop = 0;  ///< size of the segment in 10^9 metered FLOPs, for predictions only
  uint64_t graph = 0;          ///< since version 2: the first 8 bytes of the graph's id; 0: unknown
};
struct JobsReady {
  std::vector<ReadyJob> jobs;
};
struct SessionSlice {
  SliceId slice;
  uint64_t memory_bytes = 0;
  uint32_t dtypes = 0;
  int32_t slots = 1;
  double flops_per_s = 0;  ///< since version 2, for predictions only; 0: unknown
};
/// When a session opens or resumes here, and for each open session when the link to a scheduler is made. The session's
/// leases in flight are sent again in answer.
struct SessionUp {
  SessionKey session;
  BoxId box;
  AccountId owner;
  std::vector<SessionSlice> slices;
};
struct SessionsSeen {
  std::vector<SessionKey> sessions;
};
struct SessionDown {
  SessionKey session;  ///< its connection closed: a hint, the lease still runs
};
struct AttemptEnded {
  Fence fence;
  SessionId session;
  bool accepted = false;
  std::string code;              ///< failure code when not accepted
  std::optional<ReadyJob> next;  ///< the job's next segment, when there is one
  uint32_t compile_ms = 0;       ///< since version 2: what compiling took, 0 when nothing was compiled
};
struct AttemptsEnded {
  std::vector<AttemptEnded> attempts;
};
struct CancelRequested {
  std::vector<JobId> jobs;
};
struct SessionsExpired {
  std::vector<SessionKey> sessions;
};
/// The graphs that a session has compiled, as ReadyJob names them; each message adds to the ones before.
struct SessionCompiled {
  SessionKey session;
  std::vector<uint64_t> graphs;
};
/// A server asks why a job waits; Waiting answers with the same request.
struct WhyWaiting {
  uint64_t request = 0;
  JobId job;
};
struct Waiting {
  uint64_t request = 0;
  std::string code, detail;  ///< scheduler::Explanation
};

using Message = std::variant<Hello, Welcome, Refusal, Heartbeat, Leases, Cancels, Progress, Completions,
                             CompletionResults, Failures, BlobGet, BlobData, BlobPut, BlobAck, ServerHello,
                             SchedulerHello, JobsReady, SessionUp, SessionsSeen, SessionDown, AttemptsEnded,
                             CancelRequested, SessionsExpired, Compiled, Rates, SessionCompiled, WhyWaiting, Waiting>;

/// The CBOR map without its length, as a link of this version carries it. A value past its bound (fields.h) is the
/// sender's bug: std::length_error names the field. The version must know the message.
std::vector<std::byte> encode(const Message& message, uint32_t version = kVersion);
/// A batch too large for one frame, or of more than kMaxBatch items, becomes several. Each is ready to be sent, its
/// length in front. None for a message that is newer than the version: the peer does without it.
std::vector<std::vector<std::byte>> encode_frames(const Message& message, uint32_t version = kVersion);
/// `frame` is hostile: text is valid UTF-8 without NUL, numbers and lists are within their bounds, nothing follows, or
/// it is a Problem that points at the field.
Result<Message> decode(std::span<const std::byte> frame, uint32_t version = kVersion);

/// The newest version that both sides speak; nullopt: none.
std::optional<uint32_t> agreed_version(uint32_t peer_oldest, uint32_t peer_newest);

}  // namespace quarry::wire
