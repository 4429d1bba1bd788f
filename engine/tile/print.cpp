// The golden text of a program.
#include <string>

#include "engine/tile/tile.h"

namespace quarry::tile {

namespace {

std::string_view swizzle_name(Swizzle swizzle) {
  return swizzle == Swizzle::B128 ? " B128" : swizzle == Swizzle::B64 ? " B64" : "";
}

class Printer {
 public:
  explicit Printer(const Program& program) : program_(program) {}

  std::string run() {
    text_ = "program " + program_.name + ": " + std::to_string(program_.warps) + " warps, " +
            std::to_string(shared_layout(program_).bytes) + " bytes shared\n";
    declarations();
    body(program_.body);
    return text_;
  }

 private:
  void declarations() {
    for (const Argument& argument : program_.arguments) {
      text_ += "argument " + argument.name + ": " + std::string(graph::name(argument.dtype)) + "[" +
               std::to_string(argument.elements) + "]\n";
    }
    for (size_t i = 0; i < program_.maps.size(); ++i) map(i);
    for (const Memory& memory : program_.memories) {
      text_ += "memory " + memory.name + ": " + std::string(graph::name(memory.dtype)) + " " +
               std::to_string(memory.rows) + "x" + std::to_string(memory.columns) +
               std::string(swizzle_name(memory.swizzle)) + " x" + std::to_string(memory.slots) + "\n";
    }
    for (const Ring& ring : program_.rings) {
      text_ += "ring " + ring.name + ": " + std::to_string(ring.stages) + " stages, emptied by " +
               std::to_string(ring.consumer_warps) + " warps" +
               (ring.producer_warps ? ", filled by " + std::to_string(ring.producer_warps) : "") + "\n";
    }
    for (const Fragment& fragment : program_.fragments) {
      const MatrixRow& row = matrix_rows()[static_cast<size_t>(fragment.row)];
      text_ += "fragment " + fragment.name + ": " + std::to_string(row.m) + "x" + std::to_string(fragment.columns) +
               " " + std::string(row.name) + "\n";
    }
  }

  void map(size_t number) {
    const TensorMap& map = program_.maps[number];
    text_ += "map" + std::to_string(number) + ": " + argument(map.argument);
    if (map.offset) text_ += " + " + std::to_string(map.offset);
    text_ += " extents" + list(map.extents) + " strides" + list(map.strides) + " box" + list(map.box) +
             std::string(swizzle_name(map.swizzle)) + "\n";
  }
  static std::string list(const std::vector<int64_t>& values) {
    std::string text;
    for (int64_t value : values) text += (text.empty() ? "[" : ", ") + std::to_string(value);
    return text + "]";
  }

  const std::string& argument(int number) const { return program_.arguments[static_cast<size_t>(number)].name; }
  const std::string& memory(int number) const { return program_.memories[static_cast<size_t>(number)].name; }
  const std::string& ring(int number) const { return program_.rings[static_cast<size_t>(number)].name; }
  const std::string& fragment(int number) const { return program_.fragments[static_cast<size_t>(number)].name; }
  std::string expr(ExprId id) const { return id == kNoExpr ? "-" : lower::to_string(program_.arena, id); }
  std::string coordinates(const std::vector<ExprId>& ids) const {
    std::string text;
    for (ExprId id : ids) text += (text.empty() ? "(" : ", ") + expr(id);
    return text + ")";
  }
  static std::string range(int number) { return "r" + std::to_string(number); }

  void line(const std::string& text) { text_ += std::string(static_cast<size_t>(depth_) * 2, ' ') + text + "\n"; }
  void body(const Body& statements) {
    for (const Statement& statement : statements) {
      std::visit([this](const auto& is) { print(is); }, statement.is);
    }
  }
  void nested(const std::string& head, const Body& statements) {
    line(head);
    ++depth_;
    body(statements);
    --depth_;
  }

