#include "engine/templates/contraction.h"

#include <algorithm>

#include "engine/tile/pipeline.h"

namespace quarry::templates {

using graph::DType;
using tile::Body;
using tile::ExprId;
using tile::Program;

namespace {

constexpr int64_t kStageBytes = 128;                              ///< of a row along k in a stage: one swizzle
constexpr int64_t kGroupRows = 64;                                ///< of a warpgroup
constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;  ///< of 65,536 in all with two consumers
// Of split sums: the producer, the warpgroup that splits the right operand, two consumers.
constexpr int kFillRegisters = 24, kSplitRegisters = 88, kSplitConsumerRegisters = 200;
constexpr int kRightStages = 3, kPlaneStages = 4;  ///< beside four of the left operand: 208 KiB
constexpr ContractionSchedule kSplitTile{.block_m = 128, .block_n = 128, .stages = 4};  ///< the only one that is split

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Whether the operand is contiguous along m or n, not along k.
bool is_transposed(const OperandView& view, int64_t rows, int64_t k) {
  return k > 1 ? view.k_stride != 1 : rows > 1 && view.row_stride == 1;
}

class Contraction {
 public:
  Contraction(const ContractionProblem& problem, const ContractionSchedule& schedule)
      : problem_(problem), schedule_(schedule), arena_(program_.arena) {}

  std::optional<Program> run() {
    if (!takes()) return std::nullopt;
    declare();
    if (staged_) declare_staging();
    add_roles();
    if (!tile::verify(program_).empty()) return std::nullopt;
    return std::move(program_);
  }

 private:
  bool takes() const {
    const bool narrow = problem_.operand == DType::BF16 || problem_.operand == DType::F16;
    if (splits() && (schedule_.block_m != kSplitTile.block_m || schedule_.block_n != kSplitTile.block_n ||
                     schedule_.stages != kSplitTile.stages)) {
      return false;
    }
    const bool stores =
        problem_.result == DType::F32 || problem_.result == DType::BF16 || problem_.result == DType::F16;
    if (!(narrow || splits()) || !stores) return false;
    if (problem_.m < 1 || problem_.n < 1 || problem_.k < 1) return false;
    const auto& [parts, block_m, block_n, stages, raster_rows] = schedule_;
    return parts >= 1 && (block_m == 64 || block_m == 128) && block_n >= 8 && block_n <= 256 && block_n % 8 == 0 &&
           stages >= 2 && raster_rows >= 1 && problem_.left.argument > 0 && problem_.right.argument > 0;
  }

  bool splits() const { return problem_.operand == DType::F32; }
  int64_t depth() const { return kStageBytes / graph::byte_size(problem_.operand); }
  int groups() const { return static_cast<int>(schedule_.block_m / kGroupRows); }
  int64_t batches() const {
    int64_t product = 1;
    for (int64_t extent : problem_.batches) product *= extent;
    return product;
  }

  void declare() {
    program_.name = "contraction";
    program_.warps = 4 * (1 + groups() + (splits() ? 1 : 0));
    const int arguments = std::max(problem_.left.argument, problem_.right.argument) + 1;
    program_.arguments.push_back({"result", problem_.result, problem_.result_elements});
    for (int i = 1; i < arguments; ++i) {
      const OperandView& view = i == problem_.left.argument ? problem_.left : problem_.right;
      program_.arguments.push_back({"read" + std::to_string(i - 1), problem_.operand, view.elements});
    }
    batch_ = program_.new_range(batches());
    tiles_m_ = ceil_div(problem_.m, schedule_.block_m);
    tiles_n_ = ceil_div(problem_.n, schedule_.block_n);
    m_ = program_.new_range(tiles_m_);
    n_ = program_.new_range(tiles_n_);
    part_ = program_.new_range(schedule_.parts);
    steps_ = ceil_div(ceil_div(problem_.k, depth()), schedule_.parts);
    if (splits()) {
      declare_split();
    } else {
      pipeline_.emplace(program_, "stages", schedule_.stages, 4 * groups());
      left_ = operand("a", *pipeline_, problem_.left, problem_.m, schedule_.block_m);
      right_ = operand("b", *pipeline_, problem_.right, problem_.n, schedule_.block_n);
      const char* row = problem_.operand == DType::BF16 ? "wgmma.m64k16.bf16" : "wgmma.m64k16.f16";
      program_.fragments.push_back({"c", tile::matrix_row(row), schedule_.block_n});
    }
    staged_ = can_stage();
  }

