// Cookie tokens, basic authentication, and the threads that look them up.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <string>

#include <crypt.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "absl/strings/escaping.h"
#include "ctrl/proxy/route/basic_auth.h"
#include "ctrl/proxy/route/cookie_token.h"
#include "ctrl/proxy/route/password_file.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Answer = DeferredCheck::Answer;

const DeferredCheck::Time kStart{1000s};

config::Address SourceOf(size_t number) {
  return *config::Address::Parse("192.0.2." + std::to_string(number));
}
const config::Address kSource = SourceOf(255);

// Stands in for the edge's loop: what is posted runs when the test waits for it.
class ProxyDeferred : public ::testing::Test {
 protected:
  DeferredCheck::Post post() {
    return [this](std::function<void()> task) {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(task));
      changed_.notify_one();
    };
  }
  // Until `count` answers have come in all. A lost one fails the test.
  void RunUntil(size_t count) {
    while (answers_.size() < count) {
      std::unique_lock lock(mutex_);
      ASSERT_TRUE(changed_.wait_for(lock, 60s, [this] { return !posted_.empty(); }));
      const auto task = std::move(posted_.front());
      posted_.pop_front();
      lock.unlock();
      task();
    }
  }
  DeferredCheck::Done done() {
    return [this](bool yes) { answers_.push_back(yes); };
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> posted_;
  std::vector<bool> answers_;
};

TEST_F(ProxyDeferred, AYesIsRememberedForAWhileANoIsNot) {
  WorkerPool pool(1, {8, 8});
  DeferredCheck check(pool, post(), 5s);
  std::atomic<int> asked = 0;
  const auto question = [&asked](bool yes) {
    return [&asked, yes] {
      ++asked;
      return yes;
    };
  };
  EXPECT_EQ(check.Ask("good", kSource, kStart, question(true), done()), Answer::kLater);
  RunUntil(1);
  EXPECT_EQ(check.Ask("good", kSource, kStart + 4999ms, question(false), done()), Answer::kYes);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(check.Ask("good", kSource, kStart + 5s, question(false), done()), Answer::kLater);
  RunUntil(2);
  EXPECT_EQ(check.Ask("good", kSource, kStart + 5s, question(false), done()), Answer::kLater);
  RunUntil(3);
  EXPECT_THAT(answers_, ElementsAre(true, false, false));
  EXPECT_EQ(asked, 3);
}

TEST_F(ProxyDeferred, EqualQuestionsWaitForOneAnswer) {
  std::promise<void> go;
  WorkerPool pool(1, {8, 8});
  DeferredCheck check(pool, post(), 5s);
  std::atomic<int> asked = 0;
  const auto question = [&asked, gate = go.get_future().share()] {
    gate.wait();
    ++asked;
    return true;
  };
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(check.Ask("x", kSource, kStart, question, done()), Answer::kLater);
  }
  go.set_value();
  RunUntil(20);
  EXPECT_EQ(asked, 1);
}

TEST_F(ProxyDeferred, WhatIsTooMuchIsSaidSo) {
  std::promise<void> go, begun;
  WorkerPool pool(1, {2, 8});
  DeferredCheck check(pool, post(), 5s);
  const auto gate = go.get_future().share();
  EXPECT_EQ(check.Ask(
                "first", kSource, kStart,
                [&begun, gate] {
                  begun.set_value();
                  gate.wait();
                  return true;
                },
                done()),
            Answer::kLater);
  begun.get_future().wait();
  const auto yes = [] { return true; };
  EXPECT_EQ(check.Ask("a", kSource, kStart, yes, done()), Answer::kLater);
  EXPECT_EQ(check.Ask("b", kSource, kStart, yes, done()), Answer::kLater);
  EXPECT_EQ(check.Ask("c", kSource, kStart, yes, done()), Answer::kBusy) << "two wait already";
  for (size_t i = 3; i < kMaxWaitingRequests; ++i) {
    ASSERT_EQ(check.Ask("a", SourceOf(i / 100), kStart, yes, done()), Answer::kLater);
  }
  EXPECT_EQ(check.Ask("a", kSource, kStart, yes, done()), Answer::kBusy);
  go.set_value();
  RunUntil(kMaxWaitingRequests);
  EXPECT_EQ(check.Ask("c", kSource, kStart, yes, done()), Answer::kLater);
  RunUntil(kMaxWaitingRequests + 1);
}

