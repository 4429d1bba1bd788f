// Running graphs on a device of this machine: opened once, compiled programs kept for the next run.
#include "engine/run/run.h"

#include <pybind11/numpy.h>
#include <unistd.h>

#include <list>
#include <mutex>

#include "engine/device/device.h"
#include "engine/run/program.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

// Compiled programs hold device memory. A training loop uses two or three, an importer's test one each.
constexpr size_t kMostRuns = 16;
// Of the device's memory that programs which are not running may hold together.
constexpr uint64_t kIdleMemoryShare = 4;

/// A tensor of Python's, read without the GIL: the buffer is held until the source dies.
class BufferSource final : public run::ByteSource {
 public:
  explicit BufferSource(const py::buffer& buffer) {
    if (PyObject_GetBuffer(buffer.ptr(), &view_, PyBUF_C_CONTIGUOUS) != 0) throw py::error_already_set();
  }
  BufferSource(const BufferSource&) = delete;
  BufferSource& operator=(const BufferSource&) = delete;
  ~BufferSource() override {
    const py::gil_scoped_acquire gil;
    PyBuffer_Release(&view_);
  }
  uint64_t size() const override { return static_cast<uint64_t>(view_.len); }
  Status read(uint64_t offset, std::span<std::byte> out) override {
    if (offset > size() || out.size() > size() - offset)
      return Problem{"input_truncated", "an input ends before the bytes that its shape needs", "", ""};
    std::copy_n(static_cast<const std::byte*>(view_.buf) + offset, out.size(), out.begin());
    return {};
  }

 private:
  Py_buffer view_{};
};

/// A tensor as Python gives it: its bytes, wire dtype and shape.
struct Value {
  std::shared_ptr<run::ByteSource> source;
  graph::DType dtype;
  std::vector<int64_t> shape;
};

using PythonValue = std::tuple<py::buffer, graph::DType, std::vector<int64_t>>;
using PythonValues = std::vector<std::pair<std::string, PythonValue>>;

Value value_of(const std::string& name, const PythonValue& given) {
  const auto& [buffer, dtype, shape] = given;
  Value value{std::make_shared<BufferSource>(buffer), dtype, shape};
  UInt128 bytes = static_cast<uint64_t>(graph::byte_size(dtype));
  for (const int64_t size : shape)
    bytes = size < 0 || bytes > UINT64_MAX ? UINT64_MAX : bytes * static_cast<uint64_t>(size);
  if (bytes != value.source->size())
    throw tensor::TensorError("the value of input \"" + name + "\" is " + std::to_string(value.source->size()) +
                              " bytes, which is no " + std::string(graph::name(dtype)) + tensor::text(shape));
  return value;
}

/// What run() is asked for, checked against the graph.
struct Job {
  run::Program program;
  std::vector<std::pair<std::string, std::shared_ptr<run::ByteSource>>> values;
};

/// The same program for all step numbers, so that one compiled run serves every call: a feed that does not wrap was
/// checked to be long enough, so wrapping reads the same slices.
run::Program for_all_steps(run::Program program) {
  program.seed = 0;
  program.first_step = 0;
  program.steps = INT32_MAX;
  for (run::Feed& feed : program.feed) feed.wrap = true;
  return program;
}

std::string key_of(const run::Program& program) {
  std::string key = program.graph->id_text();
  const auto add = [&key](char kind, const std::string& name) {
    key += kind + std::to_string(name.size()) + ':' + name;
  };
  for (const auto& [input, output] : program.carry) add('c', input), add('=', output);
  for (const run::Feed& feed : program.feed) add('f', feed.input), key += '*' + std::to_string(feed.count);
  for (const run::Keep& keep : program.keep) add(keep.mode == run::KeepMode::Each ? 'e' : 'l', keep.output);
  return key;
}

