// Paths of requests: what is refused, and the one form of what is not.
#include <string>

#include <gtest/gtest.h>

#include "ctrl/proxy/route/path.h"

namespace bridgehead::proxy {
namespace {

PathError ErrorOf(std::string_view raw) {
  std::string scratch;
  const CheckedPath checked = CheckPath(raw, scratch);
  EXPECT_EQ(checked.error == PathError::kNone, !checked.path.empty()) << raw;
  return checked.error;
}

std::string Canonical(std::string_view raw) {
  std::string scratch;
  const CheckedPath checked = CheckPath(raw, scratch);
  EXPECT_EQ(Name(checked.error), "none") << raw;
  return std::string(checked.path);
}

TEST(ProxyPath, OrdinaryPathsAreNotEvenCopied) {
  std::string scratch;
  for (const std::string_view path : {"/", "/colibri-ws/jvb1/conference/endpoint", "/a.b/c..d/e.",
                                      "/x[1]|{2}", "/a;b=c/d", "/@:!$&'()*+,=~_-"}) {
    const CheckedPath checked = CheckPath(path, scratch);
    EXPECT_EQ(checked.error, PathError::kNone) << path;
    EXPECT_EQ(checked.path.data(), path.data()) << path;
    EXPECT_EQ(checked.path, path);
  }
}

TEST(ProxyPath, OneFormOfEqualPaths) {
  EXPECT_EQ(Canonical("/%61%2D%2e%5F%7Eb"), "/a-._~b");
  EXPECT_EQ(Canonical("/%c3%a9%3f%25"), "/%C3%A9%3F%25");
  EXPECT_EQ(Canonical("//a///b//"), "/a/b/");
  EXPECT_EQ(Canonical("/.well-known/acme-challenge/x"), "/.well-known/acme-challenge/x");
  EXPECT_EQ(Canonical("/..."), "/...");
  EXPECT_EQ(Canonical("/..a/.b"), "/..a/.b");
  EXPECT_EQ(Canonical("/%20"), "/%20");
  EXPECT_EQ(Canonical("/%252e%252e/"), "/%252e%252e/") << "is decoded once only";
}

TEST(ProxyPath, WhatTwoProgramsMayReadDifferentlyIsRefused) {
  using enum PathError;
  const std::pair<std::string_view, PathError> cases[] = {
      {"", kNotAbsolute},
      {"*", kNotAbsolute},
      {"a/b", kNotAbsolute},
      {"%2fa", kNotAbsolute},
      {"/a/../b", kDotSegment},
      {"/..", kDotSegment},
      {"/.", kDotSegment},
      {"/./a", kDotSegment},
      {"/a/%2e%2E/b", kDotSegment},
      {"/a/.%2e", kDotSegment},
      {"/a/%2e", kDotSegment},
      {"/a//../b", kDotSegment},
      {"/..;/b", kDotSegment},
      {"/a/..;x=1/b", kDotSegment},
      {"/a/%2e%2e%3bx/b", kDotSegment},
      {"/a%2fb", kEscapedSlash},
      {"/a%2F..%2Fb", kEscapedSlash},
      {"/a\\b", kBackslash},
      {"/a%5c..%5Cb", kBackslash},
      {"/%00", kControl},
      {"/a%0d%0aSet-Cookie:x", kControl},
      {"/%7f", kControl},
      {"/a b", kControl},
      {"/a\tb", kControl},
      {std::string_view("/a\0b", 4), kControl},
      {"/%", kBadEscape},
      {"/%4", kBadEscape},
      {"/%4g", kBadEscape},
      {"/%u002e", kBadEscape},
      {"/%%32%65", kBadEscape},
      {"/a?b", kNotInPath},
      {"/a#b", kNotInPath},
      {"/caf\xc3\xa9", kNotInPath},
      {"/%c0%ae%c0%ae/", kNotUtf8},    // overlong "."
      {"/%c0%af", kNotUtf8},           // overlong "/"
      {"/%e0%80%af", kNotUtf8},        // overlong, three bytes
      {"/%f0%80%80%af", kNotUtf8},     // and four
      {"/%ed%a0%80", kNotUtf8},        // surrogate
      {"/%f4%90%80%80", kNotUtf8},     // over U+10FFFF
      {"/%f5%80%80%80", kNotUtf8},     //
      {"/%80", kNotUtf8},              // begins in the middle
      {"/%e2%82", kNotUtf8},           // ends there
      {"/%e2%82/x", kNotUtf8},         //
      {"/%e2%82%41", kNotUtf8},        //
      {"/%e2%82%e2%82%ac", kNotUtf8},  //
  };
  for (const auto& [path, error] : cases) EXPECT_EQ(Name(ErrorOf(path)), Name(error)) << path;
}

TEST(ProxyPath, EveryByteIsPartOfAPathOrRefused) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string path = std::string("/a") + static_cast<char>(byte) + "b";
    const bool good =
        byte > ' ' && byte < 0x7f && byte != '%' && byte != '\\' && byte != '?' && byte != '#';
    EXPECT_EQ(ErrorOf(path) == PathError::kNone, good) << byte;
  }
}

TEST(ProxyPath, TheLimitIsExact) {
  const std::string longest = "/" + std::string(kMaxPathBytes - 1, 'a');
  EXPECT_EQ(ErrorOf(longest), PathError::kNone);
  EXPECT_EQ(ErrorOf(longest + "a"), PathError::kTooLong);
  EXPECT_EQ(StatusOf(PathError::kTooLong), 414);
  EXPECT_EQ(StatusOf(PathError::kDotSegment), 400);
}

TEST(ProxyPath, TheCanonicalFormIsItsOwn) {
  for (const std::string_view path : {"//%61/%c3%a9//b%20", "/%7e%2Ex", "/a%2525"}) {
    const std::string once = Canonical(path);
    EXPECT_EQ(Canonical(once), once);
  }
}

TEST(ProxyPath, Queries) {
  EXPECT_TRUE(IsQuery("room=a&jwt=b.c/d?e%20"));
  EXPECT_TRUE(IsQuery(""));
  for (const std::string_view query : {"a b", "a\r\n", "a#b", "\x7f", "\xc3\xa9"}) {
    EXPECT_FALSE(IsQuery(query)) << query;
  }
}

}  // namespace
}  // namespace bridgehead::proxy
