// The printer walks the program once. What a statement is on Hopper stands in its print() and nowhere else.
#include "engine/tile/print_cuda.h"

#include <algorithm>
#include <cassert>
#include <set>

namespace quarry::tile {

namespace {

using graph::DType;
using lower::Expr;
using lower::Kind;

std::string text_of(int64_t value) {
  return std::to_string(value);
}

class Cuda {
 public:
  explicit Cuda(const Program& program)
      : program_(program), layout_(shared_layout(program)), space_(workspace(program)) {}

  CudaKernel run() {
    kernel_.entry = program_.name;
    kernel_.threads = static_cast<uint32_t>(32 * program_.warps);
    kernel_.shared_bytes = static_cast<uint32_t>(layout_.bytes);
    kernel_.workspace_bytes = space_.bytes;
    kernel_.counter_bytes = space_.counter_bytes;
    depth_ = 1;
    set_up();
    body(program_.body);
    kernel_.text =
        kCudaPrelude + std::string(six_columns_ ? kCudaSplitPrelude : "") + mma_functions() + head() + text_ + "}\n";
    return std::move(kernel_);
  }

 private:
  std::string head() {
    std::string text = "KERNEL(" + text_of(kernel_.threads) + ") " + kernel_.entry + "(const Map* maps", begin;
    for (int argument : kernel_.buffers) {
      const Argument& of = program_.arguments[static_cast<size_t>(argument)];
      text += ", " + std::string(storage(of.dtype)) + "* " + of.name + ", i64 " + of.name + "_offset";
      begin += "  " + of.name + " += " + of.name + "_offset;\n";
    }
    if (space_.bytes > 0) {
      text += ", u8* workspace, i64 workspace_offset, u32* counters";
      begin += "  workspace += workspace_offset;\n";
    }
    text += ", int first_tile, int end_tile";
    for (int range : counted_) text += ", int count" + text_of(range);
    return text + ") {\n" + begin;
  }
  static std::string_view storage(DType dtype) { return dtype == DType::F32 ? "float" : "u16"; }

  void line(const std::string& text) { text_ += std::string(static_cast<size_t>(depth_) * 2, ' ') + text + "\n"; }
  void open(const std::string& text) {
    line(text + " {");
    ++depth_;
  }
  void close() {
    --depth_;
    line("}");
  }

  void set_up() {
    line("SHARED;");
    line("const u32 base = (shared_address(shared) + 1023) & ~1023u;");
    line("const u32 thread = thread_number(), lane = thread & 31, warp = thread / 32 & 3, group = thread / 128;");
    open("if (thread == 0)");
    for (size_t i = 0; i < program_.maps.size(); ++i)
      line("prefetch_map(maps + " + text_of(static_cast<int64_t>(i)) + ");");
    for (size_t i = 0; i < program_.rings.size(); ++i) {
      const Ring& ring = program_.rings[i];
      open("for (int i = 0; i < " + text_of(ring.stages) + "; ++i)");
      line("barrier_init(base + " + text_of(layout_.rings[i]) + " + 16 * i, " +
           text_of(std::max(1, ring.producer_warps)) + ");");
      line("barrier_init(base + " + text_of(layout_.rings[i] + 8) + " + 16 * i, " + text_of(ring.consumer_warps) +
           ");");
      close();
    }
    line("barriers_ready();");
    close();
    line("block_sync();");
  }

  // --- expressions ---

