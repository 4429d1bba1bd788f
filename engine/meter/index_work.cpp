#include "engine/meter/index_work.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_set>

namespace quarry::meter {

using graph::NodeId;

namespace {

// Each place at which a form is cut, over all views of a kernel.
class Divisions {
 public:
  explicit Divisions(const IndexForms& forms) : forms_(forms) {}

  void add(FormId form) {
    std::vector<FormId> pending{form};
    while (!pending.empty()) {
      const FormId at = pending.back();
      pending.pop_back();
      for (const FormTerm& term : forms_.terms(at)) {
        const Atom& atom = forms_.atom(term.atom);
        if (atom.is_axis) continue;
        if (atom.low > 1) cuts_.emplace(atom.base, atom.low);
        if (!atom.is_top()) cuts_.emplace(atom.base, atom.low * atom.size);
        if (seen_.insert(atom.base).second) pending.push_back(atom.base);
      }
    }
  }
  size_t count() const { return cuts_.size(); }

 private:
  const IndexForms& forms_;
  std::set<std::pair<FormId, int64_t>> cuts_;
  std::unordered_set<FormId> seen_;
};

/// An axis that a kernel walks, after cutting and joining: how far apart its neighbours are in each view.
struct Walk {
  int64_t size;
  bool is_tiled;               ///< an axis of a reduction's results: several are computed side by side
  std::vector<int64_t> steps;  ///< by load; kIrregular where they are not evenly spaced
};
constexpr int64_t kIrregular = INT64_MAX;

// The axes of a kernel's points as its loads see them: cut where a view cuts them, joined where all views walk them as
// one.
class Walks {
 public:
  Walks(const IndexForms& forms, const graph::Graph& graph, NodeId kernel, std::vector<FormId> loads)
      : forms_(forms), loads_(std::move(loads)) {
    const bool reduces = graph::is_reduce(graph[kernel].op);
    const auto space = graph.shape(reduces ? graph[kernel].operands[0] : kernel);
    std::vector<bool> is_tiled(space.size(), reduces);
    if (reduces) {
      for (const int64_t axis : graph.axes(kernel)) is_tiled[static_cast<size_t>(axis)] = false;
    }
    std::vector<std::set<int64_t>> cuts(space.size());
    for (const FormId load : loads_) {
      for (const FormTerm& term : forms_.terms(load)) {
        const Atom& atom = forms_.atom(term.atom);
        if (!atom.is_axis) continue;
        cuts[atom.base].insert(atom.low);
        cuts[atom.base].insert(atom.low * atom.size);
      }
    }
    for (const bool tiled : {true, false}) {  // results outside, what is reduced inside
      for (size_t axis = 0; axis < space.size(); ++axis) {
        if (is_tiled[axis] == tiled) add_axis(static_cast<uint32_t>(axis), space[axis], tiled, cuts[axis]);
      }
    }
    join();
  }

  /// How many loads jump when the kernel goes along the best axis.
  size_t jumps() const {
    std::vector<size_t> moving;  // that no tile of results shares
    for (size_t load = 0; load < loads_.size(); ++load) {
      const bool stays = std::ranges::any_of(
          walks_, [&](const Walk& walk) { return walk.is_tiled && walk.size >= kLeastTile && walk.steps[load] == 0; });
      if (!stays) moving.push_back(load);
    }
    size_t least = loads_.size();  // without an axis to walk along
    for (const Walk& walk : walks_) {
      if (walk.size < kLeastNeighbours) continue;
      const auto jumps_along = [&](size_t load) { return !is_near(walk.steps[load]); };
      least = std::min(least, static_cast<size_t>(std::ranges::count_if(moving, jumps_along)));
    }
    return least;
  }

 private:
  static bool is_near(int64_t step) { return step >= -1 && step <= 2; }

  // Cut at those places that divide each other, the outermost piece first.
  void add_axis(uint32_t axis, int64_t extent, bool is_tiled, const std::set<int64_t>& cuts) {
    std::vector<int64_t> places{1};
    for (const int64_t place : cuts) {
      if (place > places.back() && place < extent && place % places.back() == 0 && extent % place == 0)
        places.push_back(place);
    }
    if (extent > 1) places.push_back(extent);
    for (size_t i = places.size() - 1; i > 0; --i) {
      Walk walk{places[i] / places[i - 1], is_tiled, {}};
      for (const FormId load : loads_) walk.steps.push_back(step_of(load, axis, places[i - 1], places[i]));
      walks_.push_back(std::move(walk));
    }
  }