  void declare_split() {
    pipeline_.emplace(program_, "left", schedule_.stages, 4 * groups());
    right_pipeline_.emplace(program_, "right", kRightStages, 4);
    plane_pipeline_.emplace(program_, "split", kPlaneStages, 4 * groups(), 4);
    left_ = operand("a", *pipeline_, problem_.left, problem_.m, schedule_.block_m);
    right_ = operand("b", *right_pipeline_, problem_.right, problem_.n, schedule_.block_n);
    planes_ = plane_pipeline_->memory("planes", DType::BF16, 3 * schedule_.block_n, depth(), tile::Swizzle::B64);
    flags_ = plane_pipeline_->memory("flags", DType::I32, 4, 4, tile::Swizzle::None);
    const int row = tile::matrix_row("wgmma.m64k16.bf16");
    program_.fragments = {{"c", row, schedule_.block_n}, {"stage_sum", row, schedule_.block_n}};
  }

  struct Side {
    int memory, map;
    bool transposed;
    int64_t boxes;  ///< of one stage
  };

  Side operand(const char* name, tile::Pipeline& pipeline, const OperandView& view, int64_t rows, int64_t block) {
    Side side{.memory = 0,
              .map = static_cast<int>(program_.maps.size()),
              .transposed = is_transposed(view, rows, problem_.k),
              .boxes = 1};
    tile::TensorMap map{.argument = view.argument, .dtype = problem_.operand, .offset = view.offset};
    map.extents = side.transposed ? std::vector{rows, problem_.k} : std::vector{problem_.k, rows};
    map.strides = {side.transposed ? view.row_stride : view.k_stride,
                   side.transposed ? view.k_stride : view.row_stride};
    map.box = {depth(), side.transposed ? depth() : block};
    // The stride of an axis of one element does not matter, so it is what the engine wants.
    if (map.extents[0] == 1) map.strides[0] = 1;
    if (map.extents[1] == 1) map.strides[1] = 16 / graph::byte_size(problem_.operand);
    add_batches(map, view.batch_strides);
    if (side.transposed) side.boxes = ceil_div(block, depth());
    side.memory = pipeline.memory(name, problem_.operand, side.transposed ? depth() * side.boxes : block, depth(),
                                  tile::Swizzle::B128);
    program_.maps.push_back(std::move(map));
    return side;
  }

  // Batch axes along which the argument does not move need no axis of its map.
  bool moves(size_t axis, const std::vector<int64_t>& strides) const {
    return problem_.batches[axis] > 1 && strides[axis] != 0;
  }
  void add_batches(tile::TensorMap& map, const std::vector<int64_t>& strides) const {
    for (size_t i = problem_.batches.size(); i-- > 0;) {  // innermost first
      if (!moves(i, strides)) continue;
      map.extents.push_back(problem_.batches[i]);
      map.strides.push_back(strides[i]);
      map.box.push_back(1);
    }
  }
  void add_batch_coordinates(std::vector<ExprId>& coordinates, const std::vector<int64_t>& strides) {
    for (size_t i = problem_.batches.size(); i-- > 0;) {
      if (moves(i, strides)) coordinates.push_back(batch_index(i));
    }
  }
  // The number of the tile's batch along one axis.
  ExprId batch_index(size_t axis) {
    int64_t inner = 1;
    for (size_t i = axis + 1; i < problem_.batches.size(); ++i) inner *= problem_.batches[i];
    const ExprId rest = arena_.div(program_.range(batch_), inner);
    return axis == 0 ? rest : arena_.mod(rest, problem_.batches[axis]);
  }

