// How an agent comes to serve: executors start, the device is measured once, the gate is dialled.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "wire/cbor.h"
#include "worker/agent.h"

namespace quarry::worker {
namespace {

using wire::kMaxCodeBytes, wire::kMaxLabelBytes;
constexpr const char* kSoftware = "quarry-worker 0.1.0";

void log_sandbox(const Ready& ready) {
  for (const SandboxLayer& layer : ready.sandbox) {
    if (!layer.applied)
      spdlog::warn("the executor runs without one layer of its sandbox, {}: {}",
                   wire::clip_text(layer.name, kMaxLabelBytes), wire::clip_text(layer.detail, kMaxLabelBytes));
  }
}

}  // namespace

Agent::Agent(boost::asio::io_context& io, AgentOptions options, BlobCache& cache, RandomSource& random,
             Handlers handlers)
    : io_(io),
      options_(std::move(options)),
      cache_(cache),
      handlers_(std::move(handlers)),
      gate_(io, options_.gate, options_.tls, random,
            {[this] { return make_hello(); },
             [this](const wire::Welcome& welcome, bool resumed) { session(welcome, resumed); },
             [this](wire::Message message) { received(std::move(message)); },
             [this] { return static_cast<int32_t>(attempts_.size()); }}),
      fetcher_(cache, [this](const wire::Message& message) { return gate_.send(message); }),
      uploader_([this](const wire::Message& message) { return gate_.send(message); }),
      ready_(options_.slices.size()),
      progress_timer_(io),
      drain_limit_(io),
      measure_timer_(io) {
  for (size_t i = 0; i < options_.slices.size(); ++i)
    slices_.push_back(std::make_unique<Slice>(io, options_.slices[i], slice_handlers(i)));
}

Slice::Handlers Agent::slice_handlers(size_t slice) {
  Slice::Handlers handlers;
  handlers.on_ready = [this, slice](const Ready& ready) { slice_ready(slice, ready); };
  handlers.on_cannot_serve = [this](const std::string& detail) {
    spdlog::error("the executor cannot serve: {}", detail);
    if (!dialled_) handlers_.on_fatal(detail);  // later it is tried again: a driver may be under repair
  };
  handlers.on_progress = [this](const JobProgress& progress) { progressed(progress); };
  handlers.on_done = [this](uint64_t ticket, LocalResult result) { finished(ticket, std::move(result)); };
  handlers.on_failed = [this](uint64_t ticket, const std::string& code, const std::string& detail) {
    failed(ticket, code, detail);
  };
  handlers.on_calibrated = [this](const Calibrated& figures) { calibrated(figures); };
  return handlers;
}

void Agent::start() {
  for (const auto& slice : slices_) slice->start();
}

void Agent::slice_ready(size_t slice, const Ready& ready) {
  if (!ready_[slice]) {
    ready_[slice] = ready;
    spdlog::info("slice {} of {} is {} ({}), {} units, {} MiB", slice, options_.device_key,
                 wire::clip_text(ready.device_name, kMaxLabelBytes), wire::clip_text(ready.backend, kMaxCodeBytes),
                 ready.compute_units, ready.memory_bytes >> 20);
    log_sandbox(ready);
  }
  if (slice == 0 && !rate_card_) {
    rate_card_ = load_rate_card(options_.rate_card_file, rate_card_subject(options_.device_key, ready));
    if (rate_card_) {
      measure_later();
    } else {
      spdlog::info("measuring the rate card of {}", options_.device_key);
      slices_[0]->calibrate(false);
    }
  }
  dial_when_ready();
}

void Agent::calibrated(const Calibrated& figures) {
  const bool is_first = !rate_card_;
  if (is_first) rate_card_.emplace();
  const bool rose = raise_to(*rate_card_, rate_card_of(figures));
  if (is_first || rose) {
    const auto rate = [this](const char* name) { return rate_card_->count(name) != 0 ? rate_card_->at(name) : 0.0; };
    spdlog::info("{}: {:.3g} f32 FLOP/s, {:.3g} bytes/s, {:.3g} launches/s", options_.device_key,
                 rate("f32_flops_per_s"), rate("bytes_per_s"), rate("launches_per_s"));
    const auto saved =
        save_rate_card(options_.rate_card_file, rate_card_subject(options_.device_key, *ready_[0]), *rate_card_);
    if (!saved.ok()) spdlog::warn("the rate card is measured again at the next start: {}", saved.problem().detail);
  }
  if (rose && !is_first) gate_.send(wire::Rates{options_.device_key, *rate_card_});
  if (is_first) measure_later();
  dial_when_ready();
}

/// Measures again when the device is idle. A job that comes meanwhile waits for one rate.
void Agent::measure_later() {
  constexpr std::chrono::milliseconds kLookAgain{5'000};
  const std::chrono::milliseconds pause = options_.next_measurement(measurements_);
  measure_timer_.expires_after(measure_due_ ? std::min(kLookAgain, pause) : pause);
  measure_timer_.async_wait([this](boost::system::error_code error) {
    if (error || draining_) return;
    measure_due_ = !idle();
    if (!measure_due_) {
      ++measurements_;
      slices_[0]->calibrate(true);
    }
    measure_later();
  });
}

void Agent::dial_when_ready() {
  const bool all = std::all_of(ready_.begin(), ready_.end(), [](const auto& ready) { return ready.has_value(); });
  if (!all || !rate_card_ || dialled_) return;
  dialled_ = true;
  gate_.start();
}

wire::Hello Agent::make_hello() const {
  const Ready& first = *ready_[0];
  wire::DeviceReport device;
  device.key = options_.device_key;
  device.name = wire::clip_text(first.device_name, kMaxLabelBytes);
  device.backend = wire::clip_text(first.backend, kMaxCodeBytes);
  device.driver = wire::clip_text(first.driver, kMaxLabelBytes);
  device.rate_card = *rate_card_;
  for (size_t i = 0; i < slices_.size(); ++i) {
    const ExecutorSpec& spec = options_.slices[i];
    device.slices.push_back(
        {static_cast<int32_t>(i), spec.first_unit, ready_[i]->compute_units, ready_[i]->memory_bytes});
    device.compute_units += ready_[i]->compute_units;
    device.memory_bytes += ready_[i]->memory_bytes;
  }
  wire::Hello hello;
  hello.software = kSoftware;
  hello.devices.push_back(std::move(device));
  hello.slots_per_slice = options_.slots_per_slice;
  return hello;
}

}  // namespace quarry::worker
