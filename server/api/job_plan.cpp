#include "server/api/job_plan.h"

#include <algorithm>

#include "common/text.h"
#include "server/limits.h"
#include "server/try.h"

namespace quarry::server {

namespace {

/// A resolved input: where its bytes are and what they are.
struct Resolved {
  graph::DType dtype;
  std::vector<int64_t> shape;
  std::vector<wire::Extent> extents;
};

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string value_text(graph::DType dtype, std::span<const int64_t> shape) {
  return std::string(graph::name(dtype)) + shape_text(shape);
}

Awaitable<Result<Resolved>> resolve_tensor(Service& service, AccountId account, graph::TensorInput source,
                                           std::string pointer) {
  const Problem missing{"tensor_not_found", "there is no tensor file " + to_hex(source.file), pointer + "/file",
                        "PUT it to /v1/tensors/" + to_hex(source.file) + " first"};
  const auto row = co_await service.catalog.tensor(account, source.file);
  if (!row) co_return missing;
  const std::chrono::microseconds renewed_at(sql::after_retention(service.clock.wall()).micros);
  if (std::chrono::microseconds(row->expires_at.micros) < renewed_at - kRenewTensorAfter) {
    const auto renew = [account, digest = source.file, bytes = row->bytes](sql::ObjectStore& store) {
      store.put_tensor(account, digest, bytes, UINT64_MAX);  // the account's already: its quota does not grow
    };
    co_await service.database.run(renew);
    service.catalog.forget_tensor(account, source.file);
  }
  const auto file = co_await service.catalog.tensor_file(source.file);
  if (!file) co_return missing;
  const auto found = file->tensors.find(source.tensor);
  if (found == file->tensors.end())
    co_return Problem{"tensor_name_not_found", "the file has no tensor '" + source.tensor + "'", pointer + "/tensor",
                      "name one of the file's tensors"};
  const io::TensorEntry& entry = found->second;
  co_return Resolved{entry.dtype, entry.shape, {{source.file, entry.offset, entry.bytes}}};
}

Awaitable<Result<Resolved>> resolve_output(Service& service, AccountId account, graph::JobOutputInput source,
                                           std::string pointer) {
  const JobId id = source.job;
  const auto job =
      co_await service.database.run([account, id](sql::JobStore& store) { return store.job(account, id); });
  if (!job)
    co_return Problem{"job_not_found", "there is no job " + id.to_string(), pointer + "/job",
                      "name a job of this account"};
  if (!is_terminal(job->state))
    co_return Problem{"job_not_finished", "job " + id.to_string() + " is still " + std::string(name(job->state)),
                      pointer + "/job", "wait until it has ended"};
  if (job->results_expired)
    co_return Problem{"results_expired", "the results of job " + id.to_string() + " have expired", pointer + "/job",
                      "run the job again"};
  const auto row = std::find_if(job->outputs.begin(), job->outputs.end(),
                                [&](const sql::OutputRow& output) { return output.name == source.output; });
  const auto graph = co_await service.catalog.graph(job->graph);
  const auto document = graph::parse_job(job->document);
  if (row == job->outputs.end() || row->extents.empty() || !graph || !document)
    co_return Problem{"output_not_found", "job " + id.to_string() + " has no result '" + source.output + "'",
                      pointer + "/output", "name one of its results"};
  QUARRY_CO_ASSIGN(const auto outputs, job_outputs(*document, graph->normal.graph, job->steps_accepted));
  for (const OutputInfo& output : outputs)
    if (output.name == source.output) co_return Resolved{output.dtype, output.shape, row->extents};
  co_return Problem{"output_not_found", "job " + id.to_string() + " has no result '" + source.output + "'",
                    pointer + "/output", "name one of its results"};
}

Awaitable<Result<Resolved>> resolve(Service& service, AccountId account, graph::InputSource source,
                                    std::string pointer) {
  if (const auto* tensor = std::get_if<graph::TensorInput>(&source))
    return resolve_tensor(service, account, *tensor, std::move(pointer));
  return resolve_output(service, account, std::get<graph::JobOutputInput>(source), std::move(pointer));
}

Status check_plain(const graph::Graph& graph, const std::string& input, const Resolved& value,
                   const std::string& pointer) {
  const graph::NodeId node = graph.find_input(input);
  const auto wanted = graph.shape(node);
  if (value.dtype == graph[node].dtype &&
      std::equal(wanted.begin(), wanted.end(), value.shape.begin(), value.shape.end()))
    return {};
  return Problem{"input_mismatch",
                 "the graph's input '" + input + "' is " + value_text(graph[node].dtype, wanted) + ", the tensor is " +
                     value_text(value.dtype, value.shape),
                 pointer, "give a tensor of the input's dtype and shape"};
}

Status check_feed(const graph::JobDocument& job, const graph::Graph& graph, const std::string& input,
                  const Resolved& value, const std::string& pointer) {
  const graph::NodeId node = graph.find_input(input);
  const auto wanted = graph.shape(node);
  const bool fits = value.dtype == graph[node].dtype && value.shape.size() == wanted.size() + 1 &&
                    value.shape[0] >= 1 && std::equal(wanted.begin(), wanted.end(), value.shape.begin() + 1);
  if (!fits)
    return Problem{"input_mismatch",
                   "the fed input '" + input + "' takes " + std::string(graph::name(graph[node].dtype)) +
                       " [n, ...] over " + shape_text(wanted) + ", the tensor is " +
                       value_text(value.dtype, value.shape),
                   pointer, "give a tensor whose first axis counts the steps' slices"};
  const int64_t last = job.stage.first_step + job.stage.steps;
  if (!job.stage.feed.at(input).wrap && value.shape[0] < last)
    return Problem{"feed_too_short",
                   "the feed of '" + input + "' has " + std::to_string(value.shape[0]) + " slices for steps up to " +
                       std::to_string(last),
                   pointer, "give more slices, or set wrap"};
  return {};
}

Awaitable<Status> resolve_inputs(Service& service, AccountId account, JobPlan& plan, std::string base) {
  const graph::Graph& graph = plan.graph->normal.graph;
  for (const auto& [input, source] : plan.document.inputs) {
    const std::string pointer = json_pointer(base + "/inputs", input);
    QUARRY_CO_ASSIGN(Resolved value, co_await resolve(service, account, source, pointer));
    QUARRY_CO_TRY(check_plain(graph, input, value, pointer));
    plan.row.inputs.emplace(input, std::move(value.extents));
  }
  for (const auto& [input, feed] : plan.document.stage.feed) {
    const std::string pointer = json_pointer(base + "/stages/0/feed", input);
    QUARRY_CO_ASSIGN(Resolved value, co_await resolve(service, account, feed.source, pointer));
    QUARRY_CO_TRY(check_feed(plan.document, graph, input, value, pointer));
    plan.row.inputs.emplace(input, std::move(value.extents));
  }
  co_return Status();
}

meter::Usage usage_of(const graph::JobDocument& job) {
  meter::Usage usage;
  usage.carry.assign(job.stage.carry.begin(), job.stage.carry.end());
  for (const auto& [input, feed] : job.stage.feed) usage.feed.push_back(input);
  for (const auto& [output, mode] : job.stage.keep)
    if (mode == graph::KeepSpec::Each) usage.keep_each.push_back(output);
  return usage;
}

/// What the job's completions must bring.
sql::JobOutputs expected_outputs(const JobPlan& plan) {
  const graph::Graph& graph = plan.graph->normal.graph;
  const graph::Stage& stage = plan.document.stage;
  sql::JobOutputs outputs;
  for (const OutputInfo& output : plan.outputs)
    outputs.kept[output.name] = {output.each ? output.bytes / static_cast<uint64_t>(stage.steps) : output.bytes,
                                 output.each};
  for (const auto& [input, output] : stage.carry) {
    const graph::NodeId node = graph.find_input(input);
    outputs.carried[input] =
        static_cast<uint64_t>(graph.elements(node)) * static_cast<uint64_t>(graph::byte_size(graph[node].dtype));
  }
  return outputs;
}

Status count_and_price(const Service& service, JobPlan& plan, const meter::StepCount& step, const std::string& base) {
  const graph::Stage& stage = plan.document.stage;
  sql::NewJob& row = plan.row;
  row.steps_per_segment = meter::steps_per_segment(step, stage.steps, plan.document.checkpoint_every);
  plan.segments = segment_count(stage.steps, row.steps_per_segment);
  QUARRY_ASSIGN(plan.work.metered, meter::metered_job(step, stage.steps, plan.segments));
  if (plan.segments > kMaxSegments)
    return Problem{"too_many_segments", "the job would have " + std::to_string(plan.segments) + " segments",
                   base + "/stages/0/steps",
                   "run fewer steps, or checkpoint less often; a job has at most " + std::to_string(kMaxSegments)};
  QUARRY_ASSIGN(plan.outputs, job_outputs(plan.document, plan.graph->normal.graph, stage.steps));
  for (const OutputInfo& output : plan.outputs) row.bytes_out += output.bytes;
  row.outputs = expected_outputs(plan);
  if (row.bytes_out > kMaxResultBytes)
    return Problem{
        "results_too_large", "the kept outputs are " + std::to_string(row.bytes_out) + " bytes",
        base + "/stages/0/keep",
        "keep fewer outputs, or \"last\" instead of \"each\"; the limit is " + std::to_string(kMaxResultBytes)};
  for (const auto& [input, extents] : row.inputs)
    for (const wire::Extent& extent : extents) row.bytes_in += extent.bytes;
  row.byte_hours = row.bytes_out * sql::kRetentionHours;
  plan.work.bytes_in = row.bytes_in;
  plan.work.bytes_out = row.bytes_out;
  plan.work.byte_hours = row.byte_hours;
  row.step = {step.flops, step.weighted[0], step.weighted[1], step.weighted[2], step.bytes, step.stored_values};
  row.tariff = static_cast<int32_t>(step.tariff);
  row.checkpoint_bytes = step.checkpoint_bytes;
  row.memory_bound_bytes = step.memory_bound_bytes;
  row.prices = service.settings.prices;
  QUARRY_ASSIGN(plan.quote, market::quote(plan.work, row.prices, plan.segments));
  row.limit = plan.quote.limit;
  return {};
}

/// engine/graph names places within the job; the client wants them within its request.
Problem rebased(Problem problem, const std::string& base) {
  if (!problem.pointer.starts_with(base)) problem.pointer = base + problem.pointer;
  return problem;
}

}  // namespace

int64_t segment_count(int64_t steps, int64_t steps_per_segment) {
  return (steps + steps_per_segment - 1) / steps_per_segment;
}

Result<std::vector<OutputInfo>> job_outputs(const graph::JobDocument& job, const graph::Graph& graph, int64_t steps) {
  std::vector<OutputInfo> outputs;
  for (const graph::Output& output : graph.outputs()) {
    const auto kept = job.stage.keep.find(output.name);
    if (!job.stage.keep.empty() && kept == job.stage.keep.end()) continue;
    OutputInfo info{output.name, graph[output.node].dtype, {}, 0, false};
    info.each = kept != job.stage.keep.end() && kept->second == graph::KeepSpec::Each;
    const auto shape = graph.shape(output.node);
    info.shape.assign(shape.begin(), shape.end());
    UInt128 bytes =
        static_cast<UInt128>(graph.elements(output.node)) * static_cast<UInt128>(graph::byte_size(info.dtype));
    if (info.each) {
      info.shape.insert(info.shape.begin(), steps);
      bytes *= static_cast<UInt128>(steps);  // below 2^43 bytes times 2^31 steps
    }
    if (bytes > static_cast<UInt128>(kMaxResultBytes))
      return Problem{
          "results_too_large", "the kept output '" + output.name + "' is " + to_decimal(bytes) + " bytes",
          json_pointer("/stages/0/keep", output.name),
          "keep \"last\" instead of \"each\", or run fewer steps; the limit is " + std::to_string(kMaxResultBytes)};
    info.bytes = static_cast<uint64_t>(bytes);
    outputs.push_back(std::move(info));
  }
  return outputs;
}

Awaitable<Result<JobPlan>> plan_job(Service& service, AccountId account, std::string_view json, std::string base,
                                    meter::Tariff tariff) {
  JobPlan plan;
  {
    auto parsed = graph::parse_job(json, base);
    if (!parsed) co_return rebased(std::move(parsed).problem(), base);
    plan.document = std::move(*parsed);
  }
  const graph::Stage& stage = plan.document.stage;
  const Digest id = stage.graph;
  if (co_await service.catalog.has_graph(account, id)) plan.graph = co_await service.catalog.graph(id);
  if (!plan.graph)
    co_return Problem{"graph_not_found", "there is no graph graph_" + to_hex(id), base + "/stages/0/graph",
                      "POST it to /v1/graphs first"};
  if (auto status = graph::check_job(plan.document, plan.graph->normal.graph); !status)
    co_return rebased(std::move(status).problem(), base);
  QUARRY_CO_TRY(co_await resolve_inputs(service, account, plan, base));
  QUARRY_CO_ASSIGN(const meter::StepCount step,
                   co_await service.catalog.count(plan.graph, usage_of(plan.document), tariff));
  if (auto status = count_and_price(service, plan, step, base); !status)
    co_return rebased(std::move(status).problem(), base);
  plan.row.account = account;
  plan.row.graph = id;
  plan.row.document = graph::write_job(plan.document);
  plan.row.dtypes = plan.graph->dtypes;
  plan.row.first_step = stage.first_step;
  plan.row.steps = stage.steps;
  if (auto status = sql::fits_a_lease(plan.row); !status) co_return rebased(std::move(status).problem(), base);
  co_return plan;
}

}  // namespace quarry::server
