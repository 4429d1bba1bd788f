// The states of jobs and attempts, their edges and the end reasons (docs/architecture.md): the one source of the guards
// in the SQL triggers (a test compares them), of every C++ switch, and of the diagram on that page.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace quarry {

enum class JobState : int16_t { Held, Queued, Running, Checking, Succeeded, Failed, Cancelled, Expired };
enum class AttemptState : int16_t { Leased, Running, Delivered, Accepted, Rejected, Failed, Lost, Cancelled };

enum class EndReason : int16_t {
  Succeeded,
  Cancelled,
  DeadlinePassed,
  BudgetStop,  // of a job
  GraphError,
  AttemptsExhausted,
  RentalEnded,
  ServiceFault,  // of a job
  BoxLost,
  LeaseExpired,
  DeviceError,
  Preempted,
  Drained,
  Rejected,  // of an attempt: the segment is queued again
};

template <class State>
struct Edge {
  State from, to;
};
template <class State>
Edge(State, State) -> Edge<State>;  // clang 14 does not deduce aggregates
inline constexpr std::array kJobEdges{
    Edge{JobState::Held, JobState::Queued},       Edge{JobState::Held, JobState::Cancelled},
    Edge{JobState::Held, JobState::Expired},      Edge{JobState::Queued, JobState::Running},
    Edge{JobState::Queued, JobState::Cancelled},  Edge{JobState::Queued, JobState::Expired},
    Edge{JobState::Queued, JobState::Failed},  // a fault of the service
    Edge{JobState::Running, JobState::Queued},    Edge{JobState::Running, JobState::Checking},
    Edge{JobState::Running, JobState::Succeeded}, Edge{JobState::Running, JobState::Failed},
    Edge{JobState::Running, JobState::Cancelled}, Edge{JobState::Running, JobState::Expired},
    Edge{JobState::Checking, JobState::Queued},   Edge{JobState::Checking, JobState::Succeeded},
    Edge{JobState::Checking, JobState::Failed},   Edge{JobState::Checking, JobState::Cancelled},
};
inline constexpr std::array kAttemptEdges{
    Edge{AttemptState::Leased, AttemptState::Running},     Edge{AttemptState::Leased, AttemptState::Accepted},
    Edge{AttemptState::Leased, AttemptState::Rejected},    Edge{AttemptState::Running, AttemptState::Rejected},
    Edge{AttemptState::Leased, AttemptState::Failed},      Edge{AttemptState::Leased, AttemptState::Lost},
    Edge{AttemptState::Leased, AttemptState::Cancelled},   Edge{AttemptState::Running, AttemptState::Delivered},
    Edge{AttemptState::Running, AttemptState::Accepted},   Edge{AttemptState::Running, AttemptState::Failed},
    Edge{AttemptState::Running, AttemptState::Lost},       Edge{AttemptState::Running, AttemptState::Cancelled},
    Edge{AttemptState::Delivered, AttemptState::Accepted}, Edge{AttemptState::Delivered, AttemptState::Rejected},
    Edge{AttemptState::Delivered, AttemptState::Lost},     Edge{AttemptState::Delivered, AttemptState::Cancelled},
};

constexpr bool is_terminal(JobState state) {
  return state >= JobState::Succeeded;
}

std::string_view name(JobState state);  ///< "held", "queued", ...
std::string_view name(AttemptState state);
std::string_view name(EndReason reason);  ///< "succeeded", "box_lost", ...
std::optional<JobState> parse_job_state(std::string_view name);
std::optional<EndReason> parse_end_reason(std::string_view name);

}  // namespace quarry