  /// `wide`: in 64 bits.
  std::string index(ExprId id, bool wide = false) const {
    const lower::Arena& arena = program_.arena;
    const Expr& expr = arena[id];
    switch (expr.kind) {
      case Kind::Integer:
        return text_of(expr.x);
      case Kind::Range:
        return (wide ? "(i64)r" : "r") + text_of(expr.x);
      case Kind::Sum: {
        std::string text;
        for (const lower::Term& term : arena.terms(id)) {
          if (!text.empty()) text += " + ";
          text += index(term.atom, wide);
          if (term.coefficient != 1) text += " * " + text_of(term.coefficient);
        }
        if (expr.x != 0) text += " + " + text_of(expr.x);
        return "(" + text + ")";
      }
      case Kind::Div:
        return "(" + index(expr.a, wide) + " / " + text_of(expr.x) + ")";  // operands are not negative
      case Kind::Mod:
        return "(" + index(expr.a, wide) + " % " + text_of(expr.x) + ")";
      default:
        assert(!"an index that the printer does not know");
        return "";
    }
  }
  std::string condition(ExprId id) const {
    const Expr& expr = program_.arena[id];
    if (expr.kind == Kind::Between) {
      const std::string at = index(expr.a);
      return expr.x <= program_.arena[expr.a].low
                 ? at + " < " + text_of(expr.y)
                 : at + " >= " + text_of(expr.x) + " && " + at + " < " + text_of(expr.y);
    }
    std::string text;
    for (const lower::Term& term : program_.arena.terms(id))
      text += (text.empty() ? "" : " && ") + condition(term.atom);
    return text.empty() ? "true" : text;
  }
  std::string coordinates(const std::vector<ExprId>& ids) const {
    std::string text;
    for (ExprId id : ids) text += ", " + index(id);
    return text;
  }
  /// The value in f32, before it is rounded to what is stored, of the element `x`.
  std::string value(ExprId id, const std::string& x) const {
    const Expr& expr = program_.arena[id];
    if (expr.kind == Kind::Load && expr.x == kAccumulator) return x;
    if (expr.kind == Kind::Cast) return value(expr.a, x);  // the store rounds
    assert(!"a value that the printer does not know");
    return x;
  }

  // --- places ---

  std::string stage(int ring) const { return "s" + text_of(ring); }
  std::string slot_address(int memory, const std::string& slot) const {
    const auto at = static_cast<size_t>(memory);
    return "base + " + text_of(layout_.memories[at]) + " + " + slot + " * " +
           text_of(program_.memories[at].slot_bytes());
  }
  /// Of the current stage of its ring.
  std::string slot_at(int memory) const {
    return slot_address(memory, stage(program_.memories[static_cast<size_t>(memory)].ring));
  }
  std::string barrier(int ring, Side side) const {
    const int64_t offset = layout_.rings[static_cast<size_t>(ring)] + (side == Side::Empty ? 8 : 0);
    return "base + " + text_of(offset) + " + 16 * " + stage(ring);
  }
  const std::string& fragment(int number) const { return program_.fragments[static_cast<size_t>(number)].name; }
  int64_t registers(int number) const { return program_.fragments[static_cast<size_t>(number)].columns / 2; }
  std::string count(int range, int64_t value) {
    if (std::ranges::find(counted_, range) == counted_.end()) {
      counted_.push_back(range);
      kernel_.counts.push_back(static_cast<int32_t>(value));
    }
    return "count" + text_of(range);
  }
  void need_buffer(int argument) {
    if (std::ranges::find(kernel_.buffers, argument) == kernel_.buffers.end()) kernel_.buffers.push_back(argument);
  }

  // --- statements ---

  void body(const Body& statements) {
    for (const Statement& statement : statements) {
      std::visit([this](const auto& is) { print(is); }, statement.is);
    }
  }

