// Prints expressions as statements: one variable per value and per point of the register tile, each computed once a
// scope.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/codegen/operations.h"
#include "engine/codegen/scheduled.h"

namespace quarry::codegen {

/// The point of the register tile: for each unrolled range, which copy.
using Copies = std::map<int, int64_t>;

struct Printed {
  std::string text;      ///< a name or a literal: cheap to repeat
  bool varying = false;  ///< differs between lanes: a vector; else a scalar
};

/// Copies that are neighbours in memory, from one that begins at a multiple of their bytes on: `count` of them, those
/// of `range`, are loaded or stored as words.
struct Bundle {
  int range;
  int64_t count;
};

class Values {
 public:
  Values(const Scheduled& scheduled, Operations& operations, bool wide_index, bool in_words);

  // Source text so far.
  void line(const std::string& text);
  void open(const std::string& text);  ///< "text {": values made inside are forgotten at close()
  void close();
  std::string take();

  /// The C expression that a range stands for from now on.
  void bind(int range, std::string text);

  Printed value(lower::ExprId id, const Copies& copies);      ///< in the compute type, rounded to its dtype
  Printed condition(lower::ExprId id, const Copies& copies);  ///< a scalar bool, or an int vector of 0 and -1
  Printed index(lower::ExprId id, const Copies& copies);      ///< in index_type()
  std::string index_type() const { return wide_index_ ? "long" : "int"; }
  /// The value as a vector of `width` lanes.
  std::string widened(const Printed& printed, graph::DType dtype, int width) const;
  std::string name(std::string_view type, const std::string& text);  ///< a new variable
  /// If the index runs through memory lane by lane: its scalar start.
  std::optional<std::string> contiguous(lower::ExprId id, const Copies& copies);
  /// GPUs: how elements of `dtype` at this index are loaded or stored together, 4 to 16 bytes of them.
  std::optional<Bundle> bundle_of(lower::ExprId index, graph::DType dtype) const;
  /// The element of a load as it is stored, not yet in its compute type.
  std::string stored_element(lower::ExprId load, const Copies& copies);
  /// From now on, this load's elements are read from the tile.
  void stage(const Staged& staged, std::string tile);

 private:
  /// An index whose lanes lie `step` elements apart, from `start` on.
  struct Run {
    std::string start;
    int64_t step;
  };
  std::optional<Run> run_of(lower::ExprId id, const Copies& copies);
  struct Key {
    lower::ExprId id;
    uint64_t copies;
    bool words;  // of a load: all words of its bundle, and not the value
    auto operator<=>(const Key&) const = default;
  };
  Key key(lower::ExprId id, const Copies& copies, bool words = false) const;
  bool varies(lower::ExprId id) const;
  int width(bool varying) const { return varying ? scheduled_.lanes : 1; }
  Printed remember(const Key& key, Printed printed);
  const lower::Expr& at(lower::ExprId id) const { return scheduled_.nest.arena[id]; }

  Printed make_value(lower::ExprId id, const Copies& copies);
  Printed compute(lower::ExprId id, const Copies& copies);
  Printed load(lower::ExprId id, const Copies& copies);
  std::string load_varying(const lower::Expr& expr, const Copies& copies);
  std::string load_run(const lower::Expr& expr, const Run& run);
  std::string load_within(const lower::Expr& expr, const Run& run, const std::string& mask);
  std::string gather(const lower::Expr& expr, const std::string& mask, const std::function<std::string(int)>& place_of);
  Printed choose(lower::ExprId id, const Copies& copies);
  Printed guard(lower::ExprId id, const Copies& copies);
  Printed random(lower::ExprId id, const Copies& copies);
  Printed position(lower::ExprId id, const Copies& copies);
  Printed within(lower::ExprId id, const Copies& copies);
  std::string sum_text(lower::ExprId id, const Copies& copies, int except_range);

  const Scheduled& scheduled_;
  Operations& operations_;
  bool wide_index_, in_words_;
  std::vector<std::string> ranges_;
  std::map<Key, Printed> known_;
  std::vector<std::vector<Key>> scopes_;
  std::string text_;
  std::map<int, int64_t> copied_ranges_;  // range -> copies
  struct Tile {
    Staged staged;
    std::string name;
  };
  std::map<lower::ExprId, Tile> tiles_;
  int names_ = 0;
};

}  // namespace quarry::codegen
