// The edge's TLS, both sides of it: certificates by name, verification, tickets, ALPN.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <unistd.h>

#include "ctrl/proxy/tls/server_context.h"
#include "ctrl/proxy/tls/tls_stream.h"
#include "ctrl/proxy/tls/upstream_context.h"
#include "tests/support/certificates.h"
#include "tests/support/tcp_pair.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Streams learn from their events that there is something to read.
void Turn(Loop& loop) {
  loop.Poll();
}

// A handshake between two streams, on the calling thread.
class Pair {
 public:
  Pair(Loop& loop, SslPtr server, SslPtr client) : loop_(loop) {
    auto [near_client, near_server] = test::TcpPair();
    auto tcp = [&](int fd) {
      return std::make_unique<TcpStream>(loop, fd, SocketAddress(), SocketAddress());
    };
    server_ = std::make_unique<TlsStream>(tcp(near_server), std::move(server));
    client_ = std::make_unique<TlsStream>(tcp(near_client), std::move(client));
    Io at_server = Io::kAgain, at_client = Io::kAgain;
    for (int i = 0; i < 10000 && (at_server == Io::kAgain || at_client == Io::kAgain); ++i) {
      Turn(loop);
      if (at_client == Io::kAgain) at_client = client_->Handshake();
      if (at_server == Io::kAgain) at_server = server_->Handshake();
      if (at_client == Io::kError || at_server == Io::kError) break;
    }
    good_ = at_server == Io::kOk && at_client == Io::kOk;
  }
  bool good() const { return good_; }
  TlsStream& server() { return *server_; }
  // Without a word of TLS.
  void CloseServer() { server_.reset(); }
  TlsStream& client() { return *client_; }
  // The first name of the server's certificate, as the client has got it.
  std::string Subject() {
    X509* certificate = SSL_get0_peer_certificate(client_->ssl());
    char text[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                              sizeof(text));
    return text;
  }
  // Sends text from one side and reads it at the other.
  std::string Pass(TlsStream& from, TlsStream& to, const std::string& text) {
    const size_t half = text.size() / 2;
    auto* bytes = const_cast<char*>(text.data());
    const iovec parts[] = {{bytes, half}, {bytes + half, text.size() - half}};
    EXPECT_EQ(from.Write(parts).bytes, text.size());
    uint8_t got[256];
    IoResult result;
    while ((result = to.Read(got)).io == Io::kAgain) Turn(loop_);
    return {reinterpret_cast<char*>(got), result.bytes};
  }

 private:
  Loop& loop_;
  std::unique_ptr<TlsStream> server_, client_;
  bool good_ = false;
};

class ProxyTls : public testing::Test {
 protected:
  ProxyTls() : loop_(*Loop::Create()) {
    directory_ = testing::TempDir() + "/proxy_tls_" + std::to_string(getpid());
    std::filesystem::create_directories(directory_);
  }
  ~ProxyTls() override { std::filesystem::remove_all(directory_); }

  config::Certificate Make(const std::string& name, const std::vector<std::string>& names,
                           const std::string& type = "EC", int days = 30) {
    const test::MadeCertificate made = test::MakeCertificate(directory_, name, names, type, days);
    return {made.certificate_file, made.key_file, ""};
  }
  static std::shared_ptr<const ServerContext> Server(
      const std::vector<config::Certificate>& certificates, bool strict = false,
      ServerContext::Protocols protocols = {}, std::shared_ptr<TicketKeys> tickets = nullptr) {
    config::ListenerTls settings;
    settings.certificates = certificates;
    settings.strict_sni = strict;
    auto made = ServerContext::Create(settings, std::move(protocols), std::move(tickets));
    EXPECT_TRUE(made.ok()) << made.status();
    return *made;
  }
  static SslPtr Client(const std::string& name, const std::string& ca_file = "") {
    config::UpstreamTls settings;
    settings.verify = !ca_file.empty();
    settings.ca_file = ca_file;
    settings.server_name = name;
    auto context = UpstreamContext::Create(settings);
    EXPECT_TRUE(context.ok()) << context.status();
    return (*context)->NewConnection(*config::Address::Parse("127.0.0.1"));
  }
  static std::string Refusal(const config::Certificate& certificate) {
    config::ListenerTls settings;
    settings.certificates = {certificate};
    return std::string(ServerContext::Create(settings, {}, nullptr).status().message());
  }

  static std::string Content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::unique_ptr<Loop> loop_;
  std::string directory_;
};