  void print(const Role& role) {
    const int first = role.first_warp / 4, end = first + role.warps / 4;
    open(first == 0 ? "if (group < " + text_of(end) + ")"
                    : "if (group >= " + text_of(first) + " && group < " + text_of(end) + ")");
    if (role.registers > 0) {
      const int64_t given = 65536 / kernel_.threads / 8 * 8;
      line((role.registers > given ? "REGISTERS_UP(" : "REGISTERS_DOWN(") + text_of(role.registers) + ");");
    }
    if (role.group_range >= 0) line("const int r" + text_of(role.group_range) + " = group - " + text_of(first) + ";");
    for (size_t i = 0; i < program_.rings.size(); ++i) {
      const std::string n = text_of(static_cast<int64_t>(i));
      line("int s" + n + " = 0;");
      line("u32 phase" + n + " = 0, held" + n + " = 0;");
    }
    role_ = &role;
    std::set<int> used;
    for_each(role.body, [&](const Statement& statement) {
      if (const auto* zero = std::get_if<Zero>(&statement.is)) used.insert(zero->fragment);
      if (const auto* six = std::get_if<SixProducts>(&statement.is)) used.insert(six->fragment);
    });
    for (int number : used) line("float " + fragment(number) + "[" + text_of(registers(number)) + "];");
    body(role.body);
    close();
  }
  void print(const Thread& thread) {
    open("if (thread == " + text_of(32 * (role_->first_warp + thread.warp)) + ")");
    body(thread.body);
    close();
  }

  void print(const Tiles& tiles) {
    kernel_.tiles = tiles.batches * tiles.m * tiles.n * tiles.parts;
    const std::string m = count(tiles.m_range, tiles.m), n = count(tiles.n_range, tiles.n);
    const auto name = [](int range) { return "r" + text_of(range); };
    open("for (int tile = first_tile + (int)block_number(); tile < end_tile; tile += (int)blocks())");
    std::string rest = "tile";
    if (tiles.parts > 1) {
      line("const int " + name(tiles.part_range) + " = tile % " + text_of(tiles.parts) + ";");
      line("const int whole = tile / " + text_of(tiles.parts) + ";");
      rest = "whole";
    }
    if (tiles.batches > 1) {
      line("const int " + name(tiles.batch_range) + " = " + rest + " / (" + m + " * " + n + ");");
      line("const int flat = " + rest + " % (" + m + " * " + n + ");");
      rest = "flat";
    }
    const std::string rows = text_of(tiles.raster_rows);
    line("const int band = " + rest + " / (" + rows + " * " + n + "), within = " + rest + " % (" + rows + " * " + n +
         ");");
    line("const int left_rows = " + m + " - band * " + rows + ", rows = left_rows < " + rows +
         " ? left_rows : " + rows + ";");
    line("const int " + name(tiles.m_range) + " = band * " + rows + " + within % rows, " + name(tiles.n_range) +
         " = within / rows;");
    body(tiles.body);
    close();
  }

  void print(const For& loop) {
    const std::string name = "r" + text_of(loop.range);
    if (loop.unrolled) line("#pragma unroll");
    const std::string end = loop.unrolled ? text_of(loop.count) : count(loop.range, loop.count);
    open("for (int " + name + " = 0; " + name + " < " + end + "; ++" + name + ")");
    body(loop.body);
    close();
  }

