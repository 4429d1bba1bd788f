// Boxes, claim codes, devices, slices, sessions.
#include <algorithm>
#include <set>

#include "sql/pg_store.h"
#include "sql/stored_json.h"

namespace quarry::sql {
namespace {

constexpr Statement kAudit = "select audit($1, $2, $3)";
constexpr Statement kInsertBox =
    "insert into box (id, account, name, claim_code_sha256) values ($1, $2, $3, $4) on conflict (claim_code_sha256) do "
    "nothing returning id";
// The same code with the same key again is the repeat of a claim whose answer was lost.
constexpr Statement kClaimBox =
    "update box set key_sha256 = $2, claimed_at = coalesce(claimed_at, business_now()) "
    "where claim_code_sha256 = $1 and revoked_at is null and (key_sha256 is null or key_sha256 = $2) returning id";
#define QUARRY_BOX_COLUMNS "id, account, name, key_sha256, revoked_at is not null"
constexpr Statement kReadBox = "select " QUARRY_BOX_COLUMNS " from box where id = $1";
constexpr Statement kFindCode = "select " QUARRY_BOX_COLUMNS " from box where claim_code_sha256 = $1";
constexpr Statement kListBoxes = "select " QUARRY_BOX_COLUMNS " from box where account = $1 order by id";
constexpr Statement kRevokeBox =
    "update box set revoked_at = business_now() where account = $1 and id = $2 and revoked_at is null returning id";
constexpr Statement kLockBox = "select " QUARRY_BOX_COLUMNS " from box where id = $1 for update";

constexpr Statement kPutDevice =
    "insert into device (id, box, key, name, backend, driver, memory_bytes, compute_units, rate_card, seen_at) "
    "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, business_now()) on conflict (box, key) do update set name = "
    "excluded.name, "
    "backend = excluded.backend, driver = excluded.driver, memory_bytes = excluded.memory_bytes, "
    "compute_units = excluded.compute_units, rate_card = excluded.rate_card, seen_at = excluded.seen_at returning id";
constexpr Statement kRetireSlices =
    "update slice l set retired_at = business_now() from device d where d.id = l.device and d.box = $1 and "
    "l.retired_at is null "
    "and not exists (select from unnest($2::text[], $3::int4[], $4::int4[], $5::int4[], $6::int8[], $7::int4[]) "
    "u(key, index, first_unit, units, memory, slots) where u.key = d.key and u.index = l.index "
    "and l.units = int4range(u.first_unit, u.first_unit + u.units) and l.memory_bytes = u.memory and l.slots = "
    "u.slots)";
constexpr Statement kInsertSlices =
    "insert into slice (id, device, index, units, memory_bytes, flops_per_s, slots) "
    "select u.id, d.id, u.index, int4range(u.first_unit, u.first_unit + u.units), u.memory, u.flops_per_s, u.slots "
    "from unnest($2::uuid[], $3::text[], $4::int4[], $5::int4[], $6::int4[], $7::int8[], $8::float8[], $9::int4[]) "
    "u(id, key, index, first_unit, units, memory, flops_per_s, slots) join device d on d.box = $1 and d.key = u.key "
    "where not exists (select from slice l where l.device = d.id and l.index = u.index and l.retired_at is null)";
constexpr Statement kUpdateRates =
    "update slice l set flops_per_s = u.flops_per_s from unnest($2::text[], $3::int4[], $4::float8[]) u(key, index, "
    "flops_per_s), device d "
    "where d.box = $1 and d.key = u.key and l.device = d.id and l.index = u.index and l.retired_at is null";
constexpr Statement kReadSlices =
    "select d.key, l.index, l.id, l.memory_bytes, l.slots, l.flops_per_s from device d join slice l on l.device = d.id "
    "and "
    "l.retired_at is null "
    "where d.box = $1 order by d.key, l.index";
constexpr Statement kMeasuredAgain =
    "with measured as (update device set rate_card = $3, seen_at = business_now() where box = $1 and key = $2 "
    "returning id, compute_units) "
    "update slice l set flops_per_s = greatest(1, $4::float8 * least(1, (upper(l.units) - lower(l.units))::float8 / "
    "m.compute_units)) from measured m where l.device = m.id and l.retired_at is null";
constexpr Statement kResume =
    "select s.incarnation from box_session s join cluster c on c.incarnation = s.incarnation "
    "where s.box = $1 and s.id = $2 and s.epoch = $3 and s.closed_at is null for share of s";
constexpr Statement kOpenSession =
    "insert into box_session (id, box, incarnation, opened_at) select $1, $2, incarnation, business_now() from cluster "
    "returning epoch, incarnation";

constexpr size_t kMaxName = 200;
constexpr size_t kMaxSlices = 256;  ///< of all devices of a box
constexpr uint32_t kMaxUnits = 1 << 20;

/// When a device has not said how fast it is: a slow core, so that a time limit errs on the long side.
constexpr double kAssumedFlopsPerS = 1e9;

double device_rate(const std::map<std::string, double>& rate_card) {
  const auto found = rate_card.find("f32_flops_per_s");
  const bool measured = found != rate_card.end() && std::isfinite(found->second) && found->second > 0;
  return measured ? found->second : kAssumedFlopsPerS;
}

double slice_rate(const wire::DeviceReport& device, const wire::SliceReport& slice) {
  const double rate = device_rate(device.rate_card);
  const double share = static_cast<double>(slice.units) / std::max(1u, device.compute_units);
  return std::max(1.0, rate * std::min(1.0, share));
}

BoxRow box_from(const Rows& rows, size_t row) {
  return {rows.get<BoxId>(row, 0), rows.get<AccountId>(row, 1), rows.get<std::string>(row, 2),
          rows.maybe<Digest>(row, 3), rows.get<bool>(row, 4)};
}

/// Limits on what a box reports of itself; overlapping slices are refused by the table's exclusion constraint.
void check_report(const wire::Hello& hello) {
  size_t slices = 0;
  for (const auto& device : hello.devices) {
    if (device.compute_units == 0 || device.compute_units > kMaxUnits || device.memory_bytes > INT64_MAX)
      throw std::invalid_argument("device " + device.key + " reports an impossible size");
    for (const auto& slice : device.slices) {
      const bool inside = slice.units > 0 && slice.units <= kMaxUnits && slice.first_unit <= kMaxUnits &&
                          slice.first_unit + slice.units <= device.compute_units &&
                          slice.memory_bytes <= device.memory_bytes;
      if (!inside) throw std::invalid_argument("a slice of device " + device.key + " is not inside of it");
    }
    slices += device.slices.size();
  }
  if (slices > kMaxSlices) throw std::invalid_argument("the box reports too many devices or slices");
  if (hello.slots_per_slice < 1 || hello.slots_per_slice > wire::kMaxSlots)
    throw std::invalid_argument("slots_per_slice is out of range");
}

}  // namespace

BoxId PgStore::create_box(AccountId account, const std::string& name, const Digest& claim_code_sha256) {
  return transact([&](Transaction& tx) {
    const auto id = BoxId::make(clock_.wall(), random_);
    if (tx.query(kInsertBox, id, account, name, claim_code_sha256).empty()) {
      const BoxRow found = box_from(tx.query(kFindCode, claim_code_sha256), 0);
      if (found.account != account || found.name != name) throw SqlError("the claim code is another box's", "");
      return found.id;
    }
    tx.queue(kAudit, std::string("box.created"), id.to_string(), account.to_string());
    return id;
  });
}

std::optional<BoxRow> PgStore::claim_box(const Digest& claim_code_sha256, const Digest& key_sha256) {
  return transact([&](Transaction& tx) -> std::optional<BoxRow> {
    const Rows claimed = tx.query(kClaimBox, claim_code_sha256, key_sha256);
    if (claimed.empty()) return std::nullopt;
    const auto id = claimed.get<BoxId>(0, 0);
    tx.queue(kAudit, std::string("box.claimed"), id.to_string(), to_hex(key_sha256));
    return box_from(tx.query(kReadBox, id), 0);
  });
}

std::optional<BoxRow> PgStore::find_box(BoxId box) {
  return transact([&](Transaction& tx) -> std::optional<BoxRow> {
    const Rows rows = tx.query(kReadBox, box);
    if (rows.empty()) return std::nullopt;
    return box_from(rows, 0);
  });
}

std::vector<BoxRow> PgStore::boxes(AccountId account) {
  return transact([&](Transaction& tx) {
    const Rows rows = tx.query(kListBoxes, account);
    std::vector<BoxRow> list;
    for (size_t row = 0; row < rows.size(); ++row) list.push_back(box_from(rows, row));
    return list;
  });
}

bool PgStore::revoke_box(AccountId account, BoxId box) {
  return transact([&](Transaction& tx) {
    if (tx.query(kRevokeBox, account, box).empty()) return false;
    tx.queue(kAudit, std::string("box.revoked"), box.to_string(), account.to_string());
    return true;
  });
}

void PgStore::report_devices(Transaction& tx, BoxId box, const wire::Hello& hello) {
  std::vector<std::string> keys;
  std::vector<int32_t> indices, slots;
  std::vector<uint32_t> first, units;
  std::vector<uint64_t> memory;
  std::vector<double> rates;
  std::vector<SliceId> ids;
  for (const auto& device : hello.devices) {
    const auto key = clean_text(device.key, kMaxName);
    tx.queue(kPutDevice, DeviceId::make(clock_.wall(), random_), box, key, clean_text(device.name, kMaxName),
             clean_text(device.backend, kMaxName), clean_text(device.driver, kMaxName), device.memory_bytes,
             device.compute_units, rate_card_to_json(device.rate_card));
    for (const auto& slice : device.slices) {
      ids.push_back(SliceId::make(clock_.wall(), random_));
      keys.push_back(key);
      indices.push_back(slice.index);
      first.push_back(slice.first_unit);
      units.push_back(slice.units);
      memory.push_back(slice.memory_bytes);
      rates.push_back(slice_rate(device, slice));
      slots.push_back(hello.slots_per_slice);
    }
  }
  tx.queue(kRetireSlices, box, keys, indices, first, units, memory, slots);
  tx.queue(kInsertSlices, box, ids, keys, indices, first, units, memory, rates, slots);
  tx.queue(kUpdateRates, box, keys, indices, rates);
}

void PgStore::read_slices(Transaction& tx, BoxId box, OpenedSession& opened) {
  const Rows rows = tx.query(kReadSlices, box);
  for (size_t row = 0; row < rows.size(); ++row) {
    const auto id = rows.get<SliceId>(row, 2);
    opened.slices.push_back({rows.get<std::string>(row, 0), rows.get<int32_t>(row, 1), id});
    opened.scheduling.push_back(
        {id, rows.get<uint64_t>(row, 3), kEveryDtype, rows.get<int32_t>(row, 4), rows.get<double>(row, 5)});
  }
}

void PgStore::update_rates(BoxId box, const std::string& device_key, const std::map<std::string, double>& rate_card) {
  transact([&](Transaction& tx) {
    tx.queue(kMeasuredAgain, box, clean_text(device_key, kMaxName), rate_card_to_json(rate_card),
             device_rate(rate_card));
  });
}

OpenedSession PgStore::open_session(BoxId box, const wire::Hello& hello) {
  check_report(hello);
  try {
    return transact([&](Transaction& tx) {
      const Rows found = tx.query(kLockBox, box);
      if (found.empty()) throw std::invalid_argument("no such box");
      const BoxRow row = box_from(found, 0);
      if (row.revoked || !row.key_sha256) throw std::invalid_argument("this box is revoked or not claimed yet");
      OpenedSession opened;
      opened.box = box;
      opened.owner = row.account;
      report_devices(tx, box, hello);
      if (hello.resume) {
        const Rows resumed = tx.query(kResume, box, hello.resume->id, hello.resume->epoch);
        opened.resumed = !resumed.empty();
        if (opened.resumed) {
          opened.session = *hello.resume;
          opened.incarnation = resumed.get<uint64_t>(0, 0);
        }
      }
      if (!opened.resumed) {
        opened.session.id = SessionId::make(clock_.wall(), random_);
        const Rows made = tx.query(kOpenSession, opened.session.id, box);
        opened.session.epoch = made.get<int64_t>(0, 0);
        opened.incarnation = made.get<uint64_t>(0, 1);
      }
      read_slices(tx, box, opened);
      return opened;
    });
  } catch (const SqlError& error) {
    constexpr std::string_view kExclusionViolation = "23P01", kUniqueViolation = "23505";
    if (error.sqlstate != kExclusionViolation && error.sqlstate != kUniqueViolation) throw;
    throw std::invalid_argument("the slices that the box reports overlap");
  }
}

}  // namespace quarry::sql
