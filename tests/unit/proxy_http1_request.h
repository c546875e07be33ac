// A request of HTTP/1 as tests send one, in pieces of several sizes, and what comes of it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ctrl/proxy/http/request_parser.h"

namespace bridgehead::proxy {

struct Read {
  RequestHead head;
  HeadResult result;
  size_t taken = 0;
};

// In pieces of `step` bytes, until something comes of it.
inline void ReadTo(Read& read, std::string_view bytes, size_t step) {
  RequestParser parser;
  while (!bytes.empty() && read.result.progress == HeadProgress::kMore) {
    read.result = parser.Feed(bytes.substr(0, step), read.head);
    read.taken += read.result.taken;
    bytes.remove_prefix(std::min(read.result.taken, bytes.size()));
  }
}

inline std::vector<std::pair<std::string, std::string>> FieldsOf(const Head& head) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const Field field : head.fields()) fields.emplace_back(field.name, field.value);
  return fields;
}

// Of a whole head, whose pieces must not matter.
class Request {
 public:
  explicit Request(const std::string& bytes) {
    ReadTo(whole_, bytes, bytes.size());
    for (const size_t step : {1, 2, 3, 7}) {
      Read pieces;
      ReadTo(pieces, bytes, step);
      EXPECT_EQ(pieces.result.progress, whole_.result.progress) << step;
      EXPECT_EQ(pieces.result.refusal, whole_.result.refusal) << step;
      if (whole_.result.progress != HeadProgress::kDone) continue;
      EXPECT_EQ(pieces.taken, whole_.taken) << step;
      EXPECT_EQ(FieldsOf(pieces.head), FieldsOf(whole_.head)) << step;
    }
  }
  const RequestHead& head() const { return whole_.head; }
  HeadProgress progress() const { return whole_.result.progress; }
  Refusal refusal() const { return whole_.result.refusal; }
  size_t taken() const { return whole_.taken; }

 private:
  Read whole_;
};

// With a Host, and what is asked about.
inline std::string Get(const std::string& fields) {
  return "GET / HTTP/1.1\r\nHost: a.example\r\n" + fields + "\r\n";
}

inline std::string Line(const std::string& line) {
  return line + "\r\nHost: a.example\r\n\r\n";
}

struct Refused {
  std::string bytes;
  Refusal refusal;
  int status;
};

inline void ExpectRefused(const std::vector<Refused>& all) {
  for (const auto& [bytes, refusal, status] : all) {
    SCOPED_TRACE(testing::PrintToString(bytes.substr(0, 300)));
    const Request request(bytes);
    EXPECT_EQ(request.progress(), HeadProgress::kRefused);
    EXPECT_EQ(TextOf(request.refusal()), TextOf(refusal));
    EXPECT_EQ(StatusOf(request.refusal()), status);
  }
}

}  // namespace bridgehead::proxy