  void print(const Wait& at) {
    line("wait(" + barrier(at.ring, at.side) + ", phase" + text_of(at.ring) +
         (at.side == Side::Empty ? " ^ 1);" : ");"));
  }
  void print(const Expect& at) { line("expect(" + barrier(at.ring, Side::Full) + ", " + text_of(at.bytes) + ");"); }
  void print(const Fill& fill) {
    const Memory& memory = program_.memories[static_cast<size_t>(fill.memory)];
    const int64_t offset = fill.row * memory.columns * graph::byte_size(memory.dtype);
    line("load_box(" + slot_address(fill.memory, stage(memory.ring)) + (offset ? " + " + text_of(offset) : "") +
         ", maps + " + text_of(fill.map) + ", " + barrier(memory.ring, Side::Full) + coordinates(fill.coordinates) +
         ");");
  }
  void print(const Release& release) {
    assert(release.lag <= 1);
    const std::string where = release.lag == 1 ? "held" + text_of(release.ring) : barrier(release.ring, Side::Empty);
    if (release.lag == 0) line("warp_sync();");  // all lanes have read
    const std::string first = release.unless_first >= 0 ? "r" + text_of(release.unless_first) + " > 0 && " : "";
    line("if (" + first + "lane == 0) arrive(" + where + ");");
  }
  void print(const Arrive& at) {
    line("warp_sync();");  // all lanes have written
    line("if (lane == 0) arrive(" + barrier(at.ring, Side::Full) + ");");
  }
  void print(const SplitTile& split) {
    line("split_row<" + text_of(split.transposed) + ">(" + slot_at(split.memory) + ", " + slot_at(split.planes) + ", " +
         slot_at(split.flags) + ", thread & 127, lane);");
  }
  void print(const SplitLeft& split) {
    line("u32 left[3][2][4];");
    line("const u32 infinite = split_left<" + text_of(split.transposed) + ">(" + slot_at(split.memory) + ", " +
         index(split.row) + " + 16 * warp + lane / 4, lane, left);");
  }
  void print(const SixProducts& six) {
    six_columns_ = program_.fragments[static_cast<size_t>(six.fragment)].columns;
    line("six_products(" + fragment(six.fragment) + ", left, " + slot_at(six.planes) + ", " + slot_at(six.flags) +
         ", infinite, group);");
  }
  void print(const AddFragment& add) {
    line("#pragma unroll");
    line("for (int i = 0; i < " + text_of(registers(add.to)) + "; ++i) " + fragment(add.to) +
         "[i] += " + fragment(add.from) + "[i];");
  }
  void print(const Advance& on) {
    const std::string n = text_of(on.ring);
    line("held" + n + " = " + barrier(on.ring, Side::Empty) + ";");
    open("if (++s" + n + " == " + text_of(program_.rings[static_cast<size_t>(on.ring)].stages) + ")");
    line("s" + n + " = 0;");
    line("phase" + n + " ^= 1;");
    close();
  }
  void print(const Zero& zero) {
    line("#pragma unroll");
    line("for (int i = 0; i < " + text_of(registers(zero.fragment)) + "; ++i) " + fragment(zero.fragment) + "[i] = 0;");
  }

  std::string descriptor(const Operand& operand) const {
    const Memory& memory = program_.memories[static_cast<size_t>(operand.memory)];
    std::string at = slot_address(operand.memory, memory.ring >= 0 ? stage(memory.ring) : "0");
    // Rows are 128 bytes apart; of a transposed operand, boxes of 64 x 64 are 64 rows apart, and k runs down them.
    if (!program_.arena.is_integer(operand.row, 0)) at += " + " + index(operand.row) + " * 128";
    const int64_t slice = operand.transposed ? 2048 : 32;
    if (!program_.arena.is_integer(operand.k, 0)) at += " + " + index(operand.k) + " * " + text_of(slice);
    return "describe(" + at + ", 8192, 1024, 1)";
  }
  void print(const Mma& mma) {
    const Fragment& of = program_.fragments[static_cast<size_t>(mma.fragment)];
    const bool bf16 = matrix_rows()[static_cast<size_t>(of.row)].in == DType::BF16;
    const MmaForm form{of.columns, bf16 ? "bf16" : "f16", mma.left.transposed, mma.right.transposed};
    forms_.insert(form);
    line(form.name() + "(" + of.name + ", " + descriptor(mma.left) + ", " + descriptor(mma.right) + ");");
  }
  void print(const MmaFence&) { line("mma_fence();"); }
  void print(const MmaCommit&) { line("mma_commit();"); }
  void print(const MmaWait& wait) { line("MMA_WAIT(" + text_of(wait.groups) + ");"); }
  void print(const ProxyFence&) { line("proxy_fence();"); }
  void print(const GroupSync&) { line("group_sync(group);"); }