  // The tile leaves by the TMA engine if rows of the result are contiguous and start at multiples of 16 bytes.
  bool can_stage() const {
    const int64_t size = graph::byte_size(problem_.result), columns = 128 / size;
    if (problem_.n_stride != 1 || schedule_.block_n % columns != 0) return false;
    const auto whole = [&](int64_t stride) { return stride * size % 16 == 0; };
    return whole(problem_.result_offset) && (problem_.m == 1 || whole(problem_.m_stride)) &&
           std::ranges::all_of(problem_.result_batch_strides, whole);
  }

  void declare_staging() {
    const int64_t size = graph::byte_size(problem_.result), columns = 128 / size;
    staging_ = static_cast<int>(program_.memories.size());
    program_.memories.push_back(
        {"out", problem_.result, kGroupRows, columns, tile::Swizzle::B128, pieces_in_flight() * groups()});
    tile::TensorMap map{.argument = 0, .dtype = problem_.result, .offset = problem_.result_offset};
    map.extents = {problem_.n, problem_.m};
    map.strides = {1, problem_.m == 1 ? 16 / size : problem_.m_stride};
    map.box = {columns, kGroupRows};
    add_batches(map, problem_.result_batch_strides);
    out_map_ = static_cast<int>(program_.maps.size());
    program_.maps.push_back(std::move(map));
  }

  // How many slots of staging a warpgroup has: a split sum's stages leave room for one.
  int pieces_in_flight() const { return splits() ? 1 : 2; }

  void add_roles() {
    const bool moves = groups() == 2;  // registers move between warpgroups only where they are short
    const auto registers = [&](int count) { return moves ? count : 0; };
    const int consumer_registers = splits() ? kSplitConsumerRegisters : kConsumerRegisters;
    int first = 0;
    const auto add = [&](const char* name, int warps, int count, int range, Body body) {
      program_.body.push_back({tile::Role{name, first, warps, count, range, std::move(body)}});
      first += warps;
    };
    add("producer", 4, registers(splits() ? kFillRegisters : kProducerRegisters), -1, producers());
    if (splits()) add("splitter", 4, registers(kSplitRegisters), -1, {tiles(splitter())});
    group_ = program_.new_range(groups());
    Body work = {tiles(splits() ? split_consumer() : consumer())};
    if (staged_) work.push_back({tile::StoreWait{0, true}});
    add("consumer", 4 * groups(), registers(consumer_registers), group_, std::move(work));
  }

  tile::Statement tiles(Body body) const {
    return {tile::Tiles{batch_, m_, n_, part_, batches(), tiles_m_, tiles_n_, schedule_.parts, schedule_.raster_rows,
                        std::move(body)}};
  }

  // k of the step, in elements.
  ExprId depth_at(int step) {
    const ExprId first = arena_.multiply(program_.range(part_), steps_);
    return arena_.multiply(arena_.add(first, program_.range(step)), depth());
  }

  // One thread fills both operands of a stage. Split sums have a thread for each, because the stages of one are free
  // at other times than those of the other.
  Body producers() {
    const int step = program_.new_range(steps_);
    std::vector<tile::Fill> left, right;
    add_boxes(left, left_, problem_.left, m_, schedule_.block_m, step);
    add_boxes(right, right_, problem_.right, n_, schedule_.block_n, step);
    if (splits()) {
      return {{tile::Thread{0, {tiles(filling(*pipeline_, step, std::move(left)))}}},
              {tile::Thread{1, {tiles(filling(*right_pipeline_, step, std::move(right)))}}}};
    }
    std::ranges::move(right, std::back_inserter(left));
    return {{tile::Thread{0, {tiles(filling(*pipeline_, step, std::move(left)))}}}};
  }
  Body filling(const tile::Pipeline& pipeline, int step, std::vector<tile::Fill> boxes) const {
    Body body;
    pipeline.fill(body, std::move(boxes));
    return {{tile::For{step, steps_, false, std::move(body)}}};
  }

