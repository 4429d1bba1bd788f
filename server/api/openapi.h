// server/openapi.json, embedded at build time.
#pragma once

#include <string_view>

namespace quarry::server {

extern const std::string_view kOpenApiDocument;

}  // namespace quarry::server