TEST_F(ProxyDeferred, OneSourceIsNotInOthersWay) {
  std::promise<void> go;
  WorkerPool pool(1, {100, 3});
  DeferredCheck check(pool, post(), 5s), other_check(pool, post(), 5s);
  const auto wait = [gate = go.get_future().share()] {
    gate.wait();
    return true;
  };
  const auto v6 = [](const char* text) { return *config::Address::Parse(text); };
  for (const char* secret : {"a", "b", "c"}) {
    EXPECT_EQ(check.Ask(secret, kSource, kStart, wait, done()), Answer::kLater);
    EXPECT_EQ(check.Ask(secret, v6("2001:db8::1"), kStart, wait, done()), Answer::kLater);
  }
  EXPECT_EQ(check.Ask("d", kSource, kStart, wait, done()), Answer::kBusyOfSource);
  EXPECT_EQ(other_check.Ask("d", kSource, kStart, wait, done()), Answer::kBusyOfSource)
      << "another route or worker";
  EXPECT_EQ(check.Ask("a", kSource, kStart, wait, done()), Answer::kLater) << "is asked already";
  for (const char* secret : {"e", "f", "g"}) {
    EXPECT_EQ(check.Ask(secret, v6("2001:db8::2"), kStart, wait, done()), Answer::kLater);
  }
  EXPECT_EQ(check.Ask("h", v6("2001:db8::ffff:1"), kStart, wait, done()), Answer::kBusyOfSource);
  EXPECT_EQ(check.Ask("h", v6("2001:db8:0:1::1"), kStart, wait, done()), Answer::kLater);
  EXPECT_EQ(check.Ask("d", SourceOf(1), kStart, wait, done()), Answer::kLater);
  go.set_value();
  RunUntil(12);
  // The last one's end comes a moment after its answer.
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(check.Ask(std::to_string(i), SourceOf(2), kStart, wait, done()), Answer::kLater);
  }
  RunUntil(15);
  EXPECT_EQ(check.Ask("i", kSource, kStart, wait, done()), Answer::kLater) << "none waits any more";
  RunUntil(16);
}

TEST_F(ProxyDeferred, OneSourceHasAShareOfTheRequestsThatWait) {
  std::promise<void> go;
  WorkerPool pool(1, {8, 8});
  DeferredCheck check(pool, post(), 5s);
  const auto wait = [gate = go.get_future().share()] {
    gate.wait();
    return false;
  };
  for (size_t i = 0; i < kMaxWaitingRequestsOfSource; ++i) {
    ASSERT_EQ(check.Ask("x", kSource, kStart, wait, done()), Answer::kLater);
  }
  EXPECT_EQ(check.Ask("x", kSource, kStart, wait, done()), Answer::kBusyOfSource);
  EXPECT_EQ(check.Ask("x", SourceOf(1), kStart, wait, done()), Answer::kLater);
  go.set_value();
  RunUntil(kMaxWaitingRequestsOfSource + 1);
  EXPECT_EQ(check.Ask("x", kSource, kStart, wait, done()), Answer::kLater);
  RunUntil(kMaxWaitingRequestsOfSource + 2);
}

TEST_F(ProxyDeferred, TheOldestIsForgottenFirst) {
  WorkerPool pool(1, {8, 8});
  DeferredCheck check(pool, post(), 1h);
  for (size_t i = 0; i <= kMaxRemembered; ++i) {
    ASSERT_EQ(check.Ask(
                  std::to_string(i), kSource, kStart, [] { return true; }, done()),
              Answer::kLater);
    RunUntil(i + 1);
  }
  const auto no = [] { return false; };
  EXPECT_EQ(check.Ask("1", kSource, kStart, no, done()), Answer::kYes);
  EXPECT_EQ(check.Ask("0", kSource, kStart, no, done()), Answer::kLater);
  RunUntil(kMaxRemembered + 2);
}