/// Drivers start threads and open files that a fork does not carry over: a call in the child would wait for ever. The
/// process that asks first is the one that may.
void refuse_after_fork() {
  static const pid_t first = getpid();
  if (getpid() != first)
    raise_if_failed(Problem{"forked",
                            "this process was forked from one that had used Quarry's devices, and their threads were "
                            "left behind",
                            "",
                            "Fork before the first operation, or start processes with "
                            "multiprocessing.get_context(\"spawn\")."});
}

/// One device and its compiled programs. Calls from several threads take turns.
class LocalDevice {
 public:
  LocalDevice(const std::string& selector, const std::string& cache_directory) {
    refuse_after_fork();
    Result<std::unique_ptr<device::Device>> opened = [&] {
      const py::gil_scoped_release released;
      return device::open_device(selector, {.cache_directory = cache_directory});
    }();
    device_ = value_or_raise(std::move(opened));
  }

  const device::Properties& properties() const { return device_->properties(); }
  py::dict run(const Graph& graph, const PythonValues& inputs, const PythonValues& feeds,
               const std::map<std::string, bool>& wraps, const std::vector<std::pair<std::string, std::string>>& carry,
               const std::vector<std::pair<std::string, std::string>>& keep, uint64_t seed, int64_t first_step,
               int64_t steps, const py::object& progress);
  size_t compiled() const { return runs_.size(); }

 private:
  struct Compiled {
    std::string key;
    std::unique_ptr<run::Run> run;
  };
  Result<run::Run*> compiled_run(const run::Program& program);
  void make_room();
  Status advance(Job& job, const run::Observer& observer, std::map<std::string, std::vector<std::byte>>& kept);

  std::unique_ptr<device::Device> device_;
  std::list<Compiled> runs_;  // the one used last in front; destroyed before the device
  std::mutex mutex_;
};

Job make_job(const Graph& graph, const PythonValues& inputs, const PythonValues& feeds,
             const std::map<std::string, bool>& wraps) {
  Job job;
  job.program.graph = graph.normal;
  for (const auto& [name, given] : inputs) {
    const Value value = value_of(name, given);
    raise_if_failed(run::check_input(graph.normal->graph, name, value.dtype, value.shape));
    job.values.emplace_back(name, value.source);
  }
  for (const auto& [name, given] : feeds) {
    const Value value = value_of(name, given);
    const int64_t count = value_or_raise(run::feed_count(graph.normal->graph, name, value.dtype, value.shape));
    const auto wrap = wraps.find(name);
    job.program.feed.push_back({name, count, wrap != wraps.end() && wrap->second});
    job.values.emplace_back(name, value.source);
  }
  return job;
}

/// A NumPy array of bytes that owns what it shows.
py::array bytes_array(std::vector<std::byte> bytes) {
  auto owned = std::make_unique<std::vector<std::byte>>(std::move(bytes));
  const auto size = static_cast<py::ssize_t>(owned->size());
  auto* data = reinterpret_cast<uint8_t*>(owned->data());
  const py::capsule owner(owned.release(), [](void* held) { delete static_cast<std::vector<std::byte>*>(held); });
  return py::array_t<uint8_t>({size}, {1}, data, owner);
}

/// Calls `progress` and hears Ctrl-C, about ten times a second. An exception stops the run and is thrown after it.
run::Observer observer(const py::object& progress, std::optional<py::error_already_set>& thrown) {
  return [&progress, &thrown](const run::StepReport& report) {
    const py::gil_scoped_acquire gil;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (!progress.is_none()) progress(report.steps_done, report.steps_total);
      return true;
    } catch (py::error_already_set& error) {
      thrown.emplace(std::move(error));
      return false;
    }
  };
}

