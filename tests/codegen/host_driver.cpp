#include <dlfcn.h>
#include <sys/wait.h>
#include <ucontext.h>

#include <cstdlib>
#include <cstring>
#include <functional>

#include "engine/codegen/dialects/dialect.h"
#include "tests/codegen/run_program.h"
#include "tests/support/scratch.h"

namespace quarry::test {

using namespace quarry::device;

namespace {

// The words of a GPU's prelude, for this machine.
constexpr std::string_view kWords = R"(#define KERNEL(items) extern "C" void
#define HELPER static inline
#define SHARED static
#define GLOBAL
#define RESTRICT __restrict__
#define GRID_ITEM(items) ((ulong)(first_group + q_group) * items + q_item)
#define GROUP_ITEM q_item
#define SYNCHRONISE q_wait()
#define LOOP for
extern "C" { unsigned q_group, q_item; void (*q_wait)(); unsigned q_exchanged[1024]; }
)";
constexpr std::string_view kFunctions = R"(HELPER uint q_exchange(uint x, int mask) {
  q_exchanged[q_item] = x;
  q_wait();
  const uint other = q_exchanged[q_item ^ (uint)mask];
  q_wait();
  return other;
}
)";

struct Memory final : Buffer {
  explicit Memory(uint64_t bytes) : size(bytes), data(std::aligned_alloc(256, (bytes + 511) / 256 * 256)) {}
  ~Memory() override { std::free(data); }
  uint64_t bytes() const override { return size; }
  uint64_t size;
  void* data;
};

std::byte* address(const BufferRange& range) {
  return static_cast<std::byte*>(static_cast<Memory*>(range.buffer)->data) + range.offset;
}

struct Library {
  Scratch scratch;
  void* handle = nullptr;
  ~Library() {
    if (handle != nullptr) dlclose(handle);
  }
};