TEST_F(ProxyTls, AnEndWithoutCloseNotifyIsAnErrorUnlessPlainOnesAreTaken) {
  auto server = Server({Make("a", {"a.example"})});
  for (const bool plain : {false, true}) {
    Pair pair(*loop_, server->NewConnection(), Client("a.example"));
    ASSERT_TRUE(pair.good());
    if (plain) pair.client().TakePlainEnd();
    const iovec part{const_cast<char*>("last"), 4};
    EXPECT_EQ(pair.server().Write({&part, 1}).bytes, 4u);
    pair.CloseServer();
    uint8_t bytes[16];
    IoResult got;
    while ((got = pair.client().Read(bytes)).io == Io::kAgain) Turn(*loop_);
    EXPECT_EQ(got.bytes, 4u);
    while ((got = pair.client().Read(bytes)).io == Io::kAgain) Turn(*loop_);
    EXPECT_EQ(got.io, plain ? Io::kEnd : Io::kError);
    EXPECT_EQ(pair.client().Read(bytes).io, plain ? Io::kEnd : Io::kError);
  }
}

TEST_F(ProxyTls, BytesPassAndEnd) {
  auto server = Server({Make("a", {"a.example"})});
  Pair pair(*loop_, server->NewConnection(), Client("a.example"));
  ASSERT_TRUE(pair.good());
  EXPECT_EQ(pair.Pass(pair.client(), pair.server(), "from the client"), "from the client");
  EXPECT_EQ(pair.Pass(pair.server(), pair.client(), "from the server"), "from the server");
  EXPECT_EQ(pair.client().ShutdownWrite(), Io::kOk);
  uint8_t byte;
  Io io;
  while ((io = pair.server().Read({&byte, 1}).io) == Io::kAgain) Turn(*loop_);
  EXPECT_EQ(io, Io::kEnd);
  EXPECT_EQ(pair.Pass(pair.server(), pair.client(), "after it"), "after it");
}

TEST_F(ProxyTls, TheNameChoosesTheCertificate) {
  auto server = Server({Make("first", {"a.example"}), Make("wild", {"*.b.example"}),
                        Make("exact", {"x.b.example", "c.example"})});
  const auto answered = [&](const std::string& name) {
    Pair pair(*loop_, server->NewConnection(), Client(name));
    return pair.good() ? pair.Subject() : "none";
  };
  EXPECT_EQ(answered("a.example"), "first");
  EXPECT_EQ(answered("A.Example"), "first");
  EXPECT_EQ(answered("y.b.example"), "wild");
  EXPECT_EQ(answered("x.b.example"), "exact");
  EXPECT_EQ(answered("c.example"), "exact");
  EXPECT_EQ(answered("z.y.b.example"), "first");  // a wildcard is one label
  EXPECT_EQ(answered("b.example"), "first");
  EXPECT_EQ(answered(""), "first");
}

TEST_F(ProxyTls, StrictListenersRefuseOtherNames) {
  auto server = Server({Make("a", {"a.example"})}, true);
  EXPECT_TRUE(Pair(*loop_, server->NewConnection(), Client("a.example")).good());
  EXPECT_FALSE(Pair(*loop_, server->NewConnection(), Client("b.example")).good());
  EXPECT_FALSE(Pair(*loop_, server->NewConnection(), Client("")).good());
}

TEST_F(ProxyTls, BothKindsOfKeysForOneName) {
  auto server = Server({Make("rsa", {"a.example"}, "RSA"), Make("ecdsa", {"a.example"})});
  const auto answered = [&](const char* algorithms) {
    SslPtr client = Client("a.example");
    SSL_set1_sigalgs_list(client.get(), algorithms);
    Pair pair(*loop_, server->NewConnection(), std::move(client));
    return pair.good() ? pair.Subject() : "none";
  };
  EXPECT_EQ(answered("ECDSA+SHA256:RSA-PSS+SHA256"), "ecdsa");
  EXPECT_EQ(answered("RSA-PSS+SHA256"), "rsa");
}

