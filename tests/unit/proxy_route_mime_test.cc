// Media types of static files.
#include <string>

#include <gtest/gtest.h>

#include "ctrl/proxy/route/mime.h"

namespace bridgehead::proxy {
namespace {

TEST(ProxyMime, WhatAWebApplicationIsMadeOf) {
  EXPECT_EQ(ContentTypeOf("/libs/app.bundle.min.js"), "text/javascript; charset=utf-8");
  EXPECT_EQ(ContentTypeOf("/w.mjs"), "text/javascript; charset=utf-8");
  EXPECT_EQ(ContentTypeOf("/libs/rnnoise.wasm"), "application/wasm");
  EXPECT_EQ(ContentTypeOf("index.html"), "text/html; charset=utf-8");
  EXPECT_EQ(ContentTypeOf("/all.CSS"), "text/css; charset=utf-8");
  EXPECT_EQ(ContentTypeOf("/favicon.ico"), "image/vnd.microsoft.icon");
  EXPECT_EQ(ContentTypeOf("/logo.svg"), "image/svg+xml");
  EXPECT_EQ(ContentTypeOf("/lang/main-de.json"), "application/json");
  EXPECT_EQ(ContentTypeOf("/sounds/joined.mp3"), "audio/mpeg");
  EXPECT_EQ(ContentTypeOf("/sounds/joined.opus"), "audio/ogg");
  EXPECT_EQ(ContentTypeOf("/fonts/jitsi.woff2"), "font/woff2");
  EXPECT_EQ(ContentTypeOf("/manifest.webmanifest"), "application/manifest+json");
}

TEST(ProxyMime, WhatIsNotKnownIsSavedNotRun) {
  for (const std::string_view path :
       {"", ".", "/", "/noending", "/x.", "/a.js/file", "/x.exe", "/x.html.unknown", "/x.php"}) {
    EXPECT_EQ(ContentTypeOf(path), "application/octet-stream") << path;
  }
  EXPECT_EQ(ContentTypeOf("/x." + std::string(5000, 'a')), "application/octet-stream");
}

}  // namespace
}  // namespace bridgehead::proxy
