// What of a request gets into a log.
#include <string>

#include <gtest/gtest.h>

#include "ctrl/proxy/log/redact.h"

namespace bridgehead::proxy {
namespace {

std::string Escaped(std::string_view text, size_t limit = kMaxLoggedBytes) {
  std::string out = "> ";
  AppendEscaped(out, text, limit);
  return out.substr(2);
}

std::string Redacted(std::string_view text, size_t limit = kMaxLoggedBytes) {
  std::string out = "> ";
  AppendRedacted(out, text, limit);
  return out.substr(2);
}

TEST(ProxyRedact, WhatWouldBreakALineIsEscaped) {
  EXPECT_EQ(Escaped("plain text / 'x'"), "plain text / 'x'");
  EXPECT_EQ(Escaped("a\"b\\c\r\n\x1b[0m\x7f"), "a\\x22b\\x5cc\\x0d\\x0a\\x1b[0m\\x7f");
  EXPECT_EQ(Escaped("caf\xc3\xa9"), "caf\\xc3\\xa9");
  EXPECT_EQ(Escaped({"a\0b", 3}), "a\\x00b");
  EXPECT_EQ(Escaped(""), "");
}

TEST(ProxyRedact, TheLimitIsOfWhatIsWritten) {
  EXPECT_EQ(Escaped("abcd", 4), "abcd");
  EXPECT_EQ(Escaped("abcde", 4), "abcd...");
  EXPECT_EQ(Escaped("a\n\n", 5), "a\\x0a...");
  EXPECT_EQ(Escaped("abc\n", 6), "abc...") << "no half an escape";
  EXPECT_EQ(Escaped(std::string(1'000'000, '\n')).size(), kMaxLoggedBytes + 3);
  EXPECT_EQ(Redacted("/a?token=secret", 9), "/a?token=...");
  EXPECT_EQ(Redacted(std::string(1'000'000, 'a')).size(), kMaxLoggedBytes + 3);
}

TEST(ProxyRedact, Secrets) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"/colibri-ws/jvb1/c/e?pwd=s3cret", "/colibri-ws/jvb1/c/e?pwd=***"},
      {"/xmpp-websocket?room=a&jwt=a.b.c&x=1", "/xmpp-websocket?room=a&jwt=***&x=1"},
      {"/?TOKEN=a;Pwd=b#JWT=c", "/?TOKEN=***;Pwd=***#JWT=***"},
      {"/?token=a&token=b", "/?token=***&token=***"},
      {"/?token=", "/?token=***"},
      {"/?token", "/?token"},
      {"/?token=a=b?c", "/?token=***?c"},
      {"/?access_token=x&authToken=y&id-token=z", "/?access_token=***&authToken=***&id-token=***"},
      {"/?password=x&client_secret=y&passwd=z", "/?password=***&client_secret=***&passwd=***"},
      {"/?token[]=x&token%5B%5D=y", "/?token[]=***&token%5B%5D=***"},
      {"/?tokens=1&room=token=2&mytokenx=3", "/?tokens=1&room=token=2&mytokenx=3"},
      {"/token=x/pwd", "/token=x/pwd"},
      {"/a;jwt=x/b", "/a;jwt=***"},
      // Encoded names.
      {"/?%74oken=x", "/?%74oken=***"},
      {"/?j%57T=x&p%2577d=y", "/?j%57T=***&p%2577d=***"},
      {"/?token%3Dx&y=1", "/?token%3D***&y=1"},
      // A value's own escapes are part of it.
      {"/?token=a%26b%3Dc&y=1", "/?token=***&y=1"},
      // A URL in a query.
      {"/login?next=%2Froom%3Fjwt%3Dabc%26x%3D1&y=2",
       "/login?next=%2Froom%3Fjwt%3D***%26x%3D1&y=2"},
      {"/l?n=%252Fr%253Fjwt%253Da%2526b%26pwd%3Dc",
       "/l?n=%252Fr%253Fjwt%253D***%2526b%26pwd%3D***"},
      // Referer.
      {"https://meet.example.org/room?jwt=a.b.c", "https://meet.example.org/room?jwt=***"},
      // Not quite escapes.
      {"/?token=%", "/?token=***"},
      {"/?%=%zz&%25=%2&pwd=a%2", "/?%=%zz&%25=%2&pwd=***"},
      {"/?a\"b=\n&pwd=\n", "/?a\\x22b=\\x0a&pwd=***"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Redacted(text), expected) << text;
}

TEST(ProxyRedact, NoCutShowsWhatAWholeOneHides) {
  const std::string text = "/r?room=a&jwt=abcdef&x=%3Fpwd%3Dghi";
  for (size_t limit = 0; limit < 60; ++limit) {
    const std::string out = Redacted(text, limit);
    EXPECT_EQ(out.find("abc"), out.npos) << limit;
    EXPECT_EQ(out.find("gh"), out.npos) << limit;
    EXPECT_LE(out.size(), limit + 3);
  }
}

TEST(ProxyRedact, LongRunsOfPercentSignsTakeLinearTime) {
  std::string text = "/?";
  for (int i = 0; i < 300'000; ++i) text += "%25";
  std::string out;
  AppendRedacted(out, text, text.size());
  EXPECT_EQ(out.size(), text.size());
}

}  // namespace
}  // namespace bridgehead::proxy
