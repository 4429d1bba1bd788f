// Index work: what finding the elements costs beside the arithmetic on them (docs/metering.md, tariff 2). From the
// views of all kernels: divisions, and reads that jump.
#pragma once

#include <span>
#include <vector>

#include "common/result.h"
#include "common/uint128.h"
#include "engine/graph/idioms.h"
#include "engine/meter/index_forms.h"
#include "engine/meter/meaning.h"

namespace quarry::meter {

inline constexpr UInt128 kFlopsPerDivision = 16;  ///< an integer division, of 32 bits
inline constexpr UInt128 kFlopsPerJump = 32;      ///< a read that has no neighbour
inline constexpr int64_t kLeastNeighbours = 16;   ///< along the axis that a kernel walks: less is no walk
inline constexpr int64_t kLeastTile = 4;          ///< so many results of a reduction share a read that stays
inline constexpr size_t kMostDivisions = 128;     ///< of one kernel: what bounds its text and its time to compile

/// How a kernel finds the elements of one value, or of an IOTA or a RAND that it makes.
struct View {
  graph::NodeId kernel;
  FormId position;
  bool is_load;  ///< from memory
};

/// F of the index work of all kernels: at each point of a kernel its different divisions and its loads that jump.
/// Reorders `views`. "kernel_too_large" names the stored value whose kernel has too
/// many divisions.
Result<UInt128> index_work(const Meaning& meaning, const IndexForms& forms, std::vector<View>& views,
                           const graph::RowUpdates& row_updates);

}  // namespace quarry::meter
