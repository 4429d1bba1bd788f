#include "tests/meter/hostile.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

namespace quarry::testing {
namespace {

constexpr DType kDtypes[] = {DType::U8,  DType::F32, DType::I32,  DType::F16, DType::F64,
                             DType::I64, DType::I8,  DType::BF16, DType::Bool};
constexpr int64_t kPrimes[] = {2, 3, 5, 7, 11, 13, 17, 31, 61, 127, 251, 509};
constexpr int64_t kSizes[] = {61, 127, 1'021, 4'093, 16'381, 65'521, 4'096, 30'030, 1'048'576};

int64_t product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

/// Values in (0, 1], so that chains of ops stay finite; integers of a few bits.
class Author : public Pen {
 public:
  Author(Draw& random, int64_t points) : draw(random), most_points(points) {}

  NodeId fresh_input(const Shape& shape, DType dtype) { return in("x" + std::to_string(inputs_++), shape, dtype); }

  /// The same elements in another shape: one axis split at one of its divisors, or two neighbours joined.
  NodeId reshaped(NodeId x) {
    Shape shape = size_of(x);
    const size_t axis = draw.below(shape.size());
    std::vector<int64_t> divisors;
    for (int64_t d = 2; d < std::min<int64_t>(shape[axis], 2'000); ++d) {
      if (shape[axis] % d == 0) divisors.push_back(d);
    }
    if (!divisors.empty() && shape.size() < 12 && draw.below(3) > 0) {
      const int64_t d = divisors[draw.below(divisors.size())];
      shape[axis] /= d;
      shape.insert(shape.begin() + static_cast<ptrdiff_t>(axis) + 1, d);
    } else if (axis + 1 < shape.size()) {
      shape[axis] *= shape[axis + 1];
      shape.erase(shape.begin() + static_cast<ptrdiff_t>(axis) + 1);
    }
    return as(x, shape);
  }

  NodeId grown(NodeId x) {
    Shape shape = size_of(x);
    const int64_t room = most_points / std::max<int64_t>(1, product(shape));
    if (room < 2 || shape.size() > 13) return x;
    const size_t place = draw.below(shape.size() + 1);
    shape.insert(shape.begin() + static_cast<ptrdiff_t>(place), 1);
    const NodeId wide = as(x, shape);
    shape[place] = 1 + static_cast<int64_t>(draw.below(static_cast<size_t>(std::min<int64_t>(room, 100'000))));
    return to(wide, shape);
  }

  NodeId moved(NodeId x) {
    const Shape shape = size_of(x);
    const size_t axis = draw.below(shape.size());
    std::vector<Pair> pairs;
    for (int64_t size : shape) pairs.push_back({0, size});
    switch (draw.below(8)) {
      case 0:
      case 1:
      case 2:
        return reshaped(x);
      case 3:
      case 4: {
        Shape axes(shape.size());
        std::iota(axes.begin(), axes.end(), 0);
        for (size_t i = axes.size(); i > 1; --i) std::swap(axes[i - 1], axes[draw.below(i)]);
        return turned(x, axes);
      }
      case 5: {
        Shape steps(shape.size(), 1);
        constexpr int64_t kSteps[] = {-1, 2, 3, -2, 7, 17};
        steps[axis] = draw.of(kSteps);
        return shape[axis] > 64 ? strided(x, steps) : x;
      }
      case 6: {
        pairs[axis] = {static_cast<int64_t>(draw.below(2)), shape[axis]};
        if (shape[axis] > 2 && draw.below(2) == 0) --pairs[axis].after;
        return pairs[axis].after > pairs[axis].before ? cut(x, pairs) : x;
      }
      default: {
        for (Pair& pair : pairs) pair = {0, 0};
        pairs[axis] = {static_cast<int64_t>(draw.below(3)), static_cast<int64_t>(draw.below(3))};
        return product(shape) < most_points / 2 ? padded(x, pairs) : x;
      }
    }
  }

  NodeId one_in_ten_grown(NodeId x) { return draw.one_in(10) ? grown(x) : moved(x); }

  /// A value of exactly `count` elements along one axis.
  NodeId line_of(NodeId x, int64_t count) {
    NodeId line = as(x, {product(size_of(x))});
    const int64_t have = shape(line)[0];
    if (have < count) {
      const int64_t copies = (count + have - 1) / have;
      line = as(to(as(line, {1, have}), {copies, have}), {copies * have});
    }
    return shape(line)[0] == count ? line : cut(line, {{0, count}});
  }

  NodeId operated(Op op, NodeId x, NodeId y) {
    const DType dtype = this->dtype(x);
    const bool is_float = graph::is_float(dtype);
    if ((op == Op::Exp || op == Op::Log) && !is_float) op = Op::Mul;
    if (op == Op::Div && dtype == DType::Bool) op = Op::Add;
    if (op == Op::Exp) return exp(mul(x, like(x, -1)));
    if (op == Op::Log) return log(add(x, like(x, 1.5)));
    return binary(op, x, y);
  }

  NodeId reduced(NodeId x, Op op) {
    const Shape shape = size_of(x);
    Shape axes;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (draw.below(2) == 0) axes.push_back(static_cast<int64_t>(i));
    }
    if (axes.empty()) axes.push_back(static_cast<int64_t>(shape.size()) - 1);
    return reduce(op, x, axes);
  }

  /// To a graph with few outputs, so that little is written.
  graph::Graph ended(NodeId x) {
    if (!draw.one_in(6)) x = reduced(x, draw.below(2) == 0 ? Op::ReduceMax : Op::ReduceSum);
    return done(x);
  }

  Draw& draw;
  int64_t most_points;

 private:
  int inputs_ = 0;
};

/// Shapes of odd extents.
Shape odd_shape(Draw& draw, int64_t most) {
  Shape shape{draw.of(kPrimes)};
  for (size_t rank = 1 + draw.below(5); shape.size() < rank;) {
    const int64_t next = draw.of(kPrimes);
    if (product(shape) > most / next) break;
    shape.push_back(next);
  }
  return shape;
}

NodeId chain(Author& pen, NodeId x, size_t most) {
  for (size_t left = 1 + pen.draw.below(most); left > 0; --left) x = pen.one_in_ten_grown(x);
  return x;
}

/// One view after a long row of movement.
void movement_chain(Author& pen, HostileJob& job) {
  const NodeId x = pen.fresh_input(odd_shape(pen.draw, 1 << 20), pen.draw.of(kDtypes));
  job.graph = pen.ended(chain(pen, x, 50));
}

/// Several views of different values at once, each as hard as the others to read in one order.
void mixed_views(Author& pen, HostileJob& job) {
  const DType dtype = pen.draw.of(kDtypes);
  const size_t views = 2 + pen.draw.below(12), length = 1 + pen.draw.below(12);
  NodeId all = graph::kNoNode;
  for (size_t i = 0; i < views; ++i) {
    const NodeId view = chain(pen, pen.grown(pen.fresh_input(odd_shape(pen.draw, 1 << 16), dtype)), length);
    const NodeId line = pen.line_of(view, pen.most_points / 4);
    all = all == graph::kNoNode ? line : pen.operated(pen.draw.below(2) == 0 ? Op::Max : Op::Add, all, line);
  }
  job.graph = pen.ended(pen.as(all, {pen.most_points / 4 / 64, 64}));
}

/// Windows: x[a i + b j], so that few elements are read many times, far apart from each other.
void windows(Author& pen, HostileJob& job) {
  constexpr int64_t kFactors[] = {1, 2, 3, 4, 5, 17, 33, 64, 129, 1'000};
  constexpr int64_t kCounts[] = {3, 7, 16, 61, 256, 1'021, 4'096};
  const DType dtype = pen.draw.of(kDtypes);
  const int64_t rows = pen.draw.of(kCounts);
  const int64_t columns = std::min(pen.draw.of(kCounts), pen.most_points / rows);
  NodeId all = graph::kNoNode;
  for (size_t views = 1 + pen.draw.below(4); views > 0; --views) {
    // Rows of an expanded x, one element longer for each step that a row begins later.
    const int64_t a = pen.draw.of(kFactors), b = pen.draw.of(kFactors);
    const int64_t size = a * (rows - 1) + b * (columns - 1) + 1, row = size + a;
    const int64_t copies = (rows * row + size - 1) / size;
    const NodeId x = pen.fresh_input({1, size}, dtype);
    NodeId y = pen.as(pen.to(x, {copies, size}), {copies * size});
    y = pen.as(pen.cut(y, {{0, rows * row}}), {rows, row});
    y = pen.cut(y, {{0, rows}, {0, b * (columns - 1) + 1}});
    y = pen.strided(y, {1, b});
    all = all == graph::kNoNode ? y : pen.operated(pen.draw.below(2) == 0 ? Op::Max : Op::Mul, all, y);
  }
  job.graph = pen.ended(all);
}

/// Arithmetic alone, of every dtype: nearly nothing is read or written.
void arithmetic(Author& pen, HostileJob& job) {
  constexpr Op kOps[] = {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Pow, Op::CmpEq, Op::Max, Op::Exp, Op::Log, Op::Cast};
  const int64_t count = pen.most_points / 64;
  const Shape shape{count, 64};
  const auto leaf = [&](DType dtype) {
    switch (pen.draw.below(3)) {
      case 0:
        return pen.cast(pen.counting(shape, static_cast<int>(pen.draw.below(2))), dtype);
      case 1:
        return pen.to(pen.fresh_input({1, 64}, dtype), shape);
      default:
        return pen.to(pen.fresh_input({count, 1}, dtype), shape);
    }
  };
  DType dtype = pen.draw.of(kDtypes);
  NodeId x = leaf(dtype);
  const Op favourite = pen.draw.of(kOps);
  for (size_t left = 1 + pen.draw.below(12); left > 0; --left) {
    const Op op = pen.draw.below(2) == 0 ? favourite : pen.draw.of(kOps);
    if (op == Op::Cast) {
      dtype = pen.draw.of(kDtypes);
      x = pen.cast(x, dtype);
    } else {
      x = pen.operated(op, x, leaf(dtype));
    }
  }
  job.graph = pen.done(pen.reduce(pen.draw.below(2) == 0 ? Op::ReduceMax : Op::ReduceSum, x, Shape{0, 1}));
}

/// Random numbers, cast and reduced.
void random_numbers(Author& pen, HostileJob& job) {
  constexpr DType kRandom[] = {DType::F32, DType::I32};
  const Shape shape{pen.most_points / 64, 64};
  NodeId x = pen.rand(pen.draw.of(kRandom), shape, 7);
  for (size_t left = pen.draw.below(4); left > 0; --left) x = pen.cast(x, pen.draw.of(kDtypes));
  if (pen.draw.below(2) == 0) x = chain(pen, x, 10);
  job.graph = pen.ended(x);
}

/// Every axis too short for a vector.
void short_axes(Author& pen, HostileJob& job) {
  const int64_t side = 2 + static_cast<int64_t>(pen.draw.below(5));
  Shape shape, small, axes;
  while (shape.size() < 14 && product(shape) <= pen.most_points / side) {
    shape.push_back(side);
    small.push_back(pen.draw.below(3) == 0 ? side : 1);
  }
  for (size_t i = 0; i < shape.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  for (size_t i = axes.size(); i > 1; --i) std::swap(axes[i - 1], axes[pen.draw.below(i)]);
  const DType dtype = pen.draw.of(kDtypes);
  NodeId all = graph::kNoNode;
  for (size_t views = 1 + pen.draw.below(5); views > 0; --views) {
    std::rotate(small.begin(), small.begin() + 1, small.end());
    Shape turned_small(small.size());
    for (size_t i = 0; i < axes.size(); ++i) turned_small[static_cast<size_t>(axes[i])] = small[i];
    const NodeId x = pen.to(pen.turned(pen.fresh_input(turned_small, dtype), axes), shape);
    all = all == graph::kNoNode ? x : pen.operated(Op::Max, all, x);
  }
  job.graph = pen.ended(all);
}

/// Rows of a table at places that jump about.
void gathers(Author& pen, HostileJob& job) {
  constexpr int64_t kWidths[] = {1, 2, 3, 16, 64};
  const DType dtype = pen.draw.of(kDtypes);
  const int64_t entries = pen.draw.of(kSizes), width = pen.draw.of(kWidths);
  const int64_t rows = std::max<int64_t>(1, pen.most_points / width / 4);
  const NodeId table = pen.fresh_input({1, entries, width}, dtype);
  NodeId index = pen.counting({rows}, 0);
  index = pen.mul(index, pen.full({rows}, 40'503, DType::I32));
  const NodeId quotient = pen.div(index, pen.full({rows}, static_cast<double>(entries), DType::I32));
  index = pen.sub(index, pen.mul(quotient, pen.full({rows}, static_cast<double>(entries), DType::I32)));
  if (pen.draw.below(2) == 0) index = pen.line_of(chain(pen, index, 20), rows);
  const Shape cube{rows, entries, width}, pairs{rows, entries, 1};
  const NodeId mask = pen.equal(pen.counting(pairs, 1), pen.to(pen.as(index, {rows, 1, 1}), pairs));
  job.graph = pen.ended(pen.sum(pen.mul(pen.to(pen.cast(mask, dtype), cube), pen.to(table, cube)), {1}));
}

/// Sums down far strides, row by row of a table too large for a cache.
void far_strides(Author& pen, HostileJob& job) {
  constexpr int64_t kSides[] = {64, 128, 1'024, 4'096, 4'097, 30'011};
  const int64_t columns = pen.draw.of(kSides), rows = std::max<int64_t>(1, pen.most_points / columns);
  const NodeId x = pen.fresh_input({rows, columns}, pen.draw.of(kDtypes));
  NodeId y = pen.draw.below(2) == 0 ? pen.turned(x, {1, 0}) : x;
  if (pen.draw.below(2) == 0) y = pen.strided(y, {-1, 1});
  if (pen.draw.below(2) == 0) y = pen.operated(Op::Max, y, pen.as(pen.turned(x, {1, 0}), pen.size_of(y)));
  job.graph = pen.done(pen.sum(y, {static_cast<int64_t>(pen.draw.below(2))}));
}

/// Values that are only copied: from feeds, between carries, to outputs and kept ones.
void copies(Author& pen, HostileJob& job) {
  const DType dtype = pen.draw.of(kDtypes);
  const int64_t size = int64_t{1} << (2 + pen.draw.below(20));
  const size_t values = 1 + pen.draw.below(6);
  for (size_t i = 0; i < values; ++i) {
    NodeId x = pen.fresh_input({size}, dtype);
    if (pen.draw.one_in(4)) x = pen.strided(x, {-1});
    pen.output("y" + std::to_string(i), x);
    const std::string input = "x" + std::to_string(i);
    switch (pen.draw.below(4)) {
      case 0:
        job.usage.feed.push_back(input);
        break;
      case 1:
        job.usage.keep_each.push_back("y" + std::to_string(i));
        [[fallthrough]];
      default:
        job.usage.carry.emplace_back(input, "y" + std::to_string(pen.draw.below(values)));
    }
  }
  job.graph = pen.done();
}

/// Very many kernels that do nearly nothing.
void tiny_kernels(Author& pen, HostileJob& job) {
  const DType dtype = pen.draw.of(kDtypes);
  const int64_t size = 1 + static_cast<int64_t>(pen.draw.below(64));
  NodeId x = pen.fresh_input({size, size}, dtype);
  for (size_t left = 1 + pen.draw.below(40); left > 0; --left) {
    x = pen.to(
        pen.reduce(pen.draw.below(2) == 0 ? Op::ReduceMax : Op::ReduceSum, pen.operated(Op::Mul, x, x), Shape{1}),
        {size, size});
  }
  job.graph = pen.done(x);
}

/// A kernel that reads very much at once, or a value that very many kernels read.
void fan(Author& pen, HostileJob& job) {
  const DType dtype = pen.draw.of(kDtypes);
  const size_t width = 1 + pen.draw.below(60);
  const Shape shape{pen.most_points / 1'024, 1'024};
  NodeId all = graph::kNoNode;
  if (pen.draw.below(2) == 0) {
    for (size_t i = 0; i < width; ++i) {
      const NodeId x = pen.to(pen.fresh_input(i % 2 == 0 ? Shape{1, shape[1]} : Shape{shape[0], 1}, dtype), shape);
      all = all == graph::kNoNode ? x : pen.operated(pen.draw.below(2) == 0 ? Op::Max : Op::Mul, all, x);
    }
    job.graph = pen.done(pen.greatest(all, {0, 1}));
    return;
  }
  const NodeId x = pen.to(pen.fresh_input({1, shape[1]}, dtype), shape);
  for (size_t i = 0; i < std::min<size_t>(width, 8); ++i) {
    pen.output("y" + std::to_string(i),
               pen.reduce(Op::ReduceMax, pen.operated(Op::Add, x, pen.like(x, static_cast<double>(i))), Shape{0, 1}));
  }
  job.graph = pen.done();
}

/// Rows of a carried table, each step.
void row_updates(Author& pen, HostileJob& job) {
  const int64_t rows = pen.draw.of(kSizes) / 16 + 1, width = 1 + static_cast<int64_t>(pen.draw.below(64));
  const DType dtype = pen.draw.of(kDtypes);
  const size_t tables = 1 + pen.draw.below(20);
  for (size_t i = 0; i < tables; ++i) {
    const std::string number = std::to_string(i);
    const Shape shape{rows, width};
    const NodeId at = pen.to(pen.as(pen.step(), {1, 1}), shape);
    const NodeId mask = pen.equal(pen.counting(shape, 0), at);
    const NodeId old = pen.in("table" + number, shape, dtype);
    const NodeId row = pen.to(pen.in("row" + number, {1, width}, dtype), shape);
    const bool cast = dtype != DType::I32;
    pen.output("y" + number, pen.select(cast ? pen.cast(mask, dtype) : mask, row, old));
    job.usage.carry.emplace_back("table" + number, "y" + number);
  }
  job.graph = pen.done();
}

struct Family {
  const char* name;
  void (*write)(Author&, HostileJob&);
};
constexpr Family kFamilies[] = {
    {"movement chain", movement_chain},
    {"mixed views", mixed_views},
    {"windows", windows},
    {"arithmetic", arithmetic},
    {"random numbers", random_numbers},
    {"short axes", short_axes},
    {"gathers", gathers},
    {"far strides", far_strides},
    {"copies", copies},
    {"tiny kernels", tiny_kernels},
    {"fan", fan},
    {"row updates", row_updates},
};

}  // namespace

const std::vector<std::string>& hostile_families() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Family& family : kFamilies) list.emplace_back(family.name);
    return list;
  }();
  return names;
}

std::vector<HostileJob> jobs_of_one_op(int64_t points) {
  constexpr int kRepeats = 6;
  const Shape shape{points / 64, 64};
  const std::vector<uint32_t> none;
  std::vector<HostileJob> jobs;
  const auto write = [&](const std::string& name, DType dtype, auto make) {
    Draw draw(none);
    Author pen(draw, points);
    NodeId x = pen.to(pen.fresh_input({shape[0], 1}, dtype), shape);
    const NodeId y = pen.to(pen.fresh_input({1, shape[1]}, dtype), shape);
    for (int i = 0; i < kRepeats; ++i) x = make(pen, x, y);
    jobs.push_back({name + " " + std::string(graph::name(dtype)), pen.done(pen.greatest(x, {0, 1})), {}});
  };
  for (const DType dtype : kDtypes) {
    for (const Op op : {Op::Add, Op::Mul, Op::Div, Op::Pow, Op::CmpEq, Op::Max, Op::Exp, Op::Log}) {
      if (op <= Op::Log && !graph::is_float(dtype)) continue;
      if (op == Op::Div && dtype == DType::Bool) continue;
      write(std::string(graph::name(op)), dtype,
            [op](Author& pen, NodeId x, NodeId y) { return op <= Op::Log ? pen.unary(op, x) : pen.binary(op, x, y); });
    }
    for (const DType other : kDtypes) {
      if (other == dtype) continue;
      write("CAST " + std::string(graph::name(other)), dtype,
            [other, dtype](Author& pen, NodeId x, NodeId) { return pen.cast(pen.cast(x, other), dtype); });
    }
  }
  return jobs;
}

std::vector<uint32_t> random_words(std::mt19937_64& random, size_t count) {
  std::vector<uint32_t> words(count);
  for (uint32_t& word : words) word = static_cast<uint32_t>(random() >> 32);
  return words;
}

HostileJob hostile_job(const std::vector<uint32_t>& words, int64_t points, const std::string& family) {
  Draw draw(words);
  size_t at = draw.below(std::size(kFamilies));
  for (size_t i = 0; i < std::size(kFamilies); ++i) {
    if (family == kFamilies[i].name) at = i;
  }
  HostileJob job;
  job.kind = kFamilies[at].name;
  Author pen(draw, points);
  kFamilies[at].write(pen, job);
  return job;
}

}  // namespace quarry::testing
