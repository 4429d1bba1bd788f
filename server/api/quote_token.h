// A quote is not stored: its token carries the frozen prices, signed with HMAC-SHA256 under the servers' quote key,
// bound to the account and to the job document's hash.
#pragma once

#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/id.h"
#include "common/sha256.h"
#include "engine/meter/meter.h"
#include "market/market.h"

namespace quarry::server {

struct QuoteTerms {
  QuoteId id;
  AccountId account;
  Digest job_sha256{};  ///< of the job document as graph::write_job gives it
  meter::Tariff tariff = meter::kNewestTariff;
  market::Prices prices;
  Money limit;
  WallTime expires_at;
};

std::string sign_quote(const QuoteTerms& terms, std::string_view key);
/// Problems: "quote_invalid" when it is not ours, "quote_expired".
Result<QuoteTerms> read_quote(std::string_view token, std::string_view key, WallTime now);

}  // namespace quarry::server