TEST_F(ProxyDeferred, WhoeverIsGoneIsNotTold) {
  std::promise<void> begun, go;
  {
    WorkerPool pool(1, {8, 8});
    {
      DeferredCheck check(pool, post(), 5s);
      const auto question = [&begun, gate = go.get_future().share()] {
        begun.set_value();
        gate.wait();
        return true;
      };
      EXPECT_EQ(check.Ask("x", kSource, kStart, question, done()), Answer::kLater);
    }
    begun.get_future().wait();  // or the pool would end without
    go.set_value();
  }
  ASSERT_EQ(posted_.size(), 1u);
  posted_.front()();
  EXPECT_TRUE(answers_.empty());
}

TEST(ProxyCookie, WhatBrowsersSend) {
  EXPECT_EQ(FindCookie("token=abc", "token"), "abc");
  EXPECT_EQ(FindCookie("a=1; token=abc; b=2", "token"), "abc");
  EXPECT_EQ(FindCookie("a=1;token=abc", "token"), "abc");
  EXPECT_EQ(FindCookie("  token =\tabc  ", "token"), "abc");
  EXPECT_EQ(FindCookie("token=\"abc\"", "token"), "abc");
  EXPECT_EQ(FindCookie("token=\"", "token"), "\"");
  EXPECT_EQ(FindCookie("token=a=b", "token"), "a=b");
  EXPECT_EQ(FindCookie("token=; token=x", "token"), "");
  EXPECT_EQ(FindCookie("garbage; ;;=; token=first; token=second", "token"), "first");
  EXPECT_EQ(FindCookie("Token=abc; mytoken=x; token2=y", "token"), std::nullopt);
  EXPECT_EQ(FindCookie("token", "token"), std::nullopt);
  EXPECT_EQ(FindCookie("", "token"), std::nullopt);
}

TEST(ProxyCookie, TheFormOfATokenComesBeforeAnyFile) {
  EXPECT_TRUE(IsCookieToken("abcDEF_-"));
  EXPECT_TRUE(IsCookieToken(std::string(kMaxTokenBytes, 'a')));
  EXPECT_FALSE(IsCookieToken(std::string(kMaxTokenBytes + 1, 'a')));
  for (const std::string_view text : {"", "short12", "../../etc/passwd", "........", "abcdefg.h",
                                      "abc/defgh", "abcdefgh%00", "abcdefg h", "abcdefg\n"}) {
    EXPECT_FALSE(IsCookieToken(text)) << text;
  }
  EXPECT_FALSE(IsCookieToken(std::string_view("abcdefgh\0", 9)));
}

class ProxyToken : public ProxyDeferred {
 protected:
  ProxyToken() {
    char name[] = "/tmp/bridgehead-token-XXXXXX";
    base_ = mkdtemp(name);
    folder_ = base_ / "tokens";
    std::filesystem::create_directory(folder_);
    std::ofstream(folder_ / "good-token") << "x";
    std::ofstream(base_ / "outside-token") << "x";
    std::filesystem::create_directory(folder_ / "folder-token");
    std::filesystem::create_symlink(base_ / "outside-token", folder_ / "linked-token");
    std::filesystem::create_symlink("good-token", folder_ / "linked-inside");
    EXPECT_EQ(mkfifo((folder_ / "fifo-token").c_str(), 0600), 0);
  }
  ~ProxyToken() override { std::filesystem::remove_all(base_); }

  std::filesystem::path base_, folder_;
};

TEST_F(ProxyToken, OnlyRegularFilesOfTheFolder) {
  EXPECT_TRUE(FolderHasToken(folder_, "good-token"));
  for (const std::string_view token : {"none-token", "folder-token", "linked-token",
                                       "linked-inside", "fifo-token", "../outside-token", "."}) {
    EXPECT_FALSE(FolderHasToken(folder_, token)) << token;
  }
  EXPECT_FALSE(FolderHasToken(base_ / "nowhere", "good-token"));
}

