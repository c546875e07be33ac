#include "ctrl/proxy/accept/client_hello.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"

namespace bridgehead::proxy {
namespace {

using Progress = HelloProgress;
using Bytes = std::span<const uint8_t>;

constexpr size_t kRecordHead = 5, kMessageHead = 4;
constexpr size_t kMaxRecord = 1 << 14;  // RFC 8446 section 5.1
constexpr uint8_t kHandshake = 22, kMajorVersion = 3, kClientHello = 1;
constexpr uint16_t kServerName = 0, kAlpn = 16, kSupportedVersions = 43;
constexpr uint16_t kTls12 = 0x0303, kTls13 = 0x0304, kSsl3 = 0x0300;

// Takes from the front. Once there is less than is asked for it stays failed, and gives nothing.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}

  Bytes Take(size_t count) {
    if (count > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  // A number in network order of `width` bytes, 1..3; 0 when there is none.
  size_t Number(size_t width) {
    size_t number = 0;
    for (const uint8_t byte : Take(width)) number = number << 8 | byte;
    return number;
  }
  // A vector with its length in front (RFC 8446 section 3.4).
  Bytes Vector(size_t width) { return Take(Number(width)); }
  bool empty() const { return rest_.empty(); }
  bool failed() const { return failed_; }
  bool AtEnd() const { return !failed_ && rest_.empty(); }

 private:
  Bytes rest_;
  bool failed_ = false;
};

// The records of the message, as far as they are there.
struct Walk {
  HelloResult result;
  size_t first_payload = 0;  // bytes of the message in the first record
  size_t message = 0;        // bytes of the message, with its head, once that is there
};

// One record's head and what is checked of it; false: the walk ends here.
bool CheckRecordHead(Bytes bytes, size_t at, HelloResult& result) {
  const size_t least = at + kRecordHead + 1;
  result.progress = Progress::kTooLong;
  if (least > kMaxClientHelloBytes) return false;
  const Bytes head = bytes.subspan(at, std::min(kRecordHead, bytes.size() - at));
  result.progress = at == 0 ? Progress::kNotTls : Progress::kMalformed;
  if (!head.empty() && head[0] != kHandshake) return false;
  // RFC 8446 section 5.1: the version's second byte says nothing.
  if (head.size() > 1 && head[1] != kMajorVersion) return false;
  result.progress = Progress::kMore;
  if (head.size() == kRecordHead) return true;
  result.bytes = std::max(result.bytes, least);
  return false;
}

// The head of the message, which may lie in up to four records.
class MessageHead {
 public:
  void Add(Bytes payload) {
    const size_t count = std::min(payload.size(), kMessageHead - have_);
    std::copy_n(payload.begin(), count, head_ + have_);
    have_ += count;
  }
  bool empty() const { return have_ == 0; }
  uint8_t type() const { return head_[0]; }
  // With the head; nothing before it is known.
  std::optional<size_t> size() const {
    if (have_ < kMessageHead) return std::nullopt;
    return kMessageHead + (size_t{head_[1]} << 16 | size_t{head_[2]} << 8 | head_[3]);
  }

 private:
  uint8_t head_[kMessageHead] = {};
  size_t have_ = 0;
};

// Goes from record to record to the message's end. Each wait is for as many bytes as there must be
// at least, so that a sender of single bytes does not have them looked at each time. A check uses
// nothing behind what the ones before it have used: else more bytes could change a decision.
Walk WalkRecords(Bytes bytes) {
  Walk walk;
  HelloResult& result = walk.result;
  MessageHead head;
  size_t at = 0, got = 0;  // where a record begins; bytes of the message before it
  while (CheckRecordHead(bytes, at, result)) {
    const size_t length = static_cast<size_t>(bytes[at + 3]) << 8 | bytes[at + 4];
    const size_t end = at + kRecordHead + length;
    result.progress = Progress::kMalformed;
    // RFC 8446 section 5.1: no handshake record is empty.
    if (length == 0 || length > kMaxRecord) return walk;
    result.progress = Progress::kTooLong;
    if (end > kMaxClientHelloBytes) return walk;

    head.Add(bytes.subspan(at + kRecordHead, std::min(length, bytes.size() - at - kRecordHead)));
    result.progress = Progress::kMalformed;
    if (!head.empty() && head.type() != kClientHello) return walk;
    result.tls = !head.empty();
    got += length;
    if (walk.first_payload == 0) walk.first_payload = length;
    result.bytes = end;
    if (const auto size = head.size()) {
      // A client has nothing more to say in clear before the server has spoken.
      if (got > *size) return walk;
      if (got < *size) result.bytes += kRecordHead + (*size - got);
      walk.message = *size;
    }
    result.progress = Progress::kTooLong;
    if (result.bytes > kMaxClientHelloBytes) return walk;
    result.progress = Progress::kMore;
    if (end > bytes.size()) return walk;
    if (got == walk.message) {
      result.progress = Progress::kDone;
      return walk;
    }
    at = end;
  }
  return walk;
}

// The message from its records, one behind the other.
Bytes Gather(Bytes bytes, std::span<uint8_t> into) {
  size_t size = 0;
  for (Reader records(bytes); !records.empty();) {
    records.Take(kRecordHead - 2);
    const Bytes payload = records.Vector(2);
    std::copy(payload.begin(), payload.end(), into.begin() + static_cast<ptrdiff_t>(size));
    size += payload.size();
  }
  return into.first(size);
}

// RFC 6066 section 3: a host name without a trailing dot, A-labels; not more than RFC 1035 section
// 2.3.4 allows. Underscores are not of the RFC, but of some hosts' names.
bool IsHostName(std::string_view name) {
  constexpr size_t kMaxName = 253, kMaxLabel = 63;
  if (name.size() > kMaxName) return false;
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return false;
    if (++label > kMaxLabel) return false;
  }
  return label > 0;
}

// RFC 6066 section 3, and like OpenSSL nothing but one host_name (0): no other type exists.
bool ReadServerName(Bytes extension, ClientHello& hello) {
  Reader reader(extension);
  Reader list(reader.Vector(2));
  if (!reader.AtEnd() || list.Number(1) != 0) return false;
  const Bytes name = list.Vector(2);
  const std::string_view text(reinterpret_cast<const char*>(name.data()), name.size());
  if (!list.AtEnd() || !IsHostName(text)) return false;
  hello.sni.assign(text);
  absl::AsciiStrToLower(&hello.sni);
  return true;
}

// RFC 7301 section 3.1: not empty, and no name in it is.
bool ReadAlpn(Bytes extension, ClientHello& hello) {
  Reader reader(extension);
  const Bytes list = reader.Vector(2);
  if (!reader.AtEnd() || list.empty()) return false;
  for (Reader names(list); !names.AtEnd();) {
    if (names.Vector(1).empty()) return false;
  }
  hello.alpn = AlpnList(list);
  return true;
}

// RFC 8446 section 4.2.1: what is not known is ignored, and the hello's own version with it.
bool ReadSupportedVersions(Bytes extension, ClientHello& hello) {
  Reader reader(extension);
  const Bytes list = reader.Vector(1);
  if (!reader.AtEnd() || list.empty() || list.size() % 2 != 0) return false;
  hello.version = 0;
  for (Reader versions(list); !versions.AtEnd();) {
    const auto version = static_cast<uint16_t>(versions.Number(2));
    if (version >= kSsl3 && version <= kTls13) hello.version = std::max(hello.version, version);
  }
  return true;
}

bool ReadExtensions(Bytes block, ClientHello& hello) {
  struct {
    const uint16_t type;
    bool (*const read)(Bytes, ClientHello&);
    bool seen;
  } known[] = {{kServerName, ReadServerName, false},
               {kAlpn, ReadAlpn, false},
               {kSupportedVersions, ReadSupportedVersions, false}};
  for (Reader reader(block); !reader.AtEnd();) {
    const size_t type = reader.Number(2);
    const Bytes extension = reader.Vector(2);
    if (reader.failed()) return false;
    for (auto& one : known) {
      if (type != one.type) continue;
      // RFC 8446 section 4.2: not two of a type.
      if (one.seen || !one.read(extension, hello)) return false;
      one.seen = true;
    }
  }
  return true;
}

// RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2; `body` without the message's head.
bool ReadHello(Bytes body, ClientHello& hello) {
  Reader reader(body);
  const auto version = static_cast<uint16_t>(reader.Number(2));
  reader.Take(32);  // random
  const Bytes session = reader.Vector(1);
  const Bytes ciphers = reader.Vector(2);
  const Bytes compressions = reader.Vector(1);
  if (reader.failed() || version < kSsl3 || session.size() > 32 || ciphers.empty() ||
      ciphers.size() % 2 != 0 || compressions.empty()) {
    return false;
  }
  hello.version = std::min(version, kTls12);
  if (reader.empty()) return true;  // before TLS 1.3 there may be no extensions
  const Bytes extensions = reader.Vector(2);
  return reader.AtEnd() && ReadExtensions(extensions, hello);
}

}  // namespace

bool AlpnList::Offers(std::string_view protocol) const {
  bool offers = false;
  ForEach([&](std::string_view name) { offers = offers || name == protocol; });
  return offers;
}

HelloResult ParseClientHello(Bytes bytes, std::span<uint8_t> scratch, ClientHello& hello) {
  Walk walk = WalkRecords(bytes);
  if (walk.result.progress != Progress::kDone) return walk.result;
  const bool one_record = walk.first_payload == walk.message;
  const Bytes message = one_record ? bytes.subspan(kRecordHead, walk.message)
                                   : Gather(bytes.first(walk.result.bytes), scratch);
  ClientHello read;
  if (!ReadHello(message.subspan(kMessageHead), read)) {
    walk.result.progress = Progress::kMalformed;
    return walk.result;
  }
  hello = std::move(read);
  return walk.result;
}

}  // namespace bridgehead::proxy