using Function = void (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                          uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

struct HostEntry final : Entry {
  std::shared_ptr<Library> library;
  Function function;
  unsigned *group, *item;
  void (**wait)();
};

struct HostModule final : Module {
  std::shared_ptr<Library> library = std::make_shared<Library>();
  Result<std::shared_ptr<Entry>> entry(const std::string& name) override {
    auto entry = std::make_shared<HostEntry>();
    entry->library = library;
    entry->function = reinterpret_cast<Function>(dlsym(library->handle, name.c_str()));
    entry->group = static_cast<unsigned*>(dlsym(library->handle, "q_group"));
    entry->item = static_cast<unsigned*>(dlsym(library->handle, "q_item"));
    entry->wait = static_cast<void (**)()>(dlsym(library->handle, "q_wait"));
    if (entry->function == nullptr) return Problem{"compile_failed", "no kernel " + name, "", ""};
    return std::shared_ptr<Entry>(std::move(entry));
  }
  std::vector<char> binary() const override { return {}; }
};

// Items that run in turn: one waits by going back to run(), which goes on with the next.
class Turns {
 public:
  void run(unsigned items, unsigned* item, void (**wait)(), const std::function<void()>& body) {
    current_ = this;
    body_ = &body;
    *wait = [] { swapcontext(&current_->contexts_[current_->item_], &current_->back_); };
    contexts_.resize(items);
    stacks_.resize(items);
    std::vector<bool> done(items, false);
    for (unsigned i = 0; i < items; ++i) {
      stacks_[i].resize(64 << 10);
      getcontext(&contexts_[i]);
      contexts_[i].uc_stack.ss_sp = stacks_[i].data();
      contexts_[i].uc_stack.ss_size = stacks_[i].size();
      contexts_[i].uc_link = &back_;
      makecontext(
          &contexts_[i],
          [] {
            (*current_->body_)();
            current_->ended_ = true;
          },
          0);
    }
    for (unsigned left = items; left > 0;) {
      for (unsigned i = 0; i < items; ++i) {
        if (done[i]) continue;
        item_ = *item = i;
        ended_ = false;
        swapcontext(&back_, &contexts_[i]);
        if (ended_) {
          done[i] = true;
          --left;
        }
      }
    }
  }

 private:
  static inline Turns* current_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  std::vector<ucontext_t> contexts_;
  std::vector<std::vector<char>> stacks_;
  ucontext_t back_{};
  unsigned item_ = 0;
  bool ended_ = false;
};

class HostDriver final : public Driver {
 public:
  HostDriver() {
    capabilities_.properties.name = capabilities_.properties.backend = "host";
    capabilities_.properties.memory_bytes = capabilities_.properties.max_allocation_bytes = uint64_t{1} << 30;
    capabilities_.properties.is_gpu = true;
    capabilities_.properties.compute_units = 2;
    capabilities_.target = {.dialect = codegen::Dialect::Hip, .is_gpu = true, .compute_units = 2};
  }
  const Capabilities& capabilities() const override { return capabilities_; }
  Result<std::shared_ptr<Buffer>> allocate(uint64_t bytes) override {
    return std::shared_ptr<Buffer>(std::make_shared<Memory>(bytes));
  }
  Status copy_in(BufferRange to, std::span<const std::byte> from) override {
    if (!from.empty()) std::memcpy(address(to), from.data(), from.size());
    return {};
  }
  Status copy_out(std::span<std::byte> to, BufferRange from) override {
    if (!to.empty()) std::memcpy(to.data(), address(from), to.size());
    return {};
  }
  Status copy(BufferRange to, BufferRange from) override {
    std::memmove(address(to), address(from), to.bytes);
    return {};
  }
  Status zero(BufferRange range) override {
    std::memset(address(range), 0, range.bytes);
    return {};
  }
  Result<std::shared_ptr<Module>> load(std::span<const char>) override {
    return Problem{"compile_failed", "this driver keeps no binaries", "", ""};
  }
  Status wait() override { return {}; }

  // The HIP prelude's functions are clang's builtins, which this machine has too; its words and its exchange are not.
  Result<std::shared_ptr<Module>> build(const std::string& text) override {
    const std::string_view prelude = codegen::text_of(codegen::Dialect::Hip).prelude;
    const std::string functions(prelude.substr(prelude.find("typedef uint q_words2")));
    const std::string words(prelude.substr(prelude.find("#define WORDS2"),
                                           prelude.find("typedef unsigned char") - prelude.find("#define WORDS2")));
    auto module = std::make_shared<HostModule>();
    const Scratch& scratch = module->library->scratch;
    const std::string source =
        scratch.write("text.cpp", std::string(kWords) + words + std::string(codegen::kScalarFunctions) +
                                      std::string(kFunctions) + functions + text.substr(prelude.size()));
    const std::string library = scratch.path / "text.so", log = scratch.path / "log";
    const std::string command = "clang-19 -x c++ -std=c++17 -O1 -march=native -w -ffp-contract=off -shared -fPIC " +
                                source + " -o " + library + " 2> " + log;
    const int status = std::system(command.c_str());
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      return Problem{"compile_failed", scratch.read("log").substr(0, 2000), "", ""};
    module->library->handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module->library->handle == nullptr) return Problem{"compile_failed", dlerror(), "", ""};
    return std::shared_ptr<Module>(std::move(module));
  }

  Status launch(Entry& entry, const Groups& groups, std::span<const Argument> arguments) override {
    const auto& host = static_cast<const HostEntry&>(entry);
    uint64_t a[16] = {};
    if (arguments.size() >= std::size(a)) return Problem{"device_error", "too many arguments for this driver", "", ""};
    size_t count = 0;
    for (const Argument& argument : arguments) {
      a[count++] = argument.buffer != nullptr ? reinterpret_cast<uint64_t>(static_cast<Memory*>(argument.buffer)->data)
                                              : argument.bits;
    }
    a[count] = groups.first;
    for (uint64_t group = 0; group < groups.count; ++group) {
      *host.group = static_cast<unsigned>(group);
      Turns().run(groups.items, host.item, host.wait, [&] {
        host.function(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14],
                      a[15]);
      });
    }
    return {};
  }

 private:
  Capabilities capabilities_;
};

}  // namespace

std::unique_ptr<Driver> host_driver() {
  return std::make_unique<HostDriver>();
}

}  // namespace quarry::test
