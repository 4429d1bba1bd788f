// The one table of what each message holds: its fields in their order on the wire, and the bound of each. Encoding,
// decoding and the tests all walk it. `io` is an encoder or a decoder (messages.cpp).
//
// A field that a release adds stands behind `if (io.since(n))`, n being the kVersion of that release: a link of an
// older version carries it neither way, and the struct's default holds. A message that a release adds names its version
// in kMessages. What kOldestVersion has is never asked for.
#pragma once

#include <array>
#include <concepts>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

#include "wire/messages.h"

namespace quarry::wire {

template <class T, class Of>
concept Is = std::same_as<std::remove_const_t<T>, Of>;

inline constexpr size_t kMaxDevices = 64;       // of one box
inline constexpr size_t kMaxSlices = 256;       // of one device, or of one session
inline constexpr size_t kMaxRates = 64;         // entries of a rate card
inline constexpr size_t kMaxValues = 16'384;    // inputs or outputs of one job
inline constexpr size_t kMaxExtents = 131'072;  // of one input: one per segment that made it
inline constexpr int64_t kMaxStepsOnWire = (int64_t{1} << 31) - 1;
inline constexpr int64_t kMaxI64 = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kMaxI32 = std::numeric_limits<int32_t>::max();

struct MessageEntry {
  std::string_view name;
  uint32_t since = kOldestVersion;
};
/// The alternatives of Message, in its order.
inline constexpr std::array<MessageEntry, std::variant_size_v<Message>> kMessages{{
    {"hello"},
    {"welcome"},
    {"refusal"},
    {"heartbeat"},
    {"leases"},
    {"cancels"},
    {"progress"},
    {"completions"},
    {"results"},
    {"failures"},
    {"blob_get"},
    {"blob_data"},
    {"blob_put"},
    {"blob_ack"},
    {"server_hello"},
    {"scheduler_hello"},
    {"jobs_ready"},
    {"session_up"},
    {"sessions_seen"},
    {"session_down"},
    {"attempts_ended"},
    {"cancel_requested"},
    {"sessions_expired"},
    {"compiled", 2},
    {"rates", 2},
    {"session_compiled", 2},
    {"why_waiting", 2},
    {"waiting", 2},
}};

template <class M>
concept Handshake = std::same_as<M, Hello> || std::same_as<M, Welcome> || std::same_as<M, Refusal> ||
    std::same_as<M, ServerHello> || std::same_as<M, SchedulerHello>;

template <class Io>
void fields(Io& io, Is<Fence> auto& v) {
  io.number("incarnation", v.incarnation);
  io.id("job", v.job);
  io.number("segment", v.segment, kMaxI32);
  io.number("session_epoch", v.session_epoch, kMaxI64);
  io.number("attempt", v.attempt, kMaxI32);
}
template <class Io>
void fields(Io& io, Is<Extent> auto& v) {
  io.digest("blob", v.blob);
  io.number("offset", v.offset, kMaxI64);
  io.number("bytes", v.bytes, kMaxI64);
}
template <class Io>
void fields(Io& io, Is<SliceReport> auto& v) {
  io.number("index", v.index, kMaxI32);
  io.number("first_unit", v.first_unit);
  io.number("units", v.units);
  io.number("memory_bytes", v.memory_bytes, kMaxI64);
}
template <class Io>
void fields(Io& io, Is<DeviceReport> auto& v) {
  io.text("key", v.key, kMaxCodeBytes);
  io.text("name", v.name, kMaxLabelBytes);
  io.text("backend", v.backend, kMaxCodeBytes);
  io.text("driver", v.driver, kMaxLabelBytes);
  io.number("memory_bytes", v.memory_bytes, kMaxI64);
  io.number("compute_units", v.compute_units);
  io.rates("rate_card", v.rate_card, kMaxRates);
  io.list("slices", v.slices, kMaxSlices);
}
template <class Io>
void fields(Io& io, Is<SessionKey> auto& v) {
  io.id("id", v.id);
  io.number("epoch", v.epoch, kMaxI64);
}

template <class Io>
void fields(Io& io, Is<Hello> auto& v) {
  io.number("oldest_version", v.oldest_version);
  io.number("newest_version", v.newest_version);
  io.text("software", v.software, kMaxLabelBytes);
  io.optional("resume", v.resume);
  io.list("devices", v.devices, kMaxDevices);
  io.number("slots_per_slice", v.slots_per_slice, kMaxSlots);
}
template <class Io>
void fields(Io& io, Is<WelcomeSlice> auto& v) {
  io.text("device_key", v.device_key, kMaxCodeBytes);
  io.number("index", v.index, kMaxI32);
  io.id("slice", v.slice);
}
template <class Io>
void fields(Io& io, Is<Welcome> auto& v) {
  io.number("version", v.version);
  io.object("session", v.session);
  io.number("incarnation", v.incarnation);
  io.number("lease_ttl_ms", v.lease_ttl_ms);
  io.number("heartbeat_ms", v.heartbeat_ms);
  io.list("slices", v.slices, kMaxDevices * kMaxSlices);
}
template <class Io>
void fields(Io& io, Is<Refusal> auto& v) {
  io.text("code", v.code, kMaxCodeBytes);
  io.detail("detail", v.detail);
}
template <class Io>
void fields(Io& io, Is<Heartbeat> auto& v) {
  io.number("running", v.running, kMaxI32);
}

template <class Io>
void fields(Io& io, Is<ExpectedOutput> auto& v) {
  io.text("name", v.name, kMaxLabelBytes);
  io.number("bytes", v.bytes, kMaxI64);
  io.flag("carried", v.carried);
}
template <class Io>
void fields(Io& io, Is<Lease> auto& v) {
  io.object("fence", v.fence);
  io.id("session", v.session);
  io.id("slice", v.slice);
  io.digest("graph", v.graph);
  io.text("job_document", v.job_document, kMaxJobDocumentBytes);
  io.number("first_step", v.first_step, kMaxStepsOnWire);
  io.number("steps", v.steps, kMaxStepsOnWire);
  io.flag("last_segment", v.last_segment);
  io.inputs("inputs", v.inputs, kMaxValues, kMaxExtents);
  io.number("memory_bound_bytes", v.memory_bound_bytes, kMaxI64);
  io.number("time_limit_ms", v.time_limit_ms);
  if (io.since(2)) {
    io.number("tenant", v.tenant);
    io.optional_list("outputs", v.outputs, 2 * kMaxValues);
  }
}
template <class Io>
void fields(Io& io, Is<Leases> auto& v) {
  io.list("leases", v.leases, kMaxBatch);
}
template <class Io>
void fields(Io& io, Is<Cancels> auto& v) {
  io.list("fences", v.fences, kMaxBatch);
  io.text("reason", v.reason, kMaxCodeBytes);
}
template <class Io>
void fields(Io& io, Is<AttemptProgress> auto& v) {
  io.object("fence", v.fence);
  io.number("steps_done", v.steps_done, kMaxStepsOnWire);
  io.number("steps_total", v.steps_total, kMaxStepsOnWire);
  if (io.since(2)) {
    io.choice("phase", v.phase, Phase::Running);
    io.number("phase_done", v.phase_done, kMaxI64);
    io.number("phase_total", v.phase_total, kMaxI64);
  }
}
template <class Io>
void fields(Io& io, Is<Progress> auto& v) {
  io.list("attempts", v.attempts, kMaxBatch);
}
template <class Io>
void fields(Io& io, Is<Produced> auto& v) {
  io.text("name", v.name, kMaxLabelBytes);
  io.digest("blob", v.blob);
  io.number("bytes", v.bytes, kMaxI64);
  io.optional_bytes("inline_bytes", v.inline_bytes, kMaxInlineOutputBytes);
}
template <class Io>
void fields(Io& io, Is<Completion> auto& v) {
  io.object("fence", v.fence);
  io.list("kept", v.kept, kMaxValues);
  io.list("carried", v.carried, kMaxValues);
  io.number("device_ns", v.device_ns, kMaxI64);
  io.number("compile_ns", v.compile_ns, kMaxI64);
  io.real("energy_joules", v.energy_joules);
  io.text("schedules_hash", v.schedules_hash, kMaxLabelBytes);
}
template <class Io>
void fields(Io& io, Is<Completions> auto& v) {
  io.list("completions", v.completions, kMaxBatch);
}
template <class Io>
void fields(Io& io, Is<CompletionResult> auto& v) {
  io.object("fence", v.fence);
  io.flag("accepted", v.accepted);
  io.text("code", v.code, kMaxCodeBytes);
}
template <class Io>
void fields(Io& io, Is<CompletionResults> auto& v) {
  io.list("results", v.results, kMaxBatch);
}
template <class Io>
void fields(Io& io, Is<AttemptFailure> auto& v) {
  io.object("fence", v.fence);
  io.text("code", v.code, kMaxCodeBytes);
  io.detail("detail", v.detail);
}
template <class Io>
void fields(Io& io, Is<Failures> auto& v) {
  io.list("failures", v.failures, kMaxBatch);
}

template <class Io>
void fields(Io& io, Is<BlobGet> auto& v) {
  io.number("request", v.request);
  io.digest("blob", v.blob);
  io.flag("graph", v.graph);
  io.number("offset", v.offset, kMaxI64);
  io.number("bytes", v.bytes, kMaxBlobPartBytes);
}
template <class Io>
void fields(Io& io, Is<BlobData> auto& v) {
  io.number("request", v.request);
  io.number("total_bytes", v.total_bytes, kMaxI64);
  io.bytes("bytes", v.bytes, kMaxBlobPartBytes);
  io.detail("error", v.error);
}
template <class Io>
void fields(Io& io, Is<BlobPut> auto& v) {
  io.number("request", v.request);
  io.digest("blob", v.blob);
  io.number("total_bytes", v.total_bytes, kMaxI64);
  io.number("offset", v.offset, kMaxI64);
  io.bytes("bytes", v.bytes, kMaxBlobPartBytes);
}
template <class Io>
void fields(Io& io, Is<BlobAck> auto& v) {
  io.number("request", v.request);
  io.flag("stored", v.stored);
  io.detail("error", v.error);
}

template <class Io>
void fields(Io& io, Is<ServerHello> auto& v) {
  io.text("server", v.server, kMaxLabelBytes);
  io.number("oldest_version", v.oldest_version);
  io.number("newest_version", v.newest_version);
}
template <class Io>
void fields(Io& io, Is<SchedulerHello> auto& v) {
  io.number("version", v.version);
  io.number("leader_epoch", v.leader_epoch, kMaxI64);
}
template <class Io>
void fields(Io& io, Is<ReadyJob> auto& v) {
  io.id("job", v.job);
  io.id("account", v.account);
  io.number("segment", v.segment, kMaxI32);
  io.number("submitted_at_us", v.submitted_at_us, kMaxI64);
  io.number("memory_bound_bytes", v.memory_bound_bytes, kMaxI64);
  io.number("dtypes", v.dtypes);
  io.number("metered_pflop_micros", v.metered_gflop);  // the name that version 1 gave it
  if (io.since(2)) io.number("graph", v.graph);
}
template <class Io>
void fields(Io& io, Is<JobsReady> auto& v) {
  io.list("jobs", v.jobs, kMaxBatch);
}
template <class Io>
void fields(Io& io, Is<SessionSlice> auto& v) {
  io.id("slice", v.slice);
  io.number("memory_bytes", v.memory_bytes, kMaxI64);
  io.number("dtypes", v.dtypes);
  io.number("slots", v.slots, kMaxSlots);
  if (io.since(2)) io.real("flops_per_s", v.flops_per_s);
}
template <class Io>
void fields(Io& io, Is<SessionUp> auto& v) {
  io.object("session", v.session);
  io.id("box", v.box);
  io.id("owner", v.owner);
  io.list("slices", v.slices, kMaxDevices * kMaxSlices);
}
template <class Io>
void fields(Io& io, Is<SessionsSeen> auto& v) {
  io.list("sessions", v.sessions, kMaxBatch);
}
template <class Io>
void fields(Io& io, Is<SessionDown> auto& v) {
  io.object("session", v.session);
}
template <class Io>
void fields(Io& io, Is<AttemptEnded> auto& v) {
  io.object("fence", v.fence);
  io.id("session", v.session);
  io.flag("accepted", v.accepted);
  io.text("code", v.code, kMaxCodeBytes);
  io.optional("next", v.next);
  if (io.since(2)) io.number("compile_ms", v.compile_ms);
}
template <class Io>
void fields(Io& io, Is<AttemptsEnded> auto& v) {
  io.list("attempts", v.attempts, kMaxBatch);
}
template <class Io>
void fields(Io& io, Is<CancelRequested> auto& v) {
  io.ids("jobs", v.jobs, kMaxBatch);
}
template <class Io>
void fields(Io& io, Is<SessionsExpired> auto& v) {
  io.list("sessions", v.sessions, kMaxBatch);
}

template <class Io>
void fields(Io& io, Is<Compiled> auto& v) {
  io.digests("graphs", v.graphs, kMaxCompiledGraphs);
}
template <class Io>
void fields(Io& io, Is<Rates> auto& v) {
  io.text("device_key", v.device_key, kMaxCodeBytes);
  io.rates("rate_card", v.rate_card, kMaxRates);
}
template <class Io>
void fields(Io& io, Is<SessionCompiled> auto& v) {
  io.object("session", v.session);
  io.numbers("graphs", v.graphs, kMaxCompiledGraphs);
}
template <class Io>
void fields(Io& io, Is<WhyWaiting> auto& v) {
  io.number("request", v.request);
  io.id("job", v.job);
}
template <class Io>
void fields(Io& io, Is<Waiting> auto& v) {
  io.number("request", v.request);
  io.text("code", v.code, kMaxCodeBytes);
  io.detail("detail", v.detail);
}

/// The list of a message that is a batch, and so may be sent as several frames.
auto& batch_of(Is<Leases> auto& m) {
  return m.leases;
}
auto& batch_of(Is<Cancels> auto& m) {
  return m.fences;
}
auto& batch_of(Is<Progress> auto& m) {
  return m.attempts;
}
auto& batch_of(Is<Completions> auto& m) {
  return m.completions;
}
auto& batch_of(Is<CompletionResults> auto& m) {
  return m.results;
}
auto& batch_of(Is<Failures> auto& m) {
  return m.failures;
}
auto& batch_of(Is<JobsReady> auto& m) {
  return m.jobs;
}
auto& batch_of(Is<SessionsSeen> auto& m) {
  return m.sessions;
}
auto& batch_of(Is<AttemptsEnded> auto& m) {
  return m.attempts;
}
auto& batch_of(Is<CancelRequested> auto& m) {
  return m.jobs;
}
auto& batch_of(Is<SessionsExpired> auto& m) {
  return m.sessions;
}

template <class M>
concept Batch = requires(M& message) {
  batch_of(message).size();
};

}  // namespace quarry::wire
