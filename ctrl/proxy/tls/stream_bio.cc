#include "ctrl/proxy/tls/stream_bio.h"

#include <span>

namespace bridgehead::proxy {
namespace {

TcpStream& StreamOf(BIO* bio) {
  return *static_cast<TcpStream*>(BIO_get_data(bio));
}

int Read(BIO* bio, char* data, size_t size, size_t* got) {
  BIO_clear_retry_flags(bio);
  const IoResult result = StreamOf(bio).Read({reinterpret_cast<uint8_t*>(data), size});
  *got = result.bytes;
  if (result.io == Io::kAgain) BIO_set_retry_read(bio);
  if (result.io == Io::kEnd) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return result.io == Io::kOk ? 1 : 0;
}

int Write(BIO* bio, const char* data, size_t size, size_t* written) {
  BIO_clear_retry_flags(bio);
  const iovec part{const_cast<char*>(data), size};
  const IoResult result = StreamOf(bio).Write({&part, 1});
  *written = result.bytes;
  if (result.io == Io::kAgain) BIO_set_retry_write(bio);
  return result.io == Io::kOk ? 1 : 0;
}

long Control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    case BIO_CTRL_FLUSH:
      return 1;
    default:
      return 0;
  }
}

BIO_METHOD* Method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    BIO_meth_set_read_ex(made, Read);
    BIO_meth_set_write_ex(made, Write);
    BIO_meth_set_ctrl(made, Control);
    return made;
  }();
  return method;
}

}  // namespace

BIO* NewStreamBio(TcpStream& stream) {
  BIO* bio = BIO_new(Method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &stream);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace bridgehead::proxy