  // Between neighbours along [low, high) of the axis.
  int64_t step_of(FormId load, uint32_t axis, int64_t low, int64_t high) const {
    int64_t step = 0;
    for (const FormTerm& term : forms_.terms(load)) {
      const Atom& atom = forms_.atom(term.atom);
      if (!atom.is_axis) {
        if (depends_on(atom.base, axis)) return kIrregular;
        continue;
      }
      if (atom.base != axis) continue;
      const int64_t end = atom.is_top() ? atom.whole : atom.low * atom.size;
      if (end <= low || atom.low >= high) continue;
      if (atom.low > low || end < high) return kIrregular;
      step += term.coefficient * (low / atom.low);
    }
    return step;
  }

  bool depends_on(FormId form, uint32_t axis) const {
    std::vector<FormId> pending{form};
    std::unordered_set<FormId> seen{form};
    while (!pending.empty()) {
      const FormId at = pending.back();
      pending.pop_back();
      for (const FormTerm& term : forms_.terms(at)) {
        const Atom& atom = forms_.atom(term.atom);
        if (atom.is_axis && atom.base == axis) return true;
        if (!atom.is_axis && seen.insert(atom.base).second) pending.push_back(atom.base);
      }
    }
    return false;
  }

  void join() {
    for (size_t i = 0; i + 1 < walks_.size();) {
      Walk &outer = walks_[i], &inner = walks_[i + 1];
      bool is_one = outer.is_tiled == inner.is_tiled;
      for (size_t load = 0; load < loads_.size() && is_one; ++load) {
        const int64_t step = inner.steps[load];
        is_one =
            step != kIrregular && outer.steps[load] != kIrregular && outer.steps[load] == Int128{step} * inner.size;
      }
      if (!is_one) {
        ++i;
        continue;
      }
      inner.size *= outer.size;
      walks_.erase(walks_.begin() + static_cast<ptrdiff_t>(i));
      if (i > 0) --i;
    }
  }

  const IndexForms& forms_;
  std::vector<FormId> loads_;
  std::vector<Walk> walks_;
};

/// A gather works on its result, a row update in place on a row.
UInt128 points(const Meaning& meaning, NodeId kernel, const graph::RowUpdates& row_updates) {
  const graph::Graph& graph = meaning.graph;
  if (const auto update = row_updates.find(kernel); update != row_updates.end())
    return static_cast<UInt128>(graph::row_elements(graph, kernel, update->second));
  const bool reduces = graph::is_reduce(graph[kernel].op) && !meaning.gathers.contains(kernel);
  return static_cast<UInt128>(graph.elements(reduces ? graph[kernel].operands[0] : kernel));
}

Problem too_many_divisions(const graph::Graph& graph, NodeId node, size_t divisions) {
  const std::string label(graph.label(node));
  return {"kernel_too_large",
          "the kernel of " + std::string(graph::name(graph[node].op)) + (label.empty() ? "" : " `" + label + "`") +
              " (node " + std::to_string(node) + " of the normal form) would compute " + std::to_string(divisions) +
              " divisions to find its elements; the limit is " + std::to_string(kMostDivisions),
          "", "make what it reads an output, or reshape at places where the shapes' products agree"};
}

}  // namespace

Result<UInt128> index_work(const Meaning& meaning, const IndexForms& forms, std::vector<View>& views,
                           const graph::RowUpdates& row_updates) {
  const graph::Graph& graph = meaning.graph;
  std::ranges::sort(views, [](const View& a, const View& b) {
    return std::tuple(a.kernel, a.position, a.is_load) < std::tuple(b.kernel, b.position, b.is_load);
  });
  if (forms.is_too_long()) {
    return Problem{"kernel_too_large",
                   "a coordinate, after movement, is a sum of more than " + std::to_string(IndexForms::kMostTerms) +
                       " terms, or leaves 64 bits",
                   "", "make a value in the middle of the movement an output, or use fewer axes"};
  }
  UInt128 work = 0;
  for (size_t first = 0, end = 0; first < views.size(); first = end) {
    const NodeId kernel = views[first].kernel;
    Divisions divisions(forms);
    std::vector<FormId> loads;
    for (end = first; end < views.size() && views[end].kernel == kernel; ++end) {
      divisions.add(views[end].position);
      if (views[end].is_load) loads.push_back(views[end].position);
    }
    if (divisions.count() > kMostDivisions) return too_many_divisions(graph, kernel, divisions.count());
    const size_t jumps = Walks(forms, graph, kernel, std::move(loads)).jumps();
    work += points(meaning, kernel, row_updates) * (divisions.count() * kFlopsPerDivision + jumps * kFlopsPerJump);
  }
  return work;
}

}  // namespace quarry::meter