TEST_F(ProxyToken, ARemovedFileIsNoticedSoon) {
  WorkerPool pool(1, {8, 8});
  CookieTokenCheck check({.cookie = "token", .folder = folder_}, pool, post());
  EXPECT_EQ(check.Check("../outside-token", kSource, kStart, done()), Answer::kNo);
  EXPECT_EQ(check.Check("none-token", kSource, kStart, done()), Answer::kLater);
  RunUntil(1);
  EXPECT_EQ(check.Check("good-token", kSource, kStart, done()), Answer::kLater);
  RunUntil(2);
  std::filesystem::remove(folder_ / "good-token");
  EXPECT_EQ(check.Check("good-token", kSource, kStart + kTokenGoodFor - 1ms, done()), Answer::kYes);
  EXPECT_EQ(check.Check("good-token", kSource, kStart + kTokenGoodFor, done()), Answer::kLater);
  RunUntil(3);
  EXPECT_THAT(answers_, ElementsAre(false, true, false));
}

std::string Encoded(std::string_view text) {
  return "Basic " + absl::Base64Escape({text.data(), text.size()});
}

TEST(ProxyBasicAuth, Parsing) {
  const auto parsed = ParseBasic(Encoded("Aladdin:open:sesame"));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->user, "Aladdin");
  EXPECT_EQ(parsed->password, "open:sesame");
  EXPECT_EQ(ParseBasic("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")->password, "open sesame");
  EXPECT_TRUE(ParseBasic("bASIC   YTpi"));
  EXPECT_EQ(ParseBasic(Encoded("a:"))->password, "");
  EXPECT_EQ(ParseBasic(Encoded("J\xc3\xbcrgen:\xe2\x82\xac"))->password, "\xe2\x82\xac");
  EXPECT_TRUE(ParseBasic(Encoded("a:" + std::string(kMaxCredentialBytes - 2, 'x'))));
}

TEST(ProxyBasicAuth, WhatIsNone) {
  for (const std::string_view field :
       {"", "Basic", "Basic ", "Bearer YTpi", "BasicYTpi", "Basic YTp", "Basic YT pi",
        "Basic YTpi\n", "Basic Y===", "Basic YTo=YTpi", "Basic YT-_", "Basic YTpi, x"}) {
    EXPECT_FALSE(ParseBasic(field)) << field;
  }
  EXPECT_FALSE(ParseBasic(Encoded("no colon")));
  EXPECT_FALSE(ParseBasic(Encoded(":no user")));
  EXPECT_FALSE(ParseBasic(Encoded("a:b\r\n")));
  EXPECT_FALSE(ParseBasic(Encoded({"a:b\0c", 5})));
  EXPECT_FALSE(ParseBasic(Encoded("a:" + std::string(kMaxCredentialBytes - 1, 'x'))));
  EXPECT_FALSE(ParseBasic(Encoded(std::string(kMaxUserBytes + 1, 'u') + ":x")));
}

TEST(ProxyBasicAuth, TheChallengeIsQuoted) {
  EXPECT_EQ(BasicChallenge("Meet \"us\" \\"),
            "Basic realm=\"Meet \\\"us\\\" \\\\\", charset=\"UTF-8\"");
}

std::string HashOf(const std::string& password, const char* setting) {
  crypt_data data{};
  return crypt_r(password.c_str(), setting, &data);
}

