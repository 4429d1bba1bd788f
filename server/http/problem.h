// RFC 9457 problem documents: the one form of every refusal, from the head of a request to the ledger.
#pragma once

#include "server/http/message.h"

namespace quarry::http {

/// application/problem+json with {type, title, status, detail, code, pointer?, action?}.
Response problem_response(int status, const Problem& problem, int retry_after_s = 0);

}  // namespace quarry::http
