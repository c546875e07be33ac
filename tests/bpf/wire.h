// The far end of a port under test: whole frames in and out of one interface.
#pragma once

#include <chrono>
#include <cstring>
#include <string>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/packet_builder.h"

namespace bridgehead::test {

// A raw socket that sends and sees whole frames on one interface.
class Wire {
 public:
  explicit Wire(const std::string& interface)
      : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0) << interface;
    const int on = 1;
    EXPECT_EQ(setsockopt(fd_, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
  }
  ~Wire() { close(fd_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void Send(const Bytes& frame) {
    EXPECT_EQ(send(fd_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  // True when exactly `frame` arrives within `milliseconds`.
  bool Sees(const Bytes& frame, int milliseconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd wait{fd_, POLLIN, 0};
      if (left.count() <= 0 || poll(&wait, 1, static_cast<int>(left.count())) <= 0) {
        return false;
      }
      sockaddr_ll from{};
      const Bytes got = Receive(from);
      if (from.sll_pkttype != PACKET_OUTGOING && got == frame) {
        return true;
      }
    }
  }

 private:
  // The kernel takes a VLAN tag out of the frame and hands it over beside it: put back here.
  Bytes Receive(sockaddr_ll& from) {
    Bytes frame(4096);
    iovec part{frame.data(), frame.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t bytes = recvmsg(fd_, &message, 0);
    frame.resize(bytes > 0 ? static_cast<size_t>(bytes) : 0);
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      tpacket_auxdata aux;
      std::memcpy(&aux, CMSG_DATA(c), sizeof(aux));
      if (c->cmsg_type == PACKET_AUXDATA && (aux.tp_status & TP_STATUS_VLAN_VALID) != 0) {
        const uint8_t tag[4] = {0x81, 0, static_cast<uint8_t>(aux.tp_vlan_tci >> 8),
                                static_cast<uint8_t>(aux.tp_vlan_tci)};
        frame.insert(frame.begin() + 12, tag, tag + 4);
      }
    }
    return frame;
  }

  int fd_;
};

}  // namespace bridgehead::test
