#include "engine/device/gpu/graph.h"

#include <algorithm>
#include <utility>

#include "engine/device/gpu/memory.h"
#include "engine/device/gpu/module.h"

namespace quarry::device::gpu {

namespace {

constexpr int kMostDynamicShared = 8;  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES

}  // namespace

LaunchValues::LaunchValues(std::span<const Argument> arguments, const Groups& groups) {
  values_.reserve(arguments.size() + 1);
  for (const Argument& argument : arguments)
    values_.push_back(argument.buffer != nullptr ? address_of({argument.buffer, argument.bits, 0}) : argument.bits);
  values_.push_back(groups.first);
  for (uint64_t& value : values_) pointers_.push_back(&value);
}

// More than 48 KiB must be asked for.
Status allow_shared(const Library& library, Function function, uint32_t bytes) {
  if (bytes == 0) return {};
  const Error error = library.call.set_function(function, kMostDynamicShared, static_cast<int>(bytes));
  return error == 0 ? Status() : Status(problem_of(library, "asking for shared memory", error));
}

namespace {

class GraphCalls final : public RecordedCalls {
 public:
  GraphCalls(std::shared_ptr<const Library> library, Context context)
      : library_(std::move(library)), context_(context) {}
  ~GraphCalls() override {
    library_->call.use_context(context_);
    if (finished_ != nullptr) library_->call.destroy_finished(finished_);
    if (graph_ != nullptr) library_->call.destroy_graph(graph_);
  }
  GraphCalls(const GraphCalls&) = delete;
  GraphCalls& operator=(const GraphCalls&) = delete;
  FinishedGraph finished() const { return finished_; }

  Status build(std::span<const BoundCall> calls, Stream stream) {
    const EntryPoints& call = library_->call;
    QUARRY_TRY(check("making a graph", call.create_graph(&graph_, 0)));
    const auto roots = std::ranges::count_if(calls, [](const BoundCall& one) { return one.after.empty(); });
    // Each root more costs the host 0.8 us a replay: those after the first follow one node that does nothing.
    Node root = nullptr;
    if (roots > 1) QUARRY_TRY(check("adding a node", call.add_nothing(&root, graph_, nullptr, 0)));
    std::vector<Node> nodes;
    for (const BoundCall& one : calls) {
      QUARRY_TRY(add(one, root, nodes));
      entries_.push_back(one.entry);
    }
    QUARRY_TRY(check("finishing a graph", call.finish_graph(&finished_, graph_, 0)));
    QUARRY_TRY(check("uploading a graph", call.upload_graph(finished_, stream)));
    return check("uploading a graph", call.wait_stream(stream));
  }

 private:
  Status check(const char* what, Error error) const {
    return error == 0 ? Status() : Status(problem_of(*library_, what, error));
  }

  Status add(const BoundCall& one, Node root, std::vector<Node>& nodes) {
    std::vector<Node> after;
    for (const size_t earlier : one.after) after.push_back(nodes[earlier]);
    if (after.empty() && root != nullptr) after.push_back(root);
    LaunchValues values(one.arguments, one.groups);
    KernelNode node{};
    node.function = static_cast<const GpuEntry&>(*one.entry).function();
    node.groups[0] = static_cast<unsigned>(one.groups.count);
    node.items[0] = one.groups.items;
    node.shared_bytes = one.groups.shared_bytes;
    QUARRY_TRY(allow_shared(*library_, node.function, node.shared_bytes));
    node.groups[1] = node.groups[2] = node.items[1] = node.items[2] = 1;
    node.arguments = values.pointers();
    nodes.push_back(nullptr);
    return check("adding a kernel to a graph",
                 library_->call.add_kernel(&nodes.back(), graph_, after.data(), after.size(), &node));
  }

  std::shared_ptr<const Library> library_;
  Context context_;
  Graph graph_ = nullptr;
  FinishedGraph finished_ = nullptr;
  std::vector<std::shared_ptr<Entry>> entries_;  // their modules stay loaded
};

}  // namespace

bool can_record(const Library& library) {
  const EntryPoints& call = library.call;
  return call.create_graph != nullptr && call.add_kernel != nullptr && call.add_nothing != nullptr &&
         call.finish_graph != nullptr && call.upload_graph != nullptr && call.launch_graph != nullptr &&
         call.destroy_finished != nullptr && call.destroy_graph != nullptr;
}

Result<std::shared_ptr<RecordedCalls>> make_graph(std::shared_ptr<const Library> library, Context context,
                                                  Stream stream, std::span<const BoundCall> calls) {
  auto made = std::make_shared<GraphCalls>(std::move(library), context);
  QUARRY_TRY(made->build(calls, stream));
  return std::shared_ptr<RecordedCalls>(std::move(made));
}

FinishedGraph graph_of(const RecordedCalls& calls) {
  return static_cast<const GraphCalls&>(calls).finished();
}

}  // namespace quarry::device::gpu
