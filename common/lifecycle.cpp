#include "common/lifecycle.h"

namespace quarry {
namespace {

constexpr std::array<std::string_view, 8> kJobStates{"held",      "queued", "running",   "checking",
                                                     "succeeded", "failed", "cancelled", "expired"};
constexpr std::array<std::string_view, 8> kAttemptStates{"leased",   "running", "delivered", "accepted",
                                                         "rejected", "failed",  "lost",      "cancelled"};
constexpr std::array<std::string_view, 14> kEndReasons{
    "succeeded",          "cancelled",    "deadline_passed", "budget_stop", "graph_error",
    "attempts_exhausted", "rental_ended", "service_fault",   "box_lost",    "lease_expired",
    "device_error",       "preempted",    "drained",         "rejected"};

template <class Enum, size_t N>
std::optional<Enum> find(const std::array<std::string_view, N>& names, std::string_view text) {
  for (size_t i = 0; i < N; ++i)
    if (names[i] == text) return static_cast<Enum>(i);
  return std::nullopt;
}

}  // namespace

std::string_view name(JobState state) {
  return kJobStates.at(static_cast<size_t>(state));
}
std::string_view name(AttemptState state) {
  return kAttemptStates.at(static_cast<size_t>(state));
}
std::string_view name(EndReason reason) {
  return kEndReasons.at(static_cast<size_t>(reason));
}
std::optional<JobState> parse_job_state(std::string_view text) {
  return find<JobState>(kJobStates, text);
}
std::optional<EndReason> parse_end_reason(std::string_view text) {
  return find<EndReason>(kEndReasons, text);
}

}  // namespace quarry
