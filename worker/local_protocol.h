// What agent and executor say to each other over their inherited socket pair (AF_UNIX, SOCK_SEQPACKET: one message a
// packet).
//
// Neither side trusts a byte of the other: the executor runs a renter's graph and may be taken over by a driver's bug,
// so the agent checks every field; the executor checks the agent's because it costs nothing. Bytes travel as
// descriptors (SCM_RIGHTS): blobs to the executor read-only, large outputs back as memory files. A message too large
// for one packet travels in a memory file too.
//
//   agent -> executor   AttachBlobs*, StartJob, CancelJob, Calibrate; end of file means: exit
//   executor -> agent   Ready | CannotServe, then JobProgress*, JobOutput*, JobDone | JobFailed, Calibrated
//
// Tenants take turns, and the jobs of one run in the order of their StartJob. JobStarted says which one runs now; it
// ends, with exactly one JobDone or JobFailed, before the next is started.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/result.h"
#include "common/sha256.h"
#include "worker/file_descriptor.h"

namespace quarry::worker {

inline constexpr size_t kMaxPacketBytes = 64 << 10;  ///< below the kernel's default socket buffer of 208 KiB
inline constexpr size_t kMaxLocalMessageBytes = size_t{64} << 20;
inline constexpr size_t kMaxDescriptors = 64;      ///< of one packet; the kernel allows 253
inline constexpr size_t kMaxBlobsPerJob = 32'768;  ///< each is one mapping; the kernel allows 65,530
inline constexpr size_t kMaxExtentsPerInput = 1 << 20;
inline constexpr size_t kMaxLocalInlineBytes = 16 << 10;  ///< of one output inside JobDone
inline constexpr size_t kMaxDetailBytes = 1'000;

// --- agent -> executor ---
/// Appends the packet's descriptors to the blobs of a job that is about to start. Blob 0 is the graph's CBOR.
struct AttachBlobs {
  uint64_t ticket = 0;
};
struct LocalExtent {
  uint32_t blob = 0;  ///< index into the attached blobs
  uint64_t offset = 0, bytes = 0;
};
struct LocalInput {
  std::string name;
  std::vector<LocalExtent> extents;
};
struct StartJob {
  uint64_t ticket = 0;
  Digest graph{};
  std::string job_document;
  int64_t first_step = 0, steps = 0;
  bool last_segment = true;
  uint64_t memory_bound_bytes = 0;
  std::vector<LocalInput> inputs;
  uint64_t tenant = 0;  ///< wire::Lease::tenant
};
struct CancelJob {
  uint64_t ticket = 0;
};
/// Measures the device's rate card, or of it only what placing needs, which takes a second less at a start.
struct Calibrate {
  bool whole = true;
};

// --- executor -> agent ---
struct SandboxLayer {
  std::string name;
  bool applied = false;
  std::string detail;  ///< why it was refused
};
struct Ready {
  std::string device_name, backend, driver;
  uint64_t memory_bytes = 0;
  uint32_t compute_units = 0;
  std::vector<SandboxLayer> sandbox;
};
struct CannotServe {
  std::string detail;
};
struct JobStarted {
  uint64_t ticket = 0;
};
/// What a job does now, in this order. One whose program was compiled before starts with Running, which nothing tells.
enum class JobPhase : uint8_t {
  Compiling,  ///< the texts of its kernels; nothing of the graph runs yet
  FirstStep,  ///< each kernel runs for the first time, which is when some drivers compile
  Running,
};
struct JobProgress {
  uint64_t ticket = 0;
  JobPhase phase = JobPhase::Running;
  int64_t done = 0, total = 0;  ///< kernels, or steps when it is running
};
/// One output as a memory file: the packet's only descriptor.
struct JobOutput {
  uint64_t ticket = 0;
  bool carried = false;
  std::string name;
  uint64_t bytes = 0;
};
struct InlineOutput {
  bool carried = false;
  std::string name;
  std::vector<std::byte> bytes;
};
struct JobDone {
  uint64_t ticket = 0;
  std::vector<InlineOutput> outputs;
  uint64_t device_ns = 0, compile_ns = 0;
};
struct JobFailed {
  uint64_t ticket = 0;
  std::string code, detail;
};
/// A rate that the device does not have, or that was not measured, is 0.
struct Calibrated {
  double f16_flops_per_s = 0, f32_flops_per_s = 0, f64_flops_per_s = 0, bytes_per_s = 0, launches_per_s = 0;
};

using ToExecutor = std::variant<AttachBlobs, StartJob, CancelJob, Calibrate>;
using FromExecutor =
    std::variant<Ready, CannotServe, JobProgress, JobOutput, JobDone, JobFailed, Calibrated, JobStarted>;

std::vector<std::byte> encode(const ToExecutor& message);
std::vector<std::byte> encode(const FromExecutor& message);
/// Problems have the code "local_protocol". Trailing bytes are refused.
Result<ToExecutor> decode_to_executor(std::span<const std::byte> bytes);
Result<FromExecutor> decode_from_executor(std::span<const std::byte> bytes);

// --- packets ---
struct Packet {
  std::vector<std::byte> bytes;  ///< of one encoded message
  std::vector<FileDescriptor> descriptors;
};

/// Both ends of a new socket pair, close-on-exec.
Result<std::pair<FileDescriptor, FileDescriptor>> make_local_pair();

/// Sends one packet. False: the buffer is full and `wait` was not asked for; the packet is unchanged and can be sent
/// again.
Result<bool> send_packet(int socket, Packet& packet, bool wait);

/// nullopt: nothing is there and `wait` was not asked for. Problem "closed": the peer is gone. Any other Problem: the
/// peer broke the protocol.
Result<std::optional<Packet>> receive_packet(int socket, bool wait);

}  // namespace quarry::worker
