// The heads of a request and of a response, whatever version of HTTP they came with.
//
// Theory of operation: a head owns one buffer of text; fields and the parts of the first line are
// places in it. HTTP/1 copies a head's bytes in and notes where things are, HTTP/2 adds field by
// field. A head is used again for the next message and keeps its memory: no allocation for each
// message, none for each field. Release() gives the memory back, for connections that are idle.
//
// Nothing gets into a head that would not be one field, or one part of the first line, when it is
// written: Add, Set and the like check what they take, readers check what they read. So what is
// written needs no further look.
//
// When a head is read, `fields` holds only what is for the other end: Host has become the
// authority, framing and the connection's options are members, and what is for one connection only
// is gone (RFC 9110 section 7.6.1).
//
// Views are valid until the head changes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctrl/proxy/http/header_id.h"

namespace bridgehead::proxy {

enum class Method : uint8_t {
  kOther,  // see method_text()
  kGet,
  kHead,
  kPost,
  kPut,
  kPatch,
  kDelete,
  kOptions,
  kConnect,  // over HTTP/2 only: RFC 8441
};

enum class HttpVersion : uint8_t { k10, k11, k2 };

// Where the body ends (RFC 9112 section 6.3).
enum class Framing : uint8_t {
  kNone,        // there is none
  kLength,      // after content_length bytes
  kChunked,     // HTTP/1.1: with the last chunk. Of HTTP/2: with its stream, the length not known
  kUntilClose,  // of responses only
};

enum class Upgrade : uint8_t { kNone, kWebSocket };

struct Field {
  HeaderId id = HeaderId::kUnknown;
  std::string_view name, value;
};

class Head {
 public:
  // Goes over the fields in their order.
  class Iterator {
   public:
    Iterator(const Head& head, size_t at) : head_(head), at_(at) {}
    Field operator*() const { return head_.field(at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const Head& head_;
    size_t at_;
  };
  struct Fields {
    const Head& head;
    Iterator begin() const { return {head, 0}; }
    Iterator end() const { return {head, head.entries_.size()}; }
  };

  Fields fields() const { return {*this}; }
  size_t field_count() const { return entries_.size(); }
  // `at` < field_count().
  Field field(size_t at) const {
    const Entry& entry = entries_[at];
    return {entry.id, Text(entry.name), Text(entry.value)};
  }

  bool Has(HeaderId id) const { return (present_ & BitOf(id)) != 0; }
  // Whether one of `ids` (BitOf) was entered more than once since the head was cleared.
  bool Repeats(uint64_t ids) const { return (repeated_ & ids) != 0; }
  // How many fields of this name there are.
  size_t Count(HeaderId id) const;
  // Value of the first one; nullopt: there is none.
  std::optional<std::string_view> Find(HeaderId id) const;
  std::optional<std::string_view> Find(std::string_view name) const;

  // Behind the others; both are copied, and may be views of this head. false, and nothing changes:
  // the name is no token or the value no field value (RFC 9110 section 5).
  [[nodiscard]] bool Add(std::string_view name, std::string_view value);
  // Removes all of that name, and adds this one.
  [[nodiscard]] bool Set(std::string_view name, std::string_view value);
  void Remove(HeaderId id);
  void Remove(std::string_view name);

  // Bytes that all fields take when they are written, line ends included.
  size_t fields_bytes() const;

  HttpVersion version = HttpVersion::k11;
  Framing framing = Framing::kNone;
  // Of kLength. Of a response without a body (to HEAD, or 304): what Content-Length said.
  std::optional<uint64_t> content_length;
  // The connection may carry another message after this one.
  bool keep_alive = true;
  // Of a request: it asks for one, and the handshake is in order. Of a response: this is the 101.
  Upgrade upgrade = Upgrade::kNone;

 protected:
  friend class HeadReader;
  struct Range {
    uint32_t at = 0, size = 0;
  };
  struct Entry {
    Range name, value;
    HeaderId id = HeaderId::kUnknown;
  };

  Head() = default;
  ~Head() = default;

  std::string_view Text(Range range) const { return {text_.data() + range.at, range.size}; }
  // `text` may be a view of this head.
  Range Append(std::string_view text);
  Range RangeOf(std::string_view of_text) const {
    return {static_cast<uint32_t>(of_text.data() - text_.data()),
            static_cast<uint32_t>(of_text.size())};
  }
  // Both are views of text_, and checked.
  void Enter(std::string_view name, std::string_view value);
  // `condition` is asked of each entry, once.
  template <typename Condition>
  void RemoveIf(Condition condition) {
    entries_.erase(std::remove_if(entries_.begin(), entries_.end(), condition), entries_.end());
    present_ = 0;
    for (const Entry& entry : entries_) present_ |= BitOf(entry.id);
  }
  void ClearFields();
  void ReleaseFields();

  std::string text_;
  std::vector<Entry> entries_;
  uint64_t present_ = 0;  // BitOf each entry's id
  uint64_t repeated_ = 0;
};

class RequestHead : public Head {
 public:
  Method method() const { return method_; }
  std::string_view method_text() const { return Text(method_text_); }
  // Begins with '/', as it came: neither decoded nor normalised. "*": of OPTIONS only.
  std::string_view path() const { return Text(path_); }
  // Without the '?' in front. A query that is there may be empty.
  std::string_view query() const { return Text(query_); }
  bool has_query() const { return has_query_; }
  // host[:port], in lower case: HTTP/1's Host, HTTP/2's :authority.
  std::string_view authority() const { return Text(authority_); }
  // Its host; an IPv6 address with brackets, a name without the dot that may end it.
  std::string_view host() const { return Text(host_); }
  uint16_t port() const { return port_; }  // 0: none was said

  // All of these copy. false, and nothing changes: no token; neither path with query nor "*"; not
  // what ParseAuthority takes.
  [[nodiscard]] bool SetMethod(std::string_view text);
  [[nodiscard]] bool SetTarget(std::string_view path_and_query);
  [[nodiscard]] bool SetAuthority(std::string_view authority);
  // As Head's; of Host it sets the authority.
  [[nodiscard]] bool Set(std::string_view name, std::string_view value);

  // Expect: 100-continue, and there is a body to wait for.
  bool expect_continue = false;

  // As new, but for the memory.
  void Clear();
  void Release();

 private:
  friend class RequestParser;

  Method method_ = Method::kOther;
  bool has_query_ = false;
  uint16_t port_ = 0;
  Range method_text_, path_, query_, authority_, host_;
};

class ResponseHead : public Head {
 public:
  uint16_t status = 0;  // 100..599
  // As it came, or what RFC 9110 calls the status when nothing came.
  std::string_view reason() const;

  void Clear();
  void Release();

 private:
  friend class ResponseParser;

  Range reason_;
};

// RFC 9110 section 15; empty: not one of those.
std::string_view ReasonOf(uint16_t status);
// kOther: none of those, or no method at all. Case counts (RFC 9110 section 9.1).
Method MethodOf(std::string_view text);

}  // namespace bridgehead::proxy
