// A request of HTTP/1 read and written anew, as the edge does it for each: time, and allocations,
// of which there are none once the head has its memory.
#include <cstdlib>
#include <new>
#include <string>

#include <benchmark/benchmark.h>

#include "ctrl/proxy/http/request_parser.h"
#include "ctrl/proxy/http/response_parser.h"
#include "ctrl/proxy/http/write.h"

namespace {
size_t allocations = 0;
}

// All of the program's. (Inlined, GCC takes malloc and delete for a mismatch.)
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  free(memory);
}

namespace bridgehead::proxy {
namespace {

constexpr std::string_view kBrowser =
    "GET /libs/app.bundle.min.js?v=8615 HTTP/1.1\r\n"
    "Host: meet.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/124.0.0.0 Safari/537.36\r\n"
    "Accept: */*\r\n"
    "Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://meet.example.org/SomeRoomName\r\n"
    "Sec-Fetch-Dest: script\r\n"
    "Sec-Fetch-Mode: no-cors\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "sec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef\r\n"
    "Connection: keep-alive\r\n\r\n";

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\n"
    "Server: nginx\r\n"
    "Date: Mon, 06 May 2024 10:00:00 GMT\r\n"
    "Content-Type: application/javascript; charset=utf-8\r\n"
    "Content-Length: 16384\r\n"
    "Last-Modified: Mon, 06 May 2024 09:00:00 GMT\r\n"
    "ETag: \"6638a000-4000\"\r\n"
    "Cache-Control: max-age=31536000\r\n"
    "Accept-Ranges: bytes\r\n"
    "Connection: keep-alive\r\n\r\n";

// Runs it once for the memory, then measures it; what Google Benchmark allocates does not count.
template <typename Function>
void Measure(benchmark::State& state, size_t bytes, Function run) {
  run();
  size_t allocated = 0;
  for (auto _ : state) {
    const size_t before = allocations;
    run();
    allocated += allocations - before;
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
  state.counters["allocations"] = static_cast<double>(allocated);
}

void Request(benchmark::State& state) {
  const size_t step = state.range(0) != 0 ? static_cast<size_t>(state.range(0)) : kBrowser.size();
  RequestParser parser;
  RequestHead head;
  char out[4096];
  Measure(state, kBrowser.size(), [&] {
    HeadProgress progress = HeadProgress::kMore;
    for (std::string_view rest = kBrowser; progress == HeadProgress::kMore;) {
      const auto result = parser.Feed(rest.substr(0, step), head);
      rest.remove_prefix(result.taken);
      progress = result.progress;
    }
    const bool added = head.Set("X-Forwarded-For", "192.0.2.1");
    const size_t written = WriteRequest(head, false, out);
    if (progress != HeadProgress::kDone || !added || written == 0) abort();
    benchmark::DoNotOptimize(out);
  });
}
// In pieces of so many bytes; 0: in one.
BENCHMARK(Request)->Arg(0)->Arg(64)->Arg(1);

void Response(benchmark::State& state) {
  ResponseParser parser;
  ResponseHead head;
  char out[4096];
  Measure(state, kAnswer.size(), [&] {
    parser.Begin(Method::kGet, Upgrade::kNone);
    const auto result = parser.Feed(kAnswer, head);
    const size_t written = WriteResponse(head, HttpVersion::k11, false, out);
    if (result.progress != HeadProgress::kDone || written == 0) abort();
    benchmark::DoNotOptimize(out);
  });
}
BENCHMARK(Response);

}  // namespace
}  // namespace bridgehead::proxy

BENCHMARK_MAIN();