py::dict LocalDevice::run(const Graph& graph, const PythonValues& inputs, const PythonValues& feeds,
                          const std::map<std::string, bool>& wraps,
                          const std::vector<std::pair<std::string, std::string>>& carry,
                          const std::vector<std::pair<std::string, std::string>>& keep, uint64_t seed,
                          int64_t first_step, int64_t steps, const py::object& progress) {
  refuse_after_fork();
  Job job = make_job(graph, inputs, feeds, wraps);
  job.program.seed = seed;
  job.program.first_step = first_step;
  job.program.steps = steps;
  job.program.carry = carry;
  for (const auto& [output, mode] : keep) {
    job.program.keep.push_back({output, mode == "each" ? run::KeepMode::Each : run::KeepMode::Last});
  }
  std::map<std::string, std::vector<std::byte>> kept;
  std::optional<py::error_already_set> thrown;
  const Status status = [&] {
    const py::gil_scoped_release released;
    const std::scoped_lock lock(mutex_);
    return advance(job, observer(progress, thrown), kept);
  }();
  if (thrown) throw std::move(*thrown);
  raise_if_failed(status);
  py::dict values;
  for (auto& [name, bytes] : kept) values[py::str(name)] = bytes_array(std::move(bytes));
  return values;
}

Status LocalDevice::advance(Job& job, const run::Observer& observer,
                            std::map<std::string, std::vector<std::byte>>& kept) {
  QUARRY_TRY(run::validate(job.program));
  QUARRY_ASSIGN(run::Run* const run, compiled_run(for_all_steps(job.program)));
  QUARRY_TRY(run->reset(job.program.seed));
  for (const auto& [name, source] : job.values) QUARRY_TRY(run->set_input(name, source));
  QUARRY_TRY(run->advance(job.program.first_step, job.program.steps, observer));
  for (const run::Keep& keep : job.program.keep) {
    QUARRY_ASSIGN(kept[keep.output], run->kept(keep.output));
  }
  return run->reset(0);  // drops the inputs' buffers and what was kept
}

Result<run::Run*> LocalDevice::compiled_run(const run::Program& program) {
  const std::string key = key_of(program);
  const auto found = std::ranges::find(runs_, key, &Compiled::key);
  if (found != runs_.end()) {
    runs_.splice(runs_.begin(), runs_, found);
  } else {
    make_room();
    QUARRY_ASSIGN(auto run, run::prepare(*device_, program, device_->properties().memory_bytes));
    runs_.push_front({key, std::move(run)});
  }
  return runs_.front().run.get();
}

void LocalDevice::make_room() {
  const auto held = [this] {
    uint64_t bytes = 0;
    for (const Compiled& compiled : runs_) bytes += compiled.run->timings().arena_bytes;
    return bytes;
  };
  while (!runs_.empty() &&
         (runs_.size() >= kMostRuns || held() > device_->properties().memory_bytes / kIdleMemoryShare))
    runs_.pop_back();
}

py::list devices() {
  refuse_after_fork();
  std::vector<device::DeviceInfo> found;
  {
    const py::gil_scoped_release released;
    found = device::list_devices();
  }
  py::list selectors;
  for (const device::DeviceInfo& info : found)
    selectors.append(py::dict("selector"_a = info.selector, "name"_a = info.properties.name,
                              "backend"_a = info.properties.backend, "memory_bytes"_a = info.properties.memory_bytes));
  return selectors;
}

}  // namespace

void bind_run(py::module_& module) {
  py::class_<LocalDevice> type(module, "Device");
  forbid_making(type);
  type.def_property_readonly("name", [](const LocalDevice& self) { return self.properties().name; })
      .def_property_readonly("memory_bytes", [](const LocalDevice& self) { return self.properties().memory_bytes; })
      .def_property_readonly("compiled", &LocalDevice::compiled)
      .def("run", &LocalDevice::run, "graph"_a, "inputs"_a, "feeds"_a, "wraps"_a, "carry"_a, "keep"_a, "seed"_a,
           "first_step"_a, "steps"_a, "progress"_a);
  module.def(
      "open_device",
      [](const std::string& selector, const std::string& cache_directory) {
        return std::make_unique<LocalDevice>(selector, cache_directory);
      },
      "selector"_a, "cache_directory"_a);
  module.def("devices", &devices);
}

}  // namespace quarry::python
