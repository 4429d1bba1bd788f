// What every handler needs, made by main and handed in; nothing here is global.
#pragma once

#include <string>

#include "common/clock.h"
#include "common/random.h"
#include "market/market.h"
#include "server/api/catalog.h"
#include "server/api/keys.h"
#include "server/async.h"
#include "server/blobs/blob_store.h"
#include "server/blobs/result_room.h"
#include "server/gate/dispatch.h"
#include "server/live/hub.h"
#include "server/metrics.h"
#include "server/rate_limit.h"
#include "wire/certificates.h"

namespace quarry::server {

struct Settings {
  market::Prices prices;
  std::string quote_key;  ///< secret bytes that sign quotes; all servers of a cluster share it
  wire::KeyAndCertificate authority;
  std::string gate_host;
  uint16_t gate_port = 0;
};

struct Service {
  const Settings& settings;
  const Clock& clock;
  RandomSource& random;
  Database& database;
  WorkPool& work;
  BlobStore& blobs;
  Catalog& catalog;
  Hub& hub;
  Dispatch& dispatch;
  Metrics& metrics;
  RateLimiter& rates;
  HeldCounts& key_connections;  ///< by key id
  HeldCounts& event_streams;    ///< by account
  Keys& keys;
  ResultRoom& room;
};

}  // namespace quarry::server