  void print(const Elements& elements) {
    if (elements.memory < 0) return direct(elements);
    const bool narrow = program_.memories[static_cast<size_t>(elements.memory)].dtype != DType::F32;
    open("");
    line("const u32 row = 16 * warp + " + std::string(narrow ? "(lane & 15)" : "lane / 4") +
         ", to = " + slot_address(elements.memory, index(elements.slot)) + " + row * 128;");
    if (narrow) {
      stage_16_bits(elements);
    } else {
      stage_32_bits(elements);
    }
    close();
  }
  /// Four 8 x 8 matrices at a time; the 16-byte pieces of a row are swizzled by its number.
  void stage_16_bits(const Elements& elements) {
    const std::string pack =
        program_.memories[static_cast<size_t>(elements.memory)].dtype == DType::BF16 ? "pack_bf16(" : "pack_f16(";
    const std::string& c = fragment(elements.fragment);
    const auto pair = [&](int e) {
      const auto x = [&](int i) { return value(elements.value, c + "[e + " + text_of(i) + "]"); };
      return pack + x(e) + ", " + x(e + 1) + ")";
    };
    line("#pragma unroll");
    open("for (int i = 0; i < " + text_of(elements.count / 16) + "; ++i)");
    line("const int e = " + index(elements.first) + " / 2 + 8 * i;");
    line("store_matrices(to + (((2 * i + (lane >> 4)) ^ (row & 7)) << 4), " + pair(0) + ", " + pair(2) + ", " +
         pair(4) + ", " + pair(6) + ");");
    close();
  }
  void stage_32_bits(const Elements& elements) {
    const std::string& c = fragment(elements.fragment);
    const auto x = [&](int i) { return value(elements.value, c + "[e + " + text_of(i) + "]"); };
    line("#pragma unroll");
    open("for (int i = 0; i < " + text_of(elements.count / 8) + "; ++i)");
    line("const int e = " + index(elements.first) + " / 2 + 4 * i;");
    line("const u32 at = to + (((2 * i + ((lane & 3) >> 1)) ^ (row & 7)) << 4) + (lane & 1) * 8;");
    line("store_shared(at, " + x(0) + ", " + x(1) + ");");
    line("store_shared(at + 1024, " + x(2) + ", " + x(3) + ");");  // 8 rows on
    close();
  }
  void direct(const Elements& elements) {
    const Argument& argument = program_.arguments[static_cast<size_t>(elements.argument)];
    need_buffer(elements.argument);
    const std::string row = "r" + text_of(elements.row_range), column = "r" + text_of(elements.column_range);
    line("#pragma unroll");
    open("for (int e = 0; e < " + text_of(elements.count / 2) + "; ++e)");
    line("const int " + row + " = 16 * warp + lane / 4 + 8 * (e / 2 % 2), " + column +
         " = e / 4 * 8 + 2 * (lane & 3) + e % 2;");
    const std::string x =
        value(elements.value, fragment(elements.fragment) + "[" + index(elements.first) + " / 2 + e]");
    const std::string to =
        argument.dtype == DType::F32 ? x : (argument.dtype == DType::BF16 ? "to_bf16(" : "to_f16(") + x + ")";
    line("if (" + condition(elements.condition) + ") " + argument.name + "[" + index(elements.index, true) +
         "] = " + to + ";");
    close();
  }

  void print(const StoreTile& store) {
    line("if ((thread & 127) == 0) store_box(maps + " + text_of(store.map) + ", " +
         slot_address(store.memory, index(store.slot)) + coordinates(store.coordinates) + ");");
  }
  void print(const StoreWait& wait) {
    line("if ((thread & 127) == 0) " + std::string(wait.done ? "STORE_WAIT(" : "STORE_WAIT_READ(") +
         text_of(wait.groups) + ");");
  }