  void add_boxes(std::vector<tile::Fill>& boxes, const Side& side, const OperandView& view, int tile_range,
                 int64_t block, int step) {
    const ExprId row = arena_.multiply(program_.range(tile_range), block);
    for (int64_t box = 0; box < side.boxes; ++box) {
      const ExprId along = arena_.shift(row, box * depth());
      tile::Fill fill{side.memory, box * depth(), side.map, {}};
      fill.coordinates = side.transposed ? std::vector{along, depth_at(step)} : std::vector{depth_at(step), row};
      add_batch_coordinates(fill.coordinates, view.batch_strides);
      boxes.push_back(std::move(fill));
    }
  }

  Body consumer() {
    const int step = program_.new_range(steps_);
    const ExprId row = arena_.multiply(program_.range(group_), kGroupRows);
    std::vector<tile::Mma> products;
    for (int64_t slice = 0; slice < depth() / 16; ++slice) {
      const ExprId k = arena_.integer(slice);
      products.push_back(
          {0, {left_.memory, row, k, left_.transposed}, {right_.memory, arena_.integer(0), k, right_.transposed}});
    }
    Body turn;
    pipeline_->consume(turn, step, std::move(products));
    Body body = {{tile::Zero{0}}, {tile::For{step, steps_, false, std::move(turn)}}};
    pipeline_->drain(body);
    add_epilogue(body);
    return body;
  }

  Body splitter() {
    const int step = program_.new_range(steps_);
    Body split, turn;
    plane_pipeline_->produce(split, {{tile::SplitTile{right_.memory, right_.transposed, planes_, flags_}}});
    right_pipeline_->use(turn, std::move(split));
    return {{tile::For{step, steps_, false, std::move(turn)}}};
  }

  // Each stage is summed by itself and then added: matrix units truncate, and long sums would drift.
  Body split_consumer() {
    const int step = program_.new_range(steps_);
    const ExprId row = arena_.multiply(program_.range(group_), kGroupRows);
    Body stage = {{tile::SplitLeft{left_.memory, row, left_.transposed}}}, turn;
    plane_pipeline_->use(stage, {{tile::SixProducts{1, planes_, flags_}}});
    pipeline_->use(turn, std::move(stage));
    turn.push_back({tile::AddFragment{0, 1}});
    Body body = {{tile::Zero{0}}, {tile::For{step, steps_, false, std::move(turn)}}};
    add_epilogue(body);
    return body;
  }

  void add_epilogue(Body& body) {
    Body end = staged_ ? staged_epilogue() : direct_epilogue();
    if (schedule_.parts == 1) {
      std::ranges::move(end, std::back_inserter(body));
    } else {
      body.push_back({join(std::move(end))});
    }
  }

  tile::JoinParts join(Body body) {
    ExprId number = arena_.add(arena_.multiply(program_.range(batch_), tiles_m_), program_.range(m_));
    number = arena_.add(arena_.multiply(number, tiles_n_), program_.range(n_));
    number = arena_.add(arena_.multiply(number, groups()), program_.range(group_));
    return {
        0, program_.range(part_), schedule_.parts, number, batches() * tiles_m_ * tiles_n_ * groups(), std::move(body)};
  }

  ExprId rounded() {
    const ExprId element = arena_.load(DType::F32, tile::kAccumulator, arena_.integer(0), tile::kNoExpr);
    return problem_.result == DType::F32 ? element : arena_.cast(problem_.result, element);
  }
  // First row of this warpgroup, in elements of m.
  ExprId first_row() {
    return arena_.add(arena_.multiply(program_.range(m_), schedule_.block_m),
                      arena_.multiply(program_.range(group_), kGroupRows));
  }

