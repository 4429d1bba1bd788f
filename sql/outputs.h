// What the completion of a segment must bring: worked out at submit from the graph, stored with the job, and compared
// with what a box says that it made.
#pragma once

#include "sql/job_store.h"

namespace quarry::sql {

/// {"kept": {name: [bytes, each]}, "carried": {name: bytes}}
std::string outputs_to_json(const JobOutputs& outputs);
JobOutputs outputs_from_json(std::string_view text);

/// Of a segment of so many steps. A value kept "last" comes with the last segment, carried values with every other.
std::vector<wire::ExpectedOutput> segment_outputs(const JobOutputs& outputs, int64_t steps, bool last_segment);

/// Why the completion is not what was expected: a value is missing, is one too many, comes twice, has other bytes, or
/// its inline bytes do not have its hash. nullopt: it is what was expected.
std::optional<std::string> why_rejected(const std::vector<wire::ExpectedOutput>& expected,
                                        const wire::Completion& completion);
/// The part of it that holds for every completion: inline bytes have their size and hash.
std::optional<std::string> why_inline_rejected(const wire::Completion& completion);

}  // namespace quarry::sql