std::shared_ptr<const PasswordFile> Passwords(const std::string& text) {
  auto file = PasswordFile::Parse(text, "htpasswd");
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

TEST(ProxyPasswordFile, EachMethod) {
  const auto file =
      Passwords("# people\n\nbcrypt:" + HashOf("one", "$2y$04$abcdefghijklmnopqrstuu") +
                "\r\nsha256:" + HashOf("two", "$5$rounds=1000$saltsalt") +
                "\nsha512:" + HashOf("three", "$6$rounds=1000$saltsalt") +
                "\nyes crypt:" + HashOf("four", "$y$j75$abcdefgh"));
  EXPECT_TRUE(file->Verify("bcrypt", "one"));
  EXPECT_TRUE(file->Verify("sha256", "two"));
  EXPECT_TRUE(file->Verify("sha512", "three"));
  EXPECT_TRUE(file->Verify("yes crypt", "four"));
  EXPECT_FALSE(file->Verify("bcrypt", "two"));
  EXPECT_FALSE(file->Verify("bcrypt", ""));
  EXPECT_FALSE(file->Verify("nobody", "one")) << "although it is compared with the first one's";
  EXPECT_FALSE(file->Verify("Bcrypt", "one"));
  EXPECT_FALSE(file->Verify("bcrypt", std::string(2000, 'x')));
  EXPECT_FALSE(Passwords("")->Verify("", ""));
}

std::string FileError(const std::string& text) {
  const auto file = PasswordFile::Parse(text, "htpasswd");
  return file.ok() ? "none" : std::string(file.status().message());
}

TEST(ProxyPasswordFile, WhatCanNotBeTakenIsNamedWithItsLine) {
  const std::string good = HashOf("x", "$2y$04$abcdefghijklmnopqrstuu");
  EXPECT_EQ(FileError("a:" + good + "\n"), "none");
  EXPECT_EQ(FileError("a:" + good + "\na:" + good), "htpasswd:2: name is given twice");
  EXPECT_THAT(FileError("#\nnobody"), HasSubstr("htpasswd:2: expected NAME:HASH"));
  EXPECT_THAT(FileError(":" + good), HasSubstr("expected NAME:HASH"));
  EXPECT_THAT(FileError(std::string(kMaxUserBytes + 1, 'u') + ":" + good), HasSubstr("1..128"));
  for (const char* hash : {"", "secret", "{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", "$apr1$abc$def",
                           "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "rqXexS6ZhobKA", "*", "$7$x"}) {
    EXPECT_THAT(FileError("a:" + std::string(hash)), HasSubstr("htpasswd:1: expected a hash"));
  }
  EXPECT_THAT(FileError("a:" + good.substr(0, good.size() - 1)), HasSubstr("not whole"));
  EXPECT_THAT(FileError("a:$2y$15$" + good.substr(7)), HasSubstr("a cost of 4..14"));
  EXPECT_THAT(FileError("a:$2y$99$" + good.substr(7)), HasSubstr("a cost of 4..14"));
  EXPECT_THAT(FileError("a:$6$rounds=2000001$saltsalt$" + std::string(86, 'a')),
              HasSubstr("1000..2000000 rounds"));
  EXPECT_THAT(FileError("a:$2y$zz$" + good.substr(7)), HasSubstr("a cost of 4..14"));
  std::string many;
  for (size_t i = 0; i <= kMaxPasswordEntries; ++i) many += std::to_string(i) + ":" + good + "\n";
  EXPECT_EQ(FileError(many), "htpasswd:10001: more than 10000 names");
}

TEST_F(ProxyToken, APasswordFileIsReadUpToItsLimit) {
  const std::string path = base_ / "htpasswd";
  EXPECT_THAT(std::string(PasswordFile::Load(path).status().message()), HasSubstr("No such file"));
  EXPECT_FALSE(PasswordFile::Load(folder_).ok()) << "a folder";
  std::ofstream(path) << std::string(kMaxPasswordFileBytes, '\n');
  EXPECT_TRUE(PasswordFile::Load(path).ok());
  std::ofstream(path, std::ios::app) << '\n';
  EXPECT_THAT(std::string(PasswordFile::Load(path).status().message()),
              HasSubstr("more than 1048576 bytes"));
}

TEST_F(ProxyDeferred, BasicAuthenticationHashesOncePerClient) {
  WorkerPool pool(1, {8, 8});
  const auto file = Passwords("a:" + HashOf("x", "$2y$04$abcdefghijklmnopqrstuu"));
  BasicAuthCheck check(file, pool, post());
  EXPECT_EQ(check.Check({"a", "x"}, kSource, kStart, done()), Answer::kLater);
  EXPECT_EQ(check.Check({"a", "y"}, kSource, kStart, done()), Answer::kLater);
  EXPECT_EQ(check.Check({"b", "x"}, kSource, kStart, done()), Answer::kLater);
  RunUntil(3);
  EXPECT_THAT(answers_, ElementsAre(true, false, false));
  EXPECT_EQ(check.Check({"a", "x"}, kSource, kStart + 1min, done()), Answer::kYes);
  EXPECT_EQ(check.Check({"a", "x"}, kSource, kStart + kPasswordGoodFor, done()), Answer::kLater);
  RunUntil(4);
}

}  // namespace
}  // namespace bridgehead::proxy