  void print(const Role& role) {
    nested("role " + role.name + " (warps " + std::to_string(role.first_warp) + ".." +
               std::to_string(role.first_warp + role.warps - 1) +
               (role.group_range >= 0 ? ", group " + range(role.group_range) : "") + "): registers " +
               std::to_string(role.registers),
           role.body);
  }
  void print(const Thread& thread) { nested("one thread of warp " + std::to_string(thread.warp), thread.body); }
  void print(const Tiles& tiles) {
    nested("tiles " + range(tiles.batch_range) + " < " + std::to_string(tiles.batches) + ", " + range(tiles.m_range) +
               " < " + std::to_string(tiles.m) + ", " + range(tiles.n_range) + " < " + std::to_string(tiles.n) + ", " +
               range(tiles.part_range) + " < " + std::to_string(tiles.parts) + " raster " +
               std::to_string(tiles.raster_rows),
           tiles.body);
  }
  void print(const For& loop) {
    nested("for " + range(loop.range) + " < " + std::to_string(loop.count) + (loop.unrolled ? " unrolled" : ""),
           loop.body);
  }
  void print(const Wait& wait) { line("wait " + ring(wait.ring) + (wait.side == Side::Full ? ".full" : ".empty")); }
  void print(const Expect& expect) {
    line("expect " + ring(expect.ring) + " " + std::to_string(expect.bytes) + " bytes");
  }
  void print(const Fill& fill) {
    line("fill " + memory(fill.memory) + "[" + std::to_string(fill.row) + "..] from map" + std::to_string(fill.map) +
         coordinates(fill.coordinates));
  }
  void print(const Release& release) {
    line("release " + ring(release.ring) + " lag " + std::to_string(release.lag) +
         (release.unless_first >= 0 ? " unless " + range(release.unless_first) + " is 0" : ""));
  }
  void print(const Arrive& arrive) { line("arrive " + ring(arrive.ring)); }
  void print(const SplitTile& split) {
    line("split " + memory(split.memory) + (split.transposed ? " transposed" : "") + " into " + memory(split.planes) +
         ", " + memory(split.flags));
  }
  void print(const SplitLeft& split) {
    line("split left " + memory(split.memory) + "(" + expr(split.row) + (split.transposed ? ", transposed)" : ")"));
  }
  void print(const SixProducts& six) {
    line("six products " + fragment(six.fragment) + " = left x " + memory(six.planes) + " by " + memory(six.flags));
  }
  void print(const AddFragment& add) { line("add " + fragment(add.to) + " += " + fragment(add.from)); }
  void print(const Advance& on) { line("advance " + ring(on.ring)); }
  void print(const Zero& zero) { line("zero " + fragment(zero.fragment)); }
  std::string operand(const Operand& operand) const {
    return memory(operand.memory) + "(" + expr(operand.row) + ", slice " + expr(operand.k) +
           (operand.transposed ? ", transposed)" : ")");
  }
  void print(const Mma& mma) {
    line("mma " + fragment(mma.fragment) + " += " + operand(mma.left) + " x " + operand(mma.right));
  }
  void print(const MmaFence&) { line("mma fence"); }
  void print(const MmaCommit&) { line("mma commit"); }
  void print(const MmaWait& wait) { line("mma wait " + std::to_string(wait.groups)); }
  void print(const ProxyFence&) { line("proxy fence"); }
  void print(const GroupSync&) { line("group sync"); }
  void print(const Elements& elements) {
    std::string text = "elements " + fragment(elements.fragment) + "(" + range(elements.row_range) + ", " +
                       expr(elements.first) + " + " + range(elements.column_range) + " < " +
                       std::to_string(elements.count) + "): ";
    if (elements.memory >= 0) {
      text += memory(elements.memory) + "[" + expr(elements.slot) + "]";
    } else {
      text += argument(elements.argument) + "[" + expr(elements.index) + "] if " + expr(elements.condition);
    }
    line(text + " = " + expr(elements.value));
  }
  void print(const StoreTile& store) {
    line("store " + memory(store.memory) + "[" + expr(store.slot) + "] to map" + std::to_string(store.map) +
         coordinates(store.coordinates));
  }
  void print(const StoreWait& wait) { line("store wait " + std::to_string(wait.groups) + (wait.done ? " done" : "")); }
  void print(const JoinParts& parts) {
    nested("join parts " + fragment(parts.fragment) + ": part " + expr(parts.part) + " of " +
               std::to_string(parts.parts) + ", tile " + expr(parts.tile) + " of " + std::to_string(parts.tiles),
           parts.body);
  }

  const Program& program_;
  std::string text_;
  int depth_ = 0;
};

}  // namespace

std::string to_string(const Program& program) {
  return Printer(program).run();
}

}  // namespace quarry::tile
