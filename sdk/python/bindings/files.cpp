// Headers of safetensors files: the engine's reader, which trusts nothing, and its writer.
#include "engine/io/safetensors.h"
#include "sdk/python/bindings/bindings.h"

namespace quarry::python {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// {name: (dtype, shape, offset of its data in the file, bytes)}, in the order of the data.
py::dict parse_header(const py::bytes& head, uint64_t file_bytes) {
  const std::string text = head;
  const auto entries = value_or_raise(io::parse_header(bytes_of(text), file_bytes));
  std::vector<std::pair<std::string, io::TensorEntry>> ordered(entries.begin(), entries.end());
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto& a, const auto& b) { return a.second.offset < b.second.offset; });
  py::dict found;
  for (const auto& [name, entry] : ordered)
    found[py::str(name)] =
        py::make_tuple(std::string(graph::name(entry.dtype)), shape_tuple(entry.shape), entry.offset, entry.bytes);
  return found;
}

using Described = std::tuple<std::string, std::string, std::vector<int64_t>, uint64_t>;

py::bytes write_header(const std::vector<Described>& tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<io::NamedTensor> named;
  for (const auto& [name, dtype, shape, bytes] : tensors) named.push_back({name, dtype_named(dtype), shape, bytes});
  const std::vector<std::byte> head = io::write_header(named, metadata);
  return {reinterpret_cast<const char*>(head.data()), head.size()};
}

}  // namespace

void bind_files(py::module_& module) {
  module.attr("MAX_SAFETENSORS_HEADER_BYTES") = io::kMaxHeaderBytes;
  module.def(
      "safetensors_header_bytes",
      [](const py::bytes& first, uint64_t file_bytes) {
        const std::string text = first;
        return value_or_raise(io::header_bytes(bytes_of(text), file_bytes));
      },
      "first_eight"_a, "file_bytes"_a);
  module.def("parse_safetensors_header", &parse_header, "head"_a, "file_bytes"_a);
  module.def("write_safetensors_header", &write_header, "tensors"_a, "metadata"_a);
}

}  // namespace quarry::python
