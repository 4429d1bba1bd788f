// The CBOR that graphs come in, item by item: what is read, written again, reads the same.
#include <cmath>

#include "common/cbor.h"
#include "common/text.h"
#include "tests/fuzz/require.h"

using namespace quarry;
using Kind = CborItem::Kind;

namespace {

/// False for null, which is read but never written.
bool write(CborWriter& writer, const CborItem& item) {
  switch (item.kind) {
    case Kind::Unsigned:
      writer.unsigned_integer(item.number);
      break;
    case Kind::Negative:
      writer.integer(item.negative);
      break;
    case Kind::Bytes:
      writer.bytes({reinterpret_cast<const uint8_t*>(item.bytes.data()), item.bytes.size()});
      break;
    case Kind::Text:
      FUZZ_REQUIRE(is_utf8(item.bytes));
      writer.text(item.bytes);
      break;
    case Kind::Array:
      writer.array(item.number);
      break;
    case Kind::Map:
      writer.map(item.number);
      break;
    case Kind::Boolean:
      writer.boolean(item.number != 0);
      break;
    case Kind::Floating:
      writer.floating(item.floating);
      break;
    case Kind::Null:
      return false;
  }
  return true;
}

bool same(const CborItem& a, const CborItem& b) {
  const bool floating = a.floating == b.floating || (std::isnan(a.floating) && std::isnan(b.floating));
  return a.kind == b.kind && a.number == b.number && a.negative == b.negative && a.bytes == b.bytes && floating;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  CborReader reader(std::as_bytes(std::span(data, size)));
  size_t items = 0;
  while (const auto item = reader.next()) {
    FUZZ_REQUIRE(++items <= size);
    CborWriter writer;
    if (!write(writer, *item)) continue;
    std::vector<std::byte> bytes(writer.data().begin(), writer.data().end());
    bytes.resize(bytes.size() + (item->kind == Kind::Array ? item->number : 2 * item->number) *
                                    (item->kind == Kind::Array || item->kind == Kind::Map));  // room for what follows
    CborReader again(bytes);
    const auto read = again.next();
    FUZZ_REQUIRE(read && same(*read, *item));
  }
  FUZZ_REQUIRE(!reader.error().empty());
  return 0;
}
