// Boxes, their devices and slices, and their sessions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/id.h"
#include "common/sha256.h"
#include "sql/store_errors.h"
#include "wire/messages.h"

namespace quarry::sql {

struct BoxRow {
  BoxId id;
  AccountId account;
  std::string name;
  std::optional<Digest> key_sha256;  ///< set when claimed
  bool revoked = false;
};
struct OpenedSession {
  wire::SessionKey session;
  uint64_t incarnation = 0;
  BoxId box;
  AccountId owner;
  std::vector<wire::WelcomeSlice> slices;
  std::vector<wire::SessionSlice> scheduling;
  bool resumed = false;
};

class FleetStore {
 public:
  virtual ~FleetStore() = default;
  /// The same claim code again, with the same account and name, is the repeat of a call whose answer was lost: its box.
  virtual BoxId create_box(AccountId account, const std::string& name, const Digest& claim_code_sha256) = 0;
  /// Spends a claim code, binding the box to a key. nullopt: unknown or spent with another key (the same key again
  /// succeeds).
  virtual std::optional<BoxRow> claim_box(const Digest& claim_code_sha256, const Digest& key_sha256) = 0;
  virtual std::optional<BoxRow> find_box(BoxId box) = 0;
  virtual std::vector<BoxRow> boxes(AccountId account) = 0;
  virtual bool revoke_box(AccountId account, BoxId box) = 0;
  /// Resumes the session that the Hello names while it is open; else opens a new one. Throws std::invalid_argument when
  /// the box is unknown, unclaimed or revoked, or when its report is contradictory (overlapping slices). An older
  /// session of the box stays open until the scheduler expires it, which then queues its attempts again.
  virtual OpenedSession open_session(BoxId box, const wire::Hello& hello) = 0;
  /// Figures of one of the box's devices, measured again; they predict durations and are no bill.
  virtual void update_rates(BoxId box, const std::string& device_key,
                            const std::map<std::string, double>& rate_card) = 0;
};

}  // namespace quarry::sql
