// Long launches are cut into pieces by work-groups: a cancel acts between them, and no watchdog ends them.
#pragma once

#include <vector>

#include "engine/codegen/codegen.h"
#include "engine/device/driver.h"

namespace quarry::device {

/// Pieces that each take less than 250 ms, by the estimate of codegen::Entry::flops; together all groups of the entry.
std::vector<Groups> pieces_of(const codegen::Entry& entry, const Properties& properties);

/// How much of those 250 ms the whole entry takes.
double share_of_one_launch(const codegen::Entry& entry, const Properties& properties);

}  // namespace quarry::device