  void print(const JoinParts& parts) {
    const std::string& c = fragment(parts.fragment);
    const int64_t quads = registers(parts.fragment) / 4, elements = 128 * registers(parts.fragment);
    const std::string flag = "base + " + text_of(layout_.flag) + " + 4 * group";
    open("");
    line("const i64 joined = " + index(parts.tile, true) + ";");
    line("float* const all = (float*)workspace + joined * " + text_of(parts.parts * elements) +
         " + (thread & 127) * 4;");
    line("float* const mine = all + " + index(parts.part, true) + " * " + text_of(elements) + ";");
    line("#pragma unroll");
    line("for (int i = 0; i < " + text_of(quads) + "; ++i) store_four(mine + i * 512, " + c + " + 4 * i);");
    line("device_fence();");
    line("group_sync(group);");
    open("if ((thread & 127) == 0)");
    line("u32* const counter = counters + joined;");
    line("const u32 last = count_up(counter) == " + text_of(parts.parts - 1) + ";");
    line("if (last) *counter = 0;");
    line("store_shared(" + flag + ", last);");
    close();
    line("group_sync(group);");
    open("if (load_shared(" + flag + "))");
    line("device_fence();");
    print(Zero{parts.fragment});
    open("for (int part = 0; part < " + text_of(parts.parts) + "; ++part)");
    line("#pragma unroll");
    line("for (int i = 0; i < " + text_of(quads) + "; ++i) add_four(all + part * " + text_of(elements) +
         " + i * 512, " + c + " + 4 * i);");
    close();
    body(parts.body);
    close();
    close();
  }

  /// One instruction with its number of accumulators in its text.
  struct MmaForm {
    int64_t columns;
    std::string dtype;
    bool left_transposed, right_transposed;
    auto operator<=>(const MmaForm&) const = default;
    std::string name() const {
      return "mma_n" + text_of(columns) + (left_transposed ? "_t" : "_n") + (right_transposed ? "t" : "n");
    }
  };
  std::string mma_functions() const {
    std::string text;
    for (const MmaForm& form : forms_) {
      const int64_t count = form.columns / 2;
      const auto [places, outputs] = accumulators(count);
      text += "DEVICE void " + form.name() +
              "(float* d, u64 a, u64 b) {\n  asm volatile(\"wgmma.mma_async.sync.aligned.m64n" + text_of(form.columns) +
              "k16.f32." + form.dtype + "." + form.dtype + " {" + places + "}, %" + text_of(count) + ", %" +
              text_of(count + 1) + ", 1, 1, 1, " + text_of(form.left_transposed) + ", " +
              text_of(form.right_transposed) + ";\"\n    : " + outputs + " : \"l\"(a), \"l\"(b));\n}\n";
    }
    if (six_columns_ == 0) return text;
    const std::string count = text_of(six_columns_ / 2);
    const auto [places, outputs] = accumulators(six_columns_ / 2);
    const auto at = [&](int64_t i) { return "%" + text_of(six_columns_ / 2 + i); };
    return text +
           "DEVICE void mma_left(float* d, const u32* a, u64 b, int keep) {\n  asm volatile(\"{ .reg .pred p; "
           "setp.ne.b32 p, " +
           at(5) + ", 0; wgmma.mma_async.sync.aligned.m64n" + text_of(six_columns_) + "k16.f32.bf16.bf16 {" + places +
           "}, {" + at(0) + ", " + at(1) + ", " + at(2) + ", " + at(3) + "}, " + at(4) +
           ", p, 1, 1, 0; }\"\n    : " + outputs +
           " : \"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2]), \"r\"(a[3]), \"l\"(b), \"r\"(keep));\n}\nSIX_PRODUCTS(" + count +
           ")\n";
  }
  static std::pair<std::string, std::string> accumulators(int64_t count) {
    std::string places, outputs;
    for (int64_t i = 0; i < count; ++i) {
      places += (i ? ", %" : "%") + text_of(i);
      outputs += (i ? ", \"+f\"(d[" : "\"+f\"(d[") + text_of(i) + "])";
    }
    return {places, outputs};
  }

  const Program& program_;
  SharedLayout layout_;
  Workspace space_;
  CudaKernel kernel_;
  std::string text_;
  int depth_ = 0;
  int64_t six_columns_ = 0;  ///< of the fragment of SixProducts, if there is one
  const Role* role_ = nullptr;
  std::vector<int> counted_;
  std::set<MmaForm> forms_;
};

}  // namespace

CudaKernel print_cuda(const Program& program) {
  assert(verify(program).empty());
  return Cuda(program).run();
}

}  // namespace quarry::tile
