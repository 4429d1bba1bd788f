// Opaque, prefixed, time-ordered ids: "job_" and 26 characters of Crockford base 32 over a UUIDv7.
// In PostgreSQL an id is a uuid; its order is the order of creation to the millisecond.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/random.h"

namespace quarry {

using IdBytes = std::array<uint8_t, 16>;

IdBytes make_uuid_v7(WallTime now, RandomSource& random);
std::string encode_id(std::string_view prefix, const IdBytes& bytes);
std::optional<IdBytes> decode_id(std::string_view prefix, std::string_view text);
std::string uuid_text(const IdBytes& bytes);  ///< "018f...-....", PostgreSQL's form
std::optional<IdBytes> parse_uuid(std::string_view text);

/// One type per kind of thing, so that a job's id can never be passed where an account's is meant.
template <class Kind>
struct Id {
  IdBytes bytes{};

  static Id make(WallTime now, RandomSource& random) { return {make_uuid_v7(now, random)}; }
  static std::optional<Id> parse(std::string_view text) {
    auto bytes = decode_id(Kind::prefix, text);
    return bytes ? std::optional(Id{*bytes}) : std::nullopt;
  }
  static std::optional<Id> from_uuid(std::string_view text) {
    auto bytes = parse_uuid(text);
    return bytes ? std::optional(Id{*bytes}) : std::nullopt;
  }
  std::string to_string() const { return encode_id(Kind::prefix, bytes); }
  std::string uuid() const { return uuid_text(bytes); }
  auto operator<=>(const Id&) const = default;
};

struct AccountKind {
  static constexpr std::string_view prefix = "acct_";
};
struct JobKind {
  static constexpr std::string_view prefix = "job_";
};
struct BoxKind {
  static constexpr std::string_view prefix = "box_";
};
struct DeviceKind {
  static constexpr std::string_view prefix = "dev_";
};
struct SliceKind {
  static constexpr std::string_view prefix = "slice_";
};
struct SessionKind {
  static constexpr std::string_view prefix = "bses_";
};
struct TransferKind {
  static constexpr std::string_view prefix = "xfer_";
};
struct QuoteKind {
  static constexpr std::string_view prefix = "quote_";
};

using AccountId = Id<AccountKind>;
using JobId = Id<JobKind>;
using BoxId = Id<BoxKind>;
using DeviceId = Id<DeviceKind>;
using SliceId = Id<SliceKind>;
using SessionId = Id<SessionKind>;
using TransferId = Id<TransferKind>;
using QuoteId = Id<QuoteKind>;

}  // namespace quarry

template <class Kind>
struct std::hash<quarry::Id<Kind>> {
  size_t operator()(const quarry::Id<Kind>& id) const noexcept {
    uint64_t tail = 0;  // the last eight bytes are random: hash enough
    for (int i = 8; i < 16; ++i) tail = tail << 8 | id.bytes[static_cast<size_t>(i)];
    return static_cast<size_t>(tail);
  }
};
