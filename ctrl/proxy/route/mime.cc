#include "ctrl/proxy/route/mime.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"

namespace bridgehead::proxy {
namespace {

struct Type {
  std::string_view ending, type;
};
// Sorted. Scripts: RFC 9239; fonts: RFC 8081; the others: IANA's registry.
constexpr Type kTypes[] = {
    {"aac", "audio/aac"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"m4a", "audio/mp4"},
    {"map", "application/json"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "application/xml"},
    {"zip", "application/zip"},
};
constexpr bool Before(const Type& a, const Type& b) {
  return a.ending < b.ending;
}
static_assert(std::is_sorted(std::begin(kTypes), std::end(kTypes), Before));
constexpr std::string_view kUnknown = "application/octet-stream";
constexpr size_t kMaxEnding = 11;

}  // namespace

std::string_view ContentTypeOf(std::string_view path) {
  const size_t dot = path.find_last_of("./");
  if (dot == path.npos || path[dot] != '.') return kUnknown;
  const std::string_view ending = path.substr(dot + 1);
  std::array<char, kMaxEnding> lower;
  if (ending.size() > lower.size()) return kUnknown;
  std::transform(ending.begin(), ending.end(), lower.begin(), absl::ascii_tolower);
  const Type wanted{{lower.data(), ending.size()}, {}};
  const auto* found = std::lower_bound(std::begin(kTypes), std::end(kTypes), wanted, Before);
  return found != std::end(kTypes) && found->ending == wanted.ending ? found->type : kUnknown;
}

}  // namespace bridgehead::proxy
