#include "ctrl/proxy/tls/stream_bio.h"

#include <array>
#include <span>

namespace bridgehead::proxy {

Io StreamBio::Flush() {
  while (!held_.empty()) {
    const IoResult result = Write({});
    if (result.io != Io::kOk) return result.io;
  }
  return Io::kOk;
}

// Sends what is kept, and `bytes` behind it: how much of them is the result, and may be nothing.
IoResult StreamBio::Write(iovec bytes) {
  if (held_.empty()) return stream_.Send({&bytes, 1}, more_);
  const std::array<iovec, 2> parts{iovec{held_.data(), held_.size()}, bytes};
  IoResult result = stream_.Send({parts.data(), bytes.iov_len > 0 ? 2U : 1U}, more_);
  if (result.bytes < held_.size()) {
    held_.erase(0, result.bytes);
    result.bytes = 0;
  } else {
    result.bytes -= held_.size();
    held_ = {};
  }
  return result;
}

int StreamBio::OnRead(BIO* bio, char* data, size_t size, size_t* got) {
  BIO_clear_retry_flags(bio);
  auto& self = *static_cast<StreamBio*>(BIO_get_data(bio));
  const IoResult result = self.stream_.Read({reinterpret_cast<uint8_t*>(data), size});
  *got = result.bytes;
  if (result.io == Io::kAgain) BIO_set_retry_read(bio);
  if (result.io == Io::kEnd) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return result.io == Io::kOk ? 1 : 0;
}

int StreamBio::OnWrite(BIO* bio, const char* data, size_t size, size_t* written) {
  BIO_clear_retry_flags(bio);
  auto& self = *static_cast<StreamBio*>(BIO_get_data(bio));
  if (self.holds_) {
    self.held_.append(data, size);
    *written = size;
    return 1;
  }
  IoResult result;
  do {
    result = self.Write({const_cast<char*>(data), size});
  } while (result.io == Io::kOk && result.bytes == 0);  // all of it was what had been kept
  *written = result.bytes;
  if (result.io == Io::kAgain) BIO_set_retry_write(bio);
  return result.io == Io::kOk ? 1 : 0;
}

long StreamBio::OnControl(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    case BIO_CTRL_FLUSH:
      return 1;
    default:
      return 0;
  }
}

BIO_METHOD* StreamBio::Method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    BIO_meth_set_read_ex(made, OnRead);
    BIO_meth_set_write_ex(made, OnWrite);
    BIO_meth_set_ctrl(made, OnControl);
    return made;
  }();
  return method;
}

BIO* StreamBio::Make() {
  BIO* bio = BIO_new(Method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace bridgehead::proxy
