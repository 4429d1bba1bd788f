#include "server/gate/held_leases.h"

#include <algorithm>
#include <cstring>

#include "engine/graph/job.h"

namespace quarry::server {

size_t HeldLeases::Hash::operator()(const Digest& digest) const {
  size_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

void HeldLeases::count(Counts& counts, const Digest& digest, int by) {
  if ((counts[digest] += by) == 0) counts.erase(digest);
}

void HeldLeases::add(const wire::Lease& lease) {
  if (leases_.contains(lease.fence)) return;  // it is sent again, and what it let in is still counted
  Held held;
  held.graph = lease.graph;
  held.document = lease.job_document;
  held.first_step = lease.first_step;
  for (const auto& [name, extents] : lease.inputs)
    for (const wire::Extent& extent : extents) held.inputs.push_back(extent.blob);
  std::sort(held.inputs.begin(), held.inputs.end());
  held.inputs.erase(std::unique(held.inputs.begin(), held.inputs.end()), held.inputs.end());
  held.any_output = !lease.outputs.has_value();
  if (lease.outputs)
    for (const wire::ExpectedOutput& output : *lease.outputs) ++held.outputs[output.bytes].expected;
  count(graphs_, held.graph, 1);
  for (const Digest& blob : held.inputs) count(inputs_, blob, 1);
  leases_.emplace(lease.fence, std::move(held));
}

void HeldLeases::remove(const wire::Fence& fence) {
  const auto found = leases_.find(fence);
  if (found == leases_.end()) return;
  count(graphs_, found->second.graph, -1);
  for (const Digest& blob : found->second.inputs) count(inputs_, blob, -1);
  leases_.erase(found);
}

bool HeldLeases::may_read(const Digest& blob, bool graph) const {
  return graph ? graphs_.contains(blob) : inputs_.contains(blob);
}

bool HeldLeases::may_deliver(const Digest& blob, uint64_t bytes) {
  Held::OfSize* room = nullptr;
  bool any = false;
  for (auto& [fence, held] : leases_) {
    any = any || held.any_output;
    const auto of_size = held.outputs.find(bytes);
    if (of_size == held.outputs.end()) continue;
    if (of_size->second.delivered.contains(blob)) return true;
    if (!room && of_size->second.delivered.size() < of_size->second.expected) room = &of_size->second;
  }
  if (room) room->delivered.insert(blob);
  return room || any;
}

int HeldLeases::blob_missing(const wire::Fence& fence) {
  const auto found = leases_.find(fence);
  return found == leases_.end() ? 0 : ++found->second.blob_missing;
}

std::set<JobId> HeldLeases::jobs() const {
  std::set<JobId> jobs;
  for (const auto& [fence, held] : leases_) jobs.insert(fence.job);
  return jobs;
}

std::optional<LiveProgress> HeldLeases::job_progress(const wire::AttemptProgress& progress) {
  const auto found = leases_.find(progress.fence);
  if (found == leases_.end()) return std::nullopt;
  Held& held = found->second;
  if (held.job_first_step < 0) {
    const auto job = graph::parse_job(held.document);
    if (!job) return std::nullopt;
    held.job_first_step = job->stage.first_step;
    held.job_steps = job->stage.steps;
    held.document.clear();
  }
  const int64_t done = held.first_step - held.job_first_step + std::max<int64_t>(progress.steps_done, 0);
  return LiveProgress{std::min(done, held.job_steps), held.job_steps, progress.phase,
                      static_cast<int64_t>(progress.phase_done), static_cast<int64_t>(progress.phase_total)};
}

}  // namespace quarry::server