TEST_F(ProxyTls, OldVersionsAndCiphersAreRefused) {
  auto server = Server({Make("a", {"a.example"}, "RSA")});
  const auto with = [&](int version, const char* ciphers) {
    SslPtr client = Client("a.example");
    SSL_set_security_level(client.get(), 0);
    SSL_set_min_proto_version(client.get(), version);
    SSL_set_max_proto_version(client.get(), version);
    SSL_set_cipher_list(client.get(), ciphers);
    return Pair(*loop_, server->NewConnection(), std::move(client)).good();
  };
  EXPECT_TRUE(with(TLS1_3_VERSION, "ALL"));
  EXPECT_TRUE(with(TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256"));
  EXPECT_FALSE(with(TLS1_2_VERSION, "AES128-GCM-SHA256"));     // no forward secrecy
  EXPECT_FALSE(with(TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA"));  // no authenticated encryption
  EXPECT_FALSE(with(TLS1_1_VERSION, "ALL:@SECLEVEL=0"));
}

TEST_F(ProxyTls, TheBestCommonProtocolOrNoConnection) {
  auto server = Server({Make("a", {"a.example"})}, false, {"h2", "http/1.1"});
  const auto agreed = [&](const std::string& offer) {
    SslPtr client = Client("a.example");
    SSL_set_alpn_protos(client.get(), reinterpret_cast<const uint8_t*>(offer.data()),
                        static_cast<unsigned>(offer.size()));
    Pair pair(*loop_, server->NewConnection(), std::move(client));
    if (!pair.good()) return std::string("refused");
    const uint8_t* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(pair.client().ssl(), &chosen, &size);
    return std::string(reinterpret_cast<const char*>(chosen), size);
  };
  EXPECT_EQ(agreed("\x08http/1.1\x02h2"), "h2");
  EXPECT_EQ(agreed("\x08http/1.1"), "http/1.1");
  EXPECT_EQ(agreed(""), "");
  EXPECT_EQ(agreed("\x03"
                   "ftp"),
            "refused");
}

TEST_F(ProxyTls, UpstreamsAreVerified) {
  const config::Certificate named = Make("named", {"a.example"});
  const config::Certificate numbered = Make("numbered", {"a.example", "127.0.0.1"});
  const config::Certificate other = Make("other", {"a.example"});
  auto server = Server({named});
  EXPECT_TRUE(
      Pair(*loop_, server->NewConnection(), Client("a.example", named.certificate_file)).good());
  EXPECT_FALSE(
      Pair(*loop_, server->NewConnection(), Client("b.example", named.certificate_file)).good());
  EXPECT_FALSE(
      Pair(*loop_, server->NewConnection(), Client("a.example", other.certificate_file)).good());
  EXPECT_FALSE(Pair(*loop_, server->NewConnection(), Client("", named.certificate_file)).good());
  EXPECT_TRUE(
      Pair(*loop_, Server({numbered})->NewConnection(), Client("", numbered.certificate_file))
          .good());
}

TEST_F(ProxyTls, TicketsResumeOverAReload) {
  const config::Certificate certificate = Make("a", {"a.example"});
  auto tickets = std::make_shared<TicketKeys>(1h);
  SSL_SESSION* session = nullptr;
  for (bool again : {false, true}) {
    auto server = Server({certificate}, false, {}, tickets);
    SslPtr client = Client("a.example");
    if (session != nullptr) SSL_set_session(client.get(), session);
    Pair pair(*loop_, server->NewConnection(), std::move(client));
    ASSERT_TRUE(pair.good());
    EXPECT_EQ(SSL_session_reused(pair.client().ssl()) == 1, again);
    // TLS 1.3 sends tickets after the handshake.
    pair.Pass(pair.server(), pair.client(), "x.");
    SSL_SESSION_free(session);
    session = SSL_get1_session(pair.client().ssl());
    // OpenSSL does not resume what was cut off.
    SSL_set_shutdown(pair.client().ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
  SSL_SESSION_free(session);
}

TEST_F(ProxyTls, TicketKeysSealForOnePeriodAndOpenForAnother) {
  TicketKeys keys(10s);
  const auto begin = TicketKeys::Clock::now();
  const TicketKeys::Key first = *keys.Sealing(begin);
  EXPECT_EQ(keys.Sealing(begin + 9s)->name, first.name);
  EXPECT_FALSE(keys.Find(first.name.data(), begin + 9s)->renew);
  EXPECT_NE(keys.Sealing(begin + 10s)->name, first.name);
  EXPECT_TRUE(keys.Find(first.name.data(), begin + 19s)->renew);
  EXPECT_FALSE(keys.Find(first.name.data(), begin + 20s));
  // Nobody came for long: what is as old as that opens nothing.
  const TicketKeys::Key second = *keys.Sealing(begin + 30s);
  EXPECT_FALSE(keys.Find(second.name.data(), begin + 60s));
}

// Writes what an authority's responder says of a certificate that is its own issuer.
void WriteOcsp(const config::Certificate& files, int status, long ends_in_seconds) {
  FILE* file = fopen(files.certificate_file.c_str(), "r");
  X509* certificate = PEM_read_X509(file, nullptr, nullptr, nullptr);
  fclose(file);
  file = fopen(files.key_file.c_str(), "r");
  EVP_PKEY* key = PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
  fclose(file);
  OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
  ASN1_TIME* began = X509_gmtime_adj(nullptr, -3600);
  ASN1_TIME* ends = X509_gmtime_adj(nullptr, ends_in_seconds);
  OCSP_CERTID* id = OCSP_cert_to_id(nullptr, certificate, certificate);
  OCSP_basic_add1_status(basic, id, status, 0,
                         status == V_OCSP_CERTSTATUS_REVOKED ? began : nullptr, began, ends);
  EXPECT_EQ(OCSP_basic_sign(basic, certificate, key, EVP_sha256(), nullptr, 0), 1);
  OCSP_RESPONSE* response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
  BIO* out = BIO_new_file(files.ocsp_file.c_str(), "wb");
  EXPECT_EQ(i2d_OCSP_RESPONSE_bio(out, response), 1);
  BIO_free(out);
  OCSP_RESPONSE_free(response);
  OCSP_CERTID_free(id);
  ASN1_TIME_free(began);
  ASN1_TIME_free(ends);
  OCSP_BASICRESP_free(basic);
  EVP_PKEY_free(key);
  X509_free(certificate);
}

TEST_F(ProxyTls, GoodOcspResponsesAreStapled) {
  config::Certificate certificate = Make("a", {"a.example"});
  const std::string leaf = Content(certificate.certificate_file);
  std::ofstream(certificate.certificate_file, std::ios::app) << leaf;  // and its issuer
  certificate.ocsp_file = directory_ + "/a.ocsp";
  const auto stapled = [&](int status, long ends_in_seconds) {
    WriteOcsp(certificate, status, ends_in_seconds);
    auto server = Server({certificate});
    SslPtr client = Client("a.example");
    SSL_set_tlsext_status_type(client.get(), TLSEXT_STATUSTYPE_ocsp);
    Pair pair(*loop_, server->NewConnection(), std::move(client));
    const unsigned char* bytes = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(pair.client().ssl(), &bytes);
    const bool same = size > 0 && Content(certificate.ocsp_file) ==
                                      std::string(reinterpret_cast<const char*>(bytes),
                                                  static_cast<size_t>(size));
    EXPECT_EQ(server->warnings().empty(), same);
    return same;
  };
  EXPECT_TRUE(stapled(V_OCSP_CERTSTATUS_GOOD, 3600));
  EXPECT_FALSE(stapled(V_OCSP_CERTSTATUS_REVOKED, 3600));
  EXPECT_FALSE(stapled(V_OCSP_CERTSTATUS_GOOD, -1800));
}

TEST_F(ProxyTls, BadFilesAreNamed) {
  const config::Certificate good = Make("good", {"a.example"});
  const config::Certificate other = Make("other", {"a.example"});
  EXPECT_THAT(Refusal({directory_ + "/none.crt", good.key_file, ""}),
              HasSubstr("none.crt: cannot be read"));
  EXPECT_THAT(Refusal({good.key_file, good.key_file, ""}), HasSubstr("no certificate in PEM form"));
  EXPECT_THAT(Refusal({good.certificate_file, good.certificate_file, ""}),
              HasSubstr("no private key"));
  EXPECT_THAT(Refusal({good.certificate_file, other.key_file, ""}),
              HasSubstr("other.key: is not the key of the certificate"));
  EXPECT_THAT(Refusal(Make("ended", {"a.example"}, "EC", -1)), HasSubstr("has ended on"));
  EXPECT_THAT(Refusal(Make("nameless", {})), HasSubstr("no DNS name"));
  EXPECT_THAT(Server({good})->warnings(), IsEmpty());
  EXPECT_THAT(Server({Make("soon", {"a.example"}, "EC", 3)})->warnings(),
              ElementsAre(HasSubstr("the certificate ends on")));
  EXPECT_THAT(Server({{good.certificate_file, good.key_file, good.key_file}})->warnings(),
              ElementsAre(HasSubstr(
                  "good.key: no successful OCSP response in DER form; it is not stapled")));
}

}  // namespace
}  // namespace bridgehead::proxy
