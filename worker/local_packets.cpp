// Packets of the local protocol: one byte that says where the message lies, then the message, or a memory file that
// holds it.
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "worker/local_protocol.h"

namespace quarry::worker {
namespace {

constexpr std::byte kInPacket{0}, kInMemoryFile{1};

Problem broken(const std::string& detail) {
  return {"local_protocol", detail, "", ""};
}

/// A message that does not fit a packet moves into a memory file, which becomes the packet's last descriptor.
Status move_to_memory_file(Packet& packet) {
  QUARRY_ASSIGN(FileDescriptor file, make_memory_file("quarry-message", packet.bytes));
  packet.descriptors.push_back(std::move(file));
  packet.bytes.clear();
  return {};
}

Status read_from_memory_file(Packet& packet) {
  if (packet.descriptors.empty()) return broken("a message in a memory file came without the file");
  const FileDescriptor file = std::move(packet.descriptors.back());
  packet.descriptors.pop_back();
  QUARRY_ASSIGN(const uint64_t bytes, regular_file_bytes(file.get()));
  if (bytes > kMaxLocalMessageBytes) return broken("a message is over its limit");
  packet.bytes.resize(bytes);
  return read_exactly(file.get(), 0, packet.bytes);
}

void take_descriptors(const msghdr& header, std::vector<FileDescriptor>& out) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
       part = CMSG_NXTHDR(const_cast<msghdr*>(&header), part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      out.emplace_back(fd);
    }
  }
}

}  // namespace

Result<std::pair<FileDescriptor, FileDescriptor>> make_local_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return system_problem("cannot make a socket pair");
  return std::pair(FileDescriptor(ends[0]), FileDescriptor(ends[1]));
}

Result<bool> send_packet(int socket, Packet& packet, bool wait) {
  if (packet.bytes.size() > kMaxPacketBytes) QUARRY_TRY(move_to_memory_file(packet));
  std::byte place = packet.bytes.empty() ? kInMemoryFile : kInPacket;
  std::array<iovec, 2> parts{iovec{&place, 1}, iovec{packet.bytes.data(), packet.bytes.size()}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE((kMaxDescriptors + 1) * sizeof(int))> control;
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  if (!packet.descriptors.empty()) {
    if (packet.descriptors.size() > kMaxDescriptors + 1) return broken("too many descriptors in one packet");
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(packet.descriptors.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(packet.descriptors.size() * sizeof(int));
    for (size_t i = 0; i < packet.descriptors.size(); ++i) {
      const int fd = packet.descriptors[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(int));
    }
  }
  while (true) {
    const ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    if (sent >= 0) return true;
    if (errno == EINTR) continue;
    if (!wait && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (errno == EPIPE || errno == ECONNRESET) return Problem{"closed", "the peer is gone", "", ""};
    return system_problem("cannot send to the peer");
  }
}

Result<std::optional<Packet>> receive_packet(int socket, bool wait) {
  std::byte place{};
  // Most messages are small: the tail of a large buffer on the stack stays untouched.
  std::array<std::byte, kMaxPacketBytes> body;
  std::array<iovec, 2> parts{iovec{&place, 1}, iovec{body.data(), body.size()}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE((kMaxDescriptors + 1) * sizeof(int))> control;
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::optional<Packet>();
  if (got <= 0) return Problem{"closed", "the peer is gone", "", ""};

  Packet packet;
  take_descriptors(header, packet.descriptors);  // first: whatever is wrong with the packet, they must be closed
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return broken("a packet is over its limit");
  if (place == kInMemoryFile) {
    QUARRY_TRY(read_from_memory_file(packet));
  } else {
    packet.bytes.assign(body.begin(), body.begin() + (got - 1));
  }
  return std::optional(std::move(packet));
}

}  // namespace quarry::worker
