#include "ctrl/proxy/http/static_file.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "ctrl/proxy/route/mime.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

int OpenBeneath(const std::string& root, const std::string& path, int flags) {
  const int folder = open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -1;
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const auto fd = static_cast<int>(
      syscall(SYS_openat2, folder, path.empty() ? "." : path.c_str(), &how, sizeof(how)));
  const int error = errno;
  close(folder);
  errno = error;
  return fd;
}

// Of a canonical path: every escape is whole, and none is of a slash or a control byte.
std::string Decoded(std::string_view path) {
  std::string text;
  for (size_t i = 0; i < path.size(); ++i) {
    uint32_t byte = 0;
    if (path[i] == '%' && absl::SimpleHexAtoi({path.data() + i + 1, 2}, &byte)) {
      text += static_cast<char>(byte);
      i += 2;
    } else {
      text += path[i];
    }
  }
  text.erase(0, text.find_first_not_of('/'));
  return text;
}

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t number = 0;
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi({text.data(), text.size()}, &number)) return std::nullopt;
  return number;
}

}  // namespace

std::string HttpDate(int64_t seconds) {
  const time_t at = seconds;
  tm parts{};
  gmtime_r(&at, &parts);
  char text[40];
  strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);  // no locale is set
  return text;
}

StaticFile::~StaticFile() {
  if (fd_ >= 0) close(fd_);
}

void StaticFile::Open(const std::string& root, std::string_view path, const std::string& index,
                      std::string_view url_path, const RequestHead& request,
                      ResponseHead& response) {
  std::string name = Decoded(path);
  fd_ = OpenBeneath(root, name, O_RDONLY);
  struct stat status {};
  if (fd_ >= 0 && fstat(fd_, &status) == 0 && S_ISDIR(status.st_mode)) {
    if (!url_path.ends_with('/')) {
      response.status = 301;
      // A path of its own may not look like another host's ("//host").
      const std::string to = fmt::format("{}/", url_path);
      if (!response.Set("Location", to)) response.status = 404;
      return;
    }
    close(std::exchange(fd_, -1));
    name += name.empty() || name.ends_with('/') ? index : "/" + index;
    fd_ = OpenBeneath(root, name, O_RDONLY);
    if (fd_ >= 0 && fstat(fd_, &status) != 0) status.st_mode = 0;
  }
  if (fd_ < 0) {
    response.status = errno == EACCES || errno == EXDEV || errno == ELOOP ? 403 : 404;
    return;
  }
  if (!S_ISREG(status.st_mode)) {
    response.status = 403;
    return;
  }
  size_ = static_cast<uint64_t>(status.st_size);
  modified_ = status.st_mtim.tv_sec;
  Describe(request, name, response);
}

void StaticFile::Describe(const RequestHead& request, std::string_view name,
                          ResponseHead& response) {
  const std::string etag = fmt::format("\"{:x}-{:x}\"", modified_, size_);
  bool good = response.Set("ETag", etag) && response.Set("Last-Modified", HttpDate(modified_));
  if (IsUnchanged(request, etag)) {
    response.status = good ? 304 : 500;
    return;
  }
  good = good && response.Set("Content-Type", ContentTypeOf(name)) &&
         response.Set("Accept-Ranges", "bytes");
  response.status = good ? 200 : 500;
  if (!good) return;
  at_ = 0;
  left_ = size_;
  const auto range = request.Find(HeaderId::kRange);
  const auto if_range = request.Find(HeaderId::kIfRange);
  if (range && request.method() == Method::kGet && (!if_range || *if_range == etag) &&
      !Narrow(*range, response)) {
    left_ = 0;
    response.status = 416;
    response.Remove(HeaderId::kContentType);
    if (!response.Set("Content-Range", fmt::format("bytes */{}", size_))) response.status = 500;
    return;
  }
  response.framing = Framing::kLength;
  response.content_length = left_;
  if (request.method() == Method::kHead) {
    left_ = 0;
    response.framing = Framing::kNone;
  }
}

// If-None-Match comes before If-Modified-Since (RFC 9110 section 13.2.2).
bool StaticFile::IsUnchanged(const RequestHead& request, std::string_view etag) const {
  if (const auto known = request.Find(HeaderId::kIfNoneMatch)) {
    // A list of tags, weak ones too: ours has no character that would end another's.
    return *known == "*" || known->find(etag) != std::string_view::npos;
  }
  const auto since = request.Find(HeaderId::kIfModifiedSince);
  return since && *since == HttpDate(modified_);
}

bool StaticFile::Narrow(std::string_view range, ResponseHead& response) {
  constexpr std::string_view kUnit = "bytes=";
  if (!range.starts_with(kUnit)) return true;  // another unit is ignored
  range.remove_prefix(kUnit.size());
  const size_t dash = range.find('-');
  // Several ranges may be answered with the whole (RFC 9110 section 14.2).
  if (range.find(',') != std::string_view::npos || dash == std::string_view::npos) return true;
  const auto first = Number(range.substr(0, dash));
  const auto last = Number(range.substr(dash + 1));
  uint64_t begin = 0, end = size_;  // behind the last byte
  if (first) {
    if (dash + 1 < range.size() && (!last || *last < *first)) return true;
    begin = *first;
    if (last) end = std::min(size_, *last < size_ ? *last + 1 : size_);
  } else {
    if (dash != 0 || !last) return true;
    begin = size_ - std::min(size_, *last);
  }
  if (begin >= end) return false;
  at_ = begin;
  left_ = end - begin;
  if (!response.Set("Content-Range", fmt::format("bytes {}-{}/{}", begin, end - 1, size_))) {
    return false;
  }
  response.status = 206;
  return true;
}

std::span<const uint8_t> StaticFile::Read(std::span<uint8_t> into) {
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(into.size(), left_));
  const ssize_t got = pread(fd_, into.data(), wanted, static_cast<off_t>(at_));
  if (got <= 0) return {};
  at_ += static_cast<uint64_t>(got);
  left_ -= static_cast<uint64_t>(got);
  return into.first(static_cast<size_t>(got));
}

}  // namespace bridgehead::proxy
