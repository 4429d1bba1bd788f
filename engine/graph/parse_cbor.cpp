#include <array>

#include "common/cbor.h"
#include "engine/graph/graph_reader.h"

namespace quarry::graph {

namespace {

/// Feeds CBOR items to the reader as parse events; the arrays and maps that are open stand on a stack of fixed size.
class CborEvents {
 public:
  CborEvents(std::span<const std::byte> bytes, GraphReader& reader) : cbor_(bytes), reader_(reader) {}

  bool run() {
    do {
      const auto item = cbor_.next();
      if (!item) return reader_.malformed("malformed_cbor", cbor_.error());
      if (!take(*item) || !close_levels()) return false;
    } while (depth_ > 0);
    return cbor_.at_end() || reader_.malformed("malformed_cbor", "bytes follow the graph");
  }

 private:
  using Kind = CborItem::Kind;
  struct Level {
    uint64_t items_left;  ///< of a map: keys and values
    bool is_map;
  };

  bool take(const CborItem& item) {
    if (depth_ > 0) {
      Level& level = levels_[depth_ - 1];
      const bool is_key = level.is_map && level.items_left % 2 == 0;
      --level.items_left;
      if (is_key) {
        if (item.kind != Kind::Text) return reader_.malformed("malformed_cbor", "the keys of a map are text strings");
        text_ = item.bytes;
        return reader_.key(text_);
      }
    }
    switch (item.kind) {
      case Kind::Unsigned:
        return reader_.number_unsigned(item.number);
      case Kind::Negative:
        return reader_.number_integer(item.negative);
      case Kind::Floating:
        return reader_.number_float(item.floating, "");
      case Kind::Text:
        text_ = item.bytes;
        return reader_.string(text_);
      case Kind::Bytes:
        return reader_.binary(bytes_);
      case Kind::Boolean:
        return reader_.boolean(item.number != 0);
      case Kind::Null:
        return reader_.null();
      case Kind::Array:
        return reader_.start_array(item.number) && open({item.number, false});
      case Kind::Map:
        return reader_.start_object(item.number) && open({2 * item.number, true});
    }
    return false;
  }

  bool open(Level level) {
    if (depth_ == levels_.size()) return reader_.malformed("limit_exceeded", "nested too deeply");
    levels_[depth_++] = level;
    return true;
  }

  bool close_levels() {
    while (depth_ > 0 && levels_[depth_ - 1].items_left == 0) {
      const bool is_map = levels_[--depth_].is_map;
      if (!(is_map ? reader_.end_object() : reader_.end_array())) return false;
    }
    return true;
  }

  CborReader cbor_;
  GraphReader& reader_;
  std::array<Level, kMaxNesting> levels_{};
  size_t depth_ = 0;
  std::string text_;
  std::vector<uint8_t> bytes_;
};

}  // namespace

Result<Graph> parse_cbor(std::span<const std::byte> bytes) {
  GraphReader reader;
  if (bytes.size() > kMaxTextBytes)
    reader.malformed("limit_exceeded", "the text is over the limit of " + std::to_string(kMaxTextBytes) + " bytes");
  else
    CborEvents(bytes, reader).run();
  return reader.result();
}

}  // namespace quarry::graph
