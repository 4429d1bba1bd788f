// Inside wire only: what link.cpp (a link that stands) and endpoints.cpp (how one comes about) share.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <string>

#include "wire/link.h"

namespace quarry::wire {

/// Made on a strand: everything on one connection runs one after the other, whatever the number of I/O threads.
using TlsStream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

struct PeerIdentity {
  std::string name;
  Digest key_sha256{};
};

std::shared_ptr<Link> make_link(std::unique_ptr<TlsStream> stream, PeerIdentity peer);

}  // namespace quarry::wire
