#include <zlib.h>

#include "tests/support/walk_harness.h"

namespace bridgehead::test {

Bytes StunRequest(std::string_view username, bool fingerprint) {
  Bytes message = {0x00, 0x01, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  for (uint8_t i = 0; i < 12; ++i) message.push_back(static_cast<uint8_t>(0x30 + i));
  auto put16 = [&](size_t value) {
    message.push_back(static_cast<uint8_t>(value >> 8));
    message.push_back(static_cast<uint8_t>(value));
  };
  put16(0x0006);
  put16(username.size());
  message.insert(message.end(), username.begin(), username.end());
  while (message.size() % 4 != 0) message.push_back(0);
  size_t body = message.size() - 20 + (fingerprint ? 8 : 0);
  message[2] = static_cast<uint8_t>(body >> 8);
  message[3] = static_cast<uint8_t>(body);
  if (fingerprint) {
    auto crc = static_cast<uint32_t>(crc32(0, message.data(), static_cast<uInt>(message.size())));
    crc ^= 0x5354554e;
    put16(0x8028);
    put16(4);
    put16(crc >> 16);
    put16(crc & 0xffff);
  }
  return message;
}

}  // namespace bridgehead::test
