#include "engine/device/gpu/module.h"

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace quarry::device::gpu {

namespace {

// CU_JIT_ERROR_LOG_BUFFER and CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES; HIP gives them the same numbers.
constexpr int kErrorLog = 5, kErrorLogBytes = 6;
constexpr size_t kMostLog = 2'000;

class GpuModule final : public Module, public std::enable_shared_from_this<GpuModule> {
 public:
  GpuModule(std::shared_ptr<const Library> library, Context context, ModuleHandle module, std::vector<char> binary)
      : library_(std::move(library)), context_(context), module_(module), binary_(std::move(binary)) {}
  ~GpuModule() override {
    library_->call.use_context(context_);
    library_->call.unload_module(module_);
  }
  GpuModule(const GpuModule&) = delete;
  GpuModule& operator=(const GpuModule&) = delete;

  Result<std::shared_ptr<Entry>> entry(const std::string& name) override {
    Function function = nullptr;
    library_->call.use_context(context_);
    if (const Error error = library_->call.function(&function, module_, name.c_str()); error != 0)
      return problem_of(*library_, ("finding " + name).c_str(), error);
    return std::shared_ptr<Entry>(std::make_shared<GpuEntry>(shared_from_this(), function));
  }
  std::vector<char> binary() const override { return binary_; }

 private:
  std::shared_ptr<const Library> library_;
  Context context_;
  ModuleHandle module_;
  std::vector<char> binary_;
};

}  // namespace

// The driver assembles PTX, which keeps what the text says of registers; linking it as a part of a program would not.
Result<std::shared_ptr<Module>> load_module(std::shared_ptr<const Library> library, Context context,
                                            std::span<const char> binary) {
  std::vector<char> image(binary.begin(), binary.end());
  image.push_back('\0');  // PTX is text, and ends with a zero
  std::array<char, kMostLog> log{};
  std::array<int, 2> options{kErrorLog, kErrorLogBytes};
  std::array<void*, 2> values{log.data(), reinterpret_cast<void*>(log.size())};
  ModuleHandle module = nullptr;
  const Error error = library->call.load_module(&module, image.data(), static_cast<unsigned>(options.size()),
                                                options.data(), values.data());
  if (error != 0) {
    Problem problem = problem_of(*library, "loading a kernel", error);
    if (problem.code != "out_of_memory") problem.code = "compile_failed";
    log.back() = '\0';
    if (log[0] != '\0') problem.detail += ": " + std::string(log.data());
    return problem;
  }
  image.pop_back();
  return std::shared_ptr<Module>(std::make_shared<GpuModule>(std::move(library), context, module, std::move(image)));
}

}  // namespace quarry::device::gpu