  Body staged_epilogue() {
    const int64_t columns = program_.memories[static_cast<size_t>(staging_)].columns;
    const int64_t pieces = schedule_.block_n / columns;
    const int piece = program_.new_range(pieces);
    const ExprId first = arena_.multiply(program_.range(piece), columns);
    const int slots = pieces_in_flight();
    const ExprId slot =
        arena_.add(arena_.multiply(program_.range(group_), slots), arena_.mod(program_.range(piece), slots));
    std::vector<ExprId> coordinates = {arena_.add(arena_.multiply(program_.range(n_), schedule_.block_n), first),
                                       first_row()};
    add_batch_coordinates(coordinates, problem_.result_batch_strides);
    // Two slots take turns within a tile. An odd number of pieces would meet its own last one in the next tile.
    const int unread = slots == 2 && pieces % 2 == 0 ? 1 : 0;
    tile::Elements elements{.fragment = 0,
                            .row_range = program_.new_range(kGroupRows),
                            .column_range = program_.new_range(columns),
                            .first = first,
                            .count = columns,
                            .value = rounded(),
                            .memory = staging_,
                            .slot = slot};
    Body body = {{tile::StoreWait{unread, false}},
                 {tile::GroupSync{}},
                 {elements},
                 {tile::ProxyFence{}},
                 {tile::GroupSync{}},
                 {tile::StoreTile{staging_, slot, out_map_, coordinates}}};
    return {{tile::For{piece, pieces, true, std::move(body)}}};
  }

  Body direct_epilogue() {
    const int row_range = program_.new_range(kGroupRows), column_range = program_.new_range(schedule_.block_n);
    const ExprId row = arena_.add(first_row(), program_.range(row_range));
    const ExprId column =
        arena_.add(arena_.multiply(program_.range(n_), schedule_.block_n), program_.range(column_range));
    ExprId index = arena_.add(arena_.multiply(row, problem_.m_stride), arena_.multiply(column, problem_.n_stride));
    for (size_t i = 0; i < problem_.batches.size(); ++i) {
      index = arena_.add(index, arena_.multiply(batch_index(i), problem_.result_batch_strides[i]));
    }
    const ExprId inside = arena_.both(arena_.between(row, 0, problem_.m), arena_.between(column, 0, problem_.n));
    return {{tile::Elements{.fragment = 0,
                            .row_range = row_range,
                            .column_range = column_range,
                            .first = arena_.integer(0),
                            .count = schedule_.block_n,
                            .value = rounded(),
                            .argument = 0,
                            .index = arena_.shift(index, problem_.result_offset),
                            .condition = inside}}};
  }

  const ContractionProblem& problem_;
  const ContractionSchedule& schedule_;
  Program program_;
  lower::Arena& arena_;
  std::optional<tile::Pipeline> pipeline_, right_pipeline_, plane_pipeline_;
  int planes_ = -1, flags_ = -1;
  int batch_ = 0, m_ = 0, n_ = 0, part_ = 0, group_ = 0, staging_ = -1, out_map_ = -1;
  int64_t tiles_m_ = 0, tiles_n_ = 0, steps_ = 0;
  Side left_{}, right_{};
  bool staged_ = false;
};

}  // namespace

std::string to_string(const ContractionSchedule& schedule) {
  return std::to_string(schedule.block_m) + "x" + std::to_string(schedule.block_n) + " stages " +
         std::to_string(schedule.stages) + " raster " + std::to_string(schedule.raster_rows) + " parts " +
         std::to_string(schedule.parts);
}

std::optional<Program> contraction(const ContractionProblem& problem, const ContractionSchedule& schedule) {
  return Contraction(problem, schedule).run();
}

int64_t work_items(const ContractionProblem& problem, const ContractionSchedule& schedule) {
  int64_t items = ceil_div(problem.m, schedule.block_m) * ceil_div(problem.n, schedule.block_n) * schedule.parts;
  for (int64_t extent : problem.batches) items *= extent;
  return items;
}

}  // namespace quarry::templates
