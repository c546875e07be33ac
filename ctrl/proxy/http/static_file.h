// One file of a folder, as the answer to a request (RFC 9110 sections 8.8, 13 and 14).
//
// Paths are resolved below the folder by the kernel (openat2, RESOLVE_BENEATH): neither dots nor
// links lead out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ctrl/proxy/http/message.h"

namespace bridgehead::proxy {

class StaticFile {
 public:
  StaticFile() = default;
  ~StaticFile();
  StaticFile(const StaticFile&) = delete;
  StaticFile& operator=(const StaticFile&) = delete;

  // Finds what `path` (canonical, in URL form, of any leading slashes) names below the folder
  // `root`; of a folder its `index`. Fills in the response's status and fields: 200, 206, 304, 404,
  // 403 (not a file, or not readable), 416, or 301 with a Location where a folder was meant and the
  // slash is missing (`url_path`: the whole path of the request). Afterwards content is to be sent
  // if HasContent().
  void Open(const std::string& root, std::string_view path, const std::string& index,
            std::string_view url_path, const RequestHead& request, ResponseHead& response);

  bool HasContent() const { return left_ > 0; }
  // The next piece; empty: the file has become shorter than was said.
  std::span<const uint8_t> Read(std::span<uint8_t> into);

 private:
  void Describe(const RequestHead& request, std::string_view name, ResponseHead& response);
  bool IsUnchanged(const RequestHead& request, std::string_view etag) const;
  // False: the range can not be served (416).
  bool Narrow(std::string_view range, ResponseHead& response);

  int fd_ = -1;
  uint64_t size_ = 0, at_ = 0, left_ = 0;
  int64_t modified_ = 0;  // seconds since the epoch
};

// RFC 9110 section 5.6.7, the preferred form.
std::string HttpDate(int64_t seconds);

}  // namespace bridgehead::proxy
