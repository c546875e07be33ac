// The admin server's requests: what is taken for a request line is one, by a second reading of RFC
// 9112, and its path is part of it.
#include "ctrl/admin/request.h"
#include "tests/fuzz/fuzz.h"

namespace bridgehead::fuzz {

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  for (const char* line :
       {"GET /metrics HTTP/1.1", "HEAD /healthz HTTP/1.0", "GET /api/v1/status?x=1 HTTP/1.1",
        "POST / HTTP/1.1", "GET  / HTTP/1.1", "GET http://host/readyz HTTP/2.0",
        "GET http://host/readyz?a HTTP/1.1", "GET http://host HTTP/1.1", "\x16\x03\x01"}) {
    seeds.push_back(FromText(line));
  }
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  const Exact exact({data, size});
  const std::string_view line = AsText(exact.span());
  const auto request = admin::ParseRequestLine(line);
  if (!request) return 0;
  const std::string_view method = request->method, path = request->path;
  FUZZ_CHECK(!method.empty());
  FUZZ_CHECK(path.find('?') == path.npos);
  // Method, target and version, each without a space.
  FUZZ_CHECK(line.starts_with(method) && line.substr(method.size()).starts_with(" "));
  const std::string_view rest = line.substr(method.size() + 1);
  const size_t end = rest.find(' ');
  FUZZ_CHECK(end != rest.npos);
  const std::string_view target = rest.substr(0, std::min(end, rest.find('?')));
  if (target.size() == path.size()) {
    FUZZ_CHECK(target == path);
  } else {  // the absolute form: an authority in front of it, and perhaps nothing behind
    FUZZ_CHECK(target.size() > 7 && target.substr(4, 3) == "://");
    FUZZ_CHECK(path.starts_with('/'));
    FUZZ_CHECK(target.ends_with(path) || (path == "/" && target.find('/', 7) == target.npos));
  }
  const std::string_view version = rest.substr(end + 1);
  FUZZ_CHECK(version.size() == 8 && version.starts_with("HTTP/1."));
  FUZZ_CHECK(version[7] >= '0' && version[7] <= '9');
  for (const char c : line) FUZZ_CHECK(c >= ' ' && c < 0x7f);
  return 0;
}
