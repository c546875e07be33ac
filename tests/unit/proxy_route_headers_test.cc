// What becomes of header fields on their way to an upstream and back.
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/proxy/route/headers.h"

namespace bridgehead::proxy {
namespace {

using config::HeaderChange;
using config::HeaderOp;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Lines = std::vector<std::string>;

const RequestFacts kFacts{
    .host = "meet.example.org",
    .request_host = "Meet.example.org:443",
    .scheme = "https",
    .client_address = "2001:db8::9",
    .client_port = "50000",
    .client_endpoint = "[2001:db8::9]:50000",
};

// Fields of a head, without the head.
class TestFields final : public FieldEditor {
 public:
  TestFields(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
    for (const auto& [name, value] : fields) Add(name, value);
  }
  void ForEach(Visit visit) const override {
    for (const auto& [name, value] : fields_) visit(name, value);
  }
  bool Has(std::string_view name) const override {
    bool has = false;
    ForEach([&](std::string_view other, std::string_view) { has |= SameName(name, other); });
    return has;
  }
  void Add(std::string_view name, std::string_view value) override {
    fields_.emplace_back(name, value);
  }
  void Set(std::string_view name, std::string_view value) override {
    Remove(name);
    Add(name, value);
  }
  void Remove(std::string_view name) override {
    RemoveIf([&](std::string_view other) { return SameName(name, other); });
  }
  void RemoveIf(Choose choose) override {
    std::erase_if(fields_, [&](const auto& field) { return choose(field.first); });
  }
  Lines lines() const {
    Lines lines;
    for (const auto& [name, value] : fields_) lines.push_back(name + ": " + value);
    return lines;
  }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// A host without forwarding fields, so that tests of changes see nothing else.
config::Host PlainHost(std::vector<HeaderChange> changes = {}) {
  config::Host host;
  host.forwarded_headers = false;
  host.request_headers = std::move(changes);
  return host;
}

// {"refused"} for an alias.
Lines Sent(const config::Host& host, TestFields fields, bool trusted = false,
           const config::Route& route = {}) {
  const auto headers = RequestHeaders::Build(host, route);
  EXPECT_TRUE(headers.ok()) << headers.status();
  RequestFacts facts = kFacts;
  facts.from_trusted_proxy = trusted;
  const Lines before = fields.lines();
  if (headers->Apply(fields, facts)) return fields.lines();
  EXPECT_EQ(fields.lines(), before);
  return {"refused"};
}

TEST(ProxyHeaders, AnUntrustedClientIsNotBelieved) {
  EXPECT_THAT(Sent(config::Host(), {{"x-forwarded-for", "1.2.3.4"},
                                    {"Accept", "*/*"},
                                    {"X-Forwarded-Proto", "http"},
                                    {"X-FORWARDED-SERVER", "evil"},
                                    {"X-Forwarded-Anything", "evil"},
                                    {"X-Real-IP", "1.2.3.4"},
                                    {"Forwarded", "for=1.2.3.4"},
                                    {"X-Original-URL", "/admin"},
                                    {"True-Client-IP", "1.2.3.4"},
                                    {"Proxy", "http://evil"},
                                    {"X-Forwarded", "is no name that anybody reads"}}),
              ElementsAre("Accept: */*", "X-Forwarded: is no name that anybody reads",
                          "X-Forwarded-For: 2001:db8::9", "X-Forwarded-Proto: https",
                          "X-Forwarded-Host: Meet.example.org:443", "X-Real-IP: 2001:db8::9"));
  EXPECT_THAT(Sent(PlainHost(), {{"X-Forwarded-For", "1.2.3.4"}, {"X-Real-IP", "1.2.3.4"}}),
              IsEmpty())
      << "not setting them does not make a client's true";
}

TEST(ProxyHeaders, ATrustedProxyIsAddedTo) {
  EXPECT_THAT(Sent(config::Host(),
                   {{"X-Forwarded-For", "1.2.3.4"},
                    {"Forwarded", "for=1.2.3.4"},
                    {"x-forwarded-for", ""},
                    {"x-forwarded-for", "10.0.0.1, 10.0.0.2"},
                    {"X-Forwarded-Proto", "http"},
                    {"Proxy", "http://evil"},
                    {"X-Real-IP", "1.2.3.4"}},
                   /*trusted=*/true),
              ElementsAre("Forwarded: for=1.2.3.4", "X-Forwarded-Proto: http", "X-Real-IP: 1.2.3.4",
                          "X-Forwarded-For: 1.2.3.4, 10.0.0.1, 10.0.0.2, 2001:db8::9",
                          "X-Forwarded-Host: Meet.example.org:443"));
  EXPECT_THAT(Sent(config::Host(), {}, true),
              ElementsAre("X-Forwarded-For: 2001:db8::9", "X-Forwarded-Proto: https",
                          "X-Forwarded-Host: Meet.example.org:443", "X-Real-IP: 2001:db8::9"));
}

TEST(ProxyHeaders, AliasesOfTrustedFieldsAreRefused) {
  for (const std::string_view name :
       {"X_Forwarded_For", "x-forwarded_for", "X_FORWARDED-Whatever", "x.forwarded.for",
        "X_Real_IP", "true_client_ip", "X_Original_URL"}) {
    EXPECT_THAT(Sent(config::Host(), {{"Accept", "*/*"}, {name, "1"}}), ElementsAre("refused"))
        << name;
    EXPECT_THAT(Sent(config::Host(), {{name, "1"}}, true), ElementsAre("refused")) << name;
  }
  EXPECT_THAT(Sent(PlainHost(), {{"my_field", "1"}, {"x_forwarded", "1"}, {"X-Other", "2"}}),
              ElementsAre("my_field: 1", "x_forwarded: 1", "X-Other: 2"));
  const auto host = PlainHost({{HeaderOp::kSet, "X-User-Name", "nobody"}});
  EXPECT_THAT(Sent(host, {{"X_User_Name", "root"}}), ElementsAre("refused"))
      << "what the configuration sets is trusted too";
  const std::string long_name = "x_" + std::string(kMaxChangedNameBytes, 'a');
  EXPECT_THAT(Sent(host, {{long_name, "1"}}),
              ElementsAre(long_name + ": 1", "X-User-Name: nobody"));
}

TEST(ProxyHeaders, ChangesOfTheHostThenOfTheRoute) {
  config::Route route;
  route.request_headers = {{HeaderOp::kAppend, "Via", "two"}, {HeaderOp::kRemove, "Cookie", ""}};
  const auto host = PlainHost({{HeaderOp::kSet, "Host", "$host"},
                               {HeaderOp::kAppend, "Via", "one"},
                               {HeaderOp::kSet, "Referer", ""},
                               {HeaderOp::kAppend, "Nothing", ""}});
  EXPECT_THAT(Sent(host, {{"Host", "Meet.example.org:443"}, {"Referer", "x"}, {"cookie", "a=b"}},
                   false, route),
              ElementsAre("Host: meet.example.org", "Via: one", "Via: two"));
}

TEST(ProxyHeaders, EveryVariable) {
  const auto host =
      PlainHost({{HeaderOp::kSet, "All",
                  "$host $request_host $scheme $client_address $client_port $client_endpoint "
                  "$forwarded_for $$"}});
  const std::string known =
      "All: meet.example.org Meet.example.org:443 https 2001:db8::9 50000 [2001:db8::9]:50000 ";
  EXPECT_THAT(Sent(host, {{"X-Forwarded-For", "1.2.3.4"}}), ElementsAre(known + "2001:db8::9 $"));
  EXPECT_THAT(Sent(host, {{"X-Forwarded-For", "1.2.3.4"}}, true),
              ElementsAre("X-Forwarded-For: 1.2.3.4", known + "1.2.3.4, 2001:db8::9 $"));
}

TEST(ProxyHeaders, ResponsesAreChangedToo) {
  const std::vector<HeaderChange> changes = {
      {HeaderOp::kRemove, "Server", ""},
      {HeaderOp::kSet, "Strict-Transport-Security", "max-age=31536000"},
      {HeaderOp::kAppend, "Set-Cookie", "host=$host"}};
  const auto edits = HeaderEdits::Build(changes, HeaderEdits::Of::kResponse);
  ASSERT_TRUE(edits.ok()) << edits.status();
  TestFields fields{{"server", "Janus"}, {"Set-Cookie", "a=b"}};
  edits->Apply(fields, kFacts, "");
  EXPECT_THAT(fields.lines(),
              ElementsAre("Set-Cookie: a=b", "Strict-Transport-Security: max-age=31536000",
                          "Set-Cookie: host=meet.example.org"));
}

std::string ErrorOf(const HeaderChange& change, HeaderEdits::Of of = HeaderEdits::Of::kRequest) {
  const auto edits = HeaderEdits::Build(std::span(&change, 1), of);
  return edits.ok() ? "none" : std::string(edits.status().message());
}

TEST(ProxyHeaders, ChangesThatCanNotBe) {
  EXPECT_THAT(ErrorOf({HeaderOp::kSet, "a b", "x"}), HasSubstr("header a b: expected a name"));
  EXPECT_THAT(ErrorOf({HeaderOp::kSet, "", "x"}), HasSubstr("expected a name"));
  EXPECT_THAT(ErrorOf({HeaderOp::kSet, "a:", "x"}), HasSubstr("expected a name"));
  EXPECT_THAT(ErrorOf({HeaderOp::kSet, std::string(65, 'a'), "x"}), HasSubstr("more than 64"));
  EXPECT_THAT(ErrorOf({HeaderOp::kSet, "a", "x\r\ny"}), HasSubstr("control byte"));
  EXPECT_THAT(ErrorOf({HeaderOp::kSet, "a", "$secret"}), HasSubstr("header a: got $secret"));
  EXPECT_THAT(ErrorOf({HeaderOp::kSet, "a", "$forwarded_for"}, HeaderEdits::Of::kResponse),
              HasSubstr("got $forwarded_for"));
  for (const char* name : {"Connection", "content-length", "Transfer-Encoding", "TE", "Upgrade"}) {
    EXPECT_THAT(ErrorOf({HeaderOp::kRemove, name, ""}), HasSubstr("messages are framed")) << name;
  }
  EXPECT_THAT(ErrorOf({HeaderOp::kRemove, "Host", ""}), HasSubstr("can only be set"));
  EXPECT_THAT(ErrorOf({HeaderOp::kSet, "Host", "x"}, HeaderEdits::Of::kResponse),
              HasSubstr("can only be set"));
  EXPECT_EQ(ErrorOf({HeaderOp::kSet, "Host", "x"}), "none");
}

}  // namespace
}  // namespace bridgehead::proxy
