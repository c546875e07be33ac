// ClientHellos: OpenSSL's server reads no other name than the parser does; a decision never changes
// with the bytes that follow, and waits for no more than it takes.
#include "absl/strings/ascii.h"
#include "ctrl/proxy/accept/client_hello.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/client_hello.h"

namespace bridgehead::fuzz {
namespace {

using Progress = proxy::HelloProgress;

struct Outcome {
  proxy::HelloResult result;
  std::string sni, alpn;
  uint16_t version = 0;
  bool operator==(const Outcome& other) const {
    return result.progress == other.result.progress && result.tls == other.result.tls &&
           result.bytes == other.result.bytes && sni == other.sni && alpn == other.alpn &&
           version == other.version;
  }
};

Outcome Parse(std::span<const uint8_t> bytes) {
  static std::vector<uint8_t> scratch(proxy::kMaxClientHelloBytes);
  const Exact exact(bytes);
  proxy::ClientHello hello;
  Outcome outcome;
  outcome.result = proxy::ParseClientHello(exact.span(), scratch, hello);
  outcome.sni = hello.sni;
  hello.alpn.ForEach([&](std::string_view name) {
    FUZZ_CHECK(!name.empty());
    FUZZ_CHECK(hello.alpn.Offers(name));
    outcome.alpn.append(name).push_back('\0');
  });
  outcome.version = hello.version;
  return outcome;
}

bool IsHostName(std::string_view name) {
  for (const char c : name) {
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.') {
      return false;
    }
  }
  return !name.starts_with('.') && !name.ends_with('.') && name.find("..") == name.npos;
}

void CheckAgainstOpenssl(std::span<const uint8_t> bytes, const Outcome& ours) {
  static test::OpensslReader openssl;
  const auto theirs = openssl.NameIn(bytes);
  if (!theirs) return;
  // An SSL 2 hello is one for OpenSSL, but has no name.
  if (ours.result.progress == Progress::kNotTls) FUZZ_CHECK(theirs->empty());
  if (ours.result.progress == Progress::kDone) {
    FUZZ_CHECK(ours.sni == absl::AsciiStrToLower(*theirs));
  }
  FUZZ_CHECK(ours.result.progress != Progress::kMore);
}

}  // namespace

// The first two bytes say which prefix is tried too; the message is put into records of the size in
// the third, or is what follows as it is.
std::vector<Bytes> Seeds() {
  const std::string alpn = test::Vector(1, "h2") + test::Vector(1, "http/1.1");
  test::HandMadeHello by_hand;
  by_hand.extensions = test::Sni("a.example.org") + test::Extension(16, test::Vector(2, alpn));
  const std::string openssl =
      test::OpensslHello("a.example.org", alpn, TLS1_VERSION, TLS1_3_VERSION);
  std::vector<Bytes> seeds;
  for (const std::string& input :
       {std::string("\0\x10\0", 3) + openssl, std::string("\0\x40\0", 3) + "GET / HTTP/1.1\r\n",
        std::string("\0\x20\x20", 3) + by_hand.Message(),
        std::string("\0\x20\x01", 3) + by_hand.Message(),
        std::string("\0\x20\0", 3) + test::Records(by_hand.Message()),
        std::string("\0\x03\0", 3) + "\x80\x2e\x01\x03\x01"}) {
    seeds.push_back(FromText(input));
  }
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  Input input(data, size);
  const size_t cut = input.U16(), record = input.U8();
  const auto rest = input.TakeRest();
  const Bytes bytes =
      record == 0 ? Bytes(rest.begin(), rest.end()) : FromText(test::Records(AsText(rest), record));
  const Outcome whole = Parse(bytes);
  const Outcome prefix = Parse(std::span(bytes).first(cut % (bytes.size() + 1)));
  const size_t prefix_size = cut % (bytes.size() + 1);
  if (prefix.result.progress != Progress::kMore) {
    FUZZ_CHECK(prefix == whole);
  } else {
    FUZZ_CHECK(prefix.result.bytes > prefix_size);
    FUZZ_CHECK(prefix.result.bytes <= proxy::kMaxClientHelloBytes);
    FUZZ_CHECK(!prefix.result.tls || whole.result.tls);
    if (bytes.size() < prefix.result.bytes) {
      FUZZ_CHECK(whole.result.progress != Progress::kDone);
    }
  }
  FUZZ_CHECK(IsHostName(whole.sni));
  if (whole.result.progress == Progress::kDone) {
    FUZZ_CHECK(whole.result.tls && whole.result.bytes <= bytes.size());
    FUZZ_CHECK(Parse(std::span(bytes).first(whole.result.bytes)) == whole);
    FUZZ_CHECK(Parse(std::span(bytes).first(whole.result.bytes - 1)).result.progress ==
               Progress::kMore);
  } else {
    FUZZ_CHECK(whole.sni.empty() && whole.alpn.empty());
  }
  CheckAgainstOpenssl(bytes, whole);
  return 0;
}
