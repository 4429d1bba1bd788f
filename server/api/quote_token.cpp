#include "server/api/quote_token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <vector>

namespace quarry::server {

namespace {

Digest hmac_sha256(std::string_view key, std::string_view text) {
  Digest out{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out.data(), &length);
  return out;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t dot = text.find('.');
    parts.push_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    text.remove_prefix(dot + 1);
  }
}

constexpr std::string_view kVersion = "q2";
constexpr std::string_view kBeforeTariffs = "q1";  ///< without the last field: its quotes are of tariff 1
constexpr size_t kParts = 13;                      ///< with version and signature

/// The signed part; only this process's own text is ever read back, so its fields need no checks beyond the
/// signature's.
std::string payload(const QuoteTerms& terms) {
  std::string text(kVersion);
  const auto add = [&text](const std::string& part) { text.append(1, '.').append(part); };
  add(terms.id.to_string());
  add(terms.account.to_string());
  add(to_hex(terms.job_sha256));
  for (const Money price :
       {terms.prices.per_pflop, terms.prices.per_gib_in, terms.prices.per_gib_out, terms.prices.per_gib_hour})
    add(to_decimal(price.pico()));
  add(std::to_string(terms.prices.take_ppm));
  add(to_decimal(terms.limit.pico()));
  add(std::to_string(terms.expires_at.micros));
  add(std::to_string(static_cast<int>(terms.tariff)));
  return text;
}

}  // namespace

std::string sign_quote(const QuoteTerms& terms, std::string_view key) {
  const std::string text = payload(terms);
  return text + "." + to_hex(hmac_sha256(key, text));
}

Result<QuoteTerms> read_quote(std::string_view token, std::string_view key, WallTime now) {
  const Problem invalid{"quote_invalid", "the quote is not one that this service signed for this job and account",
                        "/quote", "ask for a new quote"};
  const size_t last = token.rfind('.');
  const auto signature = last == std::string_view::npos ? std::nullopt : parse_digest(token.substr(last + 1));
  if (!signature || !constant_time_equal(*signature, hmac_sha256(key, token.substr(0, last)))) return invalid;
  const auto parts = split(token);
  const bool is_old = parts[0] == kBeforeTariffs && parts.size() == kParts - 1;
  if (!is_old && (parts.size() != kParts || parts[0] != kVersion)) return invalid;
  QuoteTerms terms;
  const auto id = QuoteId::parse(parts[1]);
  const auto account = AccountId::parse(parts[2]);
  const auto job = parse_digest(parts[3]);
  if (!id || !account || !job) return invalid;
  const auto money = [&](size_t i) { return Money::from_pico(parse_int128(parts[i]).value_or(0)); };
  terms.id = *id;
  terms.account = *account;
  terms.job_sha256 = *job;
  terms.prices = {money(4), money(5), money(6), money(7), static_cast<uint32_t>(parse_uint128(parts[8]).value_or(0))};
  terms.limit = money(9);
  terms.expires_at = {static_cast<int64_t>(parse_int128(parts[10]).value_or(0))};
  const auto tariff = is_old ? 1 : parse_uint128(parts[11]).value_or(0);
  if (tariff < 1 || tariff > static_cast<UInt128>(meter::kNewestTariff)) return invalid;
  terms.tariff = static_cast<meter::Tariff>(tariff);
  if (terms.expires_at < now)
    return Problem{"quote_expired", "the quote expired at " + terms.expires_at.rfc3339(), "", "ask for a new quote"};
  return terms;
}

}  // namespace quarry::server
