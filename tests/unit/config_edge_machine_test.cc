// What `bridgehead check --host` says about the files, cores and addresses of edge:.
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/config/host.h"
#include "fmt/format.h"

namespace bridgehead::config {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr time_t kNow = 1800000000;  // 2027-01-15
constexpr long kDay = 86400;

// A self-signed certificate for names ("DNS:a,IP:b"), and its key.
struct Certified {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
  std::unique_ptr<X509, decltype(&X509_free)> certificate{X509_new(), X509_free};

  Certified(const char* names, long serial, time_t from, time_t to) {
    X509* x509 = certificate.get();
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), serial);
    ASN1_TIME_set(X509_getm_notBefore(x509), from);
    ASN1_TIME_set(X509_getm_notAfter(x509), to);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509_set_pubkey(x509, key.get());
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    EXPECT_GT(X509_sign(x509, key.get(), EVP_sha256()), 0);
  }

  void Write(const std::string& certificate_file, const std::string& key_file,
             const char* password = nullptr) const {
    FILE* file = fopen(certificate_file.c_str(), "w");
    PEM_write_X509(file, certificate.get());
    fclose(file);
    file = fopen(key_file.c_str(), "w");
    PEM_write_PrivateKey(file, key.get(), password == nullptr ? nullptr : EVP_aes_128_cbc(),
                         nullptr, 0, nullptr, const_cast<char*>(password));
    fclose(file);
    chmod(key_file.c_str(), 0600);
  }

  // An OCSP response about it, signed by itself.
  void WriteOcsp(const std::string& path, int status, time_t next) const {
    OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
    OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), certificate.get(), certificate.get());
    ASN1_TIME* before = ASN1_TIME_set(nullptr, kNow - kDay);
    ASN1_TIME* after = ASN1_TIME_set(nullptr, next);
    OCSP_basic_add1_status(basic, id, status, OCSP_REVOKED_STATUS_NOSTATUS,
                           status == V_OCSP_CERTSTATUS_REVOKED ? before : nullptr, before, after);
    EXPECT_EQ(OCSP_basic_sign(basic, certificate.get(), key.get(), EVP_sha256(), nullptr, 0), 1);
    OCSP_RESPONSE* response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char* der = nullptr;
    const int size = i2d_OCSP_RESPONSE(response, &der);
    std::ofstream(path).write(reinterpret_cast<const char*>(der), size);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    ASN1_TIME_free(before);
    ASN1_TIME_free(after);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
  }
};

// A machine on which everything is as the configuration says.
class EdgeMachine : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    Put("online", "0-3\n");
    sources_.online_cores = File("online");
    sources_.try_to_listen = [this](const Endpoint&) { return listen_error_; };
    sources_.now = [] { return kNow; };
    good_.Write(File("meet.pem"), File("meet.key"));
    good_.WriteOcsp(File("meet.ocsp"), V_OCSP_CERTSTATUS_GOOD, kNow + kDay);
    fs::copy(File("meet.pem"), File("ca.pem"));
    Put("htpasswd", "# users\nann:$2y$05$abc\n\nbob:$6$a$abc\n");
    Put("down.html", "<p>");
    fs::create_directory(File("tokens"));
    fs::create_directory(File("static"));
    fs::create_directory(File("log"));
    config_ = *ParseConfig(Text(), "t.yaml");
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string File(const std::string& name) const { return folder_ + "/" + name; }
  void Put(const std::string& name, const std::string& text) const {
    std::ofstream(File(name)) << text;
  }
  std::string Text() const {
    std::string text = R"(dataplane: {workers: [1], ports: [{name: wan, device: eth0}]}
bridges: [{name: jvb1, address: 10.8.0.11}]
media: [{name: meet, listen: "198.51.100.10:10000", nat: destination, bridges: [jvb1]}]
edge:
  cores: [0, 2]
  access_log: {file: @/log/edge.log}
  upstreams: [{name: web, servers: [{address: 10.8.0.20:443}], tls: {ca_file: @/ca.pem}}]
  hosts:
    - names: [meet.example.org, a.sub.example.org, "*.wild.example.org", 192.0.2.1]
      access_log: @/log/meet.log
      error_pages: [{statuses: 502, file: @/down.html}]
      routes:
        - {path: /, upstream: web, basic_auth: {file: @/htpasswd}, cookie_token: {cookie: c, folder: @/tokens}}
        - {path: /static/, files: {root: @/static}}
  listeners:
    - name: https
      listen: 192.0.2.1:443
      hosts: meet.example.org
      tls: {certificates: [{certificate_file: @/meet.pem, key_file: @/meet.key, ocsp_file: @/meet.ocsp}]}
)";
    for (size_t at = 0; (at = text.find('@', at)) != std::string::npos;) {
      text.replace(at, 1, folder_);
    }
    return text;
  }
  HostFindings Check() const {
    HostFindings findings;
    CheckHostForEdge(config_, sources_, findings);
    for (const auto* list : {&findings.errors, &findings.warnings}) {
      for (const Finding& finding : *list) {
        EXPECT_THAT(finding.message, testing::MatchesRegex("got .+, expected .+"));
      }
    }
    return findings;
  }
  // The only thing that is wrong.
  void ExpectError(const std::string& key, const std::string& message) const {
    const HostFindings findings = Check();
    ASSERT_EQ(findings.errors.size(), 1u);
    EXPECT_EQ(findings.errors[0].key, key);
    EXPECT_THAT(findings.errors[0].message, HasSubstr(message));
  }
  void ExpectWarning(const std::string& key, const std::string& message) const {
    const HostFindings findings = Check();
    for (const Finding& error : findings.errors) ADD_FAILURE() << error.Line();
    ASSERT_EQ(findings.warnings.size(), 1u);
    EXPECT_EQ(findings.warnings[0].key, key);
    EXPECT_THAT(findings.warnings[0].message, HasSubstr(message));
  }

  static constexpr char kNames[] = "DNS:meet.example.org,DNS:*.sub.example.org,IP:192.0.2.1";
  static constexpr char kFiles[] = "edge.listeners[0].tls.certificates[0].";

  std::string folder_ = testing::TempDir() + "edge_machine_XXXXXX";
  Certified good_{kNames, 7, kNow - kDay, kNow + 90 * kDay};
  int listen_error_ = 0;
  HostSources sources_;
  Config config_;
};

TEST_F(EdgeMachine, GoodIsGood) {
  const HostFindings findings = Check();
  EXPECT_THAT(findings.errors, IsEmpty());
  EXPECT_THAT(findings.warnings, IsEmpty());
}

TEST_F(EdgeMachine, WithoutAnEdgeNothingIsAsked) {
  config_.edge.cores.clear();
  fs::remove(File("meet.pem"));
  EXPECT_TRUE(Check().ok());
}

TEST_F(EdgeMachine, CoresAndAddresses) {
  Put("online", "0-1\n");
  ExpectError("edge.cores[1]", "got core 2, expected one that this machine has: 0-1");
  Put("online", "0-3\n");
  listen_error_ = EADDRINUSE;
  ExpectWarning("edge.listeners[0].listen", "where a program listens already");
  listen_error_ = EADDRNOTAVAIL;
  ExpectError("edge.listeners[0].listen", "expected an address that an interface");
  // The listener's user may be another one.
  listen_error_ = EACCES;
  EXPECT_TRUE(Check().ok());
}

TEST_F(EdgeMachine, CertificatesHaveAnEnd) {
  const std::string key = std::string(kFiles) + "certificate_file";
  const auto until = [&](time_t from, time_t to) {
    const Certified other(kNames, 7, from, to);
    other.Write(File("meet.pem"), File("meet.key"));
  };
  until(kNow - 9 * kDay, kNow - 1);
  ExpectError(key, "got a certificate that ended on 2027-01-15");
  until(kNow - 9 * kDay, kNow + 1);
  ExpectWarning(key, "got a certificate that ends on 2027-01-15, expected more than 14 days");
  until(kNow - 9 * kDay, kNow + 14 * kDay - 1);
  ExpectWarning(key, "ends on 2027-01-29");
  until(kNow - 9 * kDay, kNow + 14 * kDay + 1);
  EXPECT_THAT(Check().warnings, IsEmpty());
  until(kNow + kDay, kNow + 90 * kDay);
  ExpectError(key, "got a certificate that begins on 2027-01-16");
  until(kNow, kNow + 90 * kDay);
  EXPECT_TRUE(Check().ok());
}

TEST_F(EdgeMachine, CertificateFiles) {
  const std::string key = std::string(kFiles) + "certificate_file";
  Put("meet.pem", "not a certificate\n");
  ExpectError(key, "without a certificate in PEM");
  fs::remove(File("meet.pem"));
  ExpectError(key, "No such file or directory");
  fs::create_directory(File("meet.pem"));
  ExpectError(key, "expected a regular file");
  fs::remove(File("meet.pem"));
  ASSERT_EQ(mkfifo(File("meet.pem").c_str(), 0600), 0);
  ExpectError(key, "expected a regular file");
  fs::remove(File("meet.pem"));
  Put("meet.pem", std::string(1024 * 1024 + 1, ' '));
  ExpectError(key, "of 1048577 bytes, expected at most 1048576");
  good_.Write(File("meet.pem"), File("meet.key"));
  std::ofstream(File("meet.pem"), std::ios::app)
      << "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  ExpectError(key, "with 1 certificates and something else");
}

TEST_F(EdgeMachine, KeysBelongToTheirCertificates) {
  const std::string key = std::string(kFiles) + "key_file";
  const Certified other(kNames, 7, kNow, kNow + 90 * kDay);
  other.Write(File("other.pem"), File("meet.key"));
  ExpectError(key, "the key of another certificate");
  good_.Write(File("meet.pem"), File("meet.key"), "secret");
  ExpectError(key, "without a private key in PEM that has no password");
  Put("meet.key", "");
  ExpectError(key, "without a private key in PEM");
  good_.Write(File("meet.pem"), File("meet.key"));
  ASSERT_EQ(chmod(File("meet.key").c_str(), 0644), 0);
  ExpectWarning(key, "which every user may read, expected it for bridgehead-ctrl's alone");
}

TEST_F(EdgeMachine, OcspResponses) {
  const std::string key = std::string(kFiles) + "ocsp_file";
  Put("meet.ocsp", "x");
  ExpectError(key, "without a successful OCSP response in DER");
  good_.WriteOcsp(File("meet.ocsp"), V_OCSP_CERTSTATUS_GOOD, kNow - 1);
  ExpectWarning(key, "which was to be renewed by 2027-01-15");
  good_.WriteOcsp(File("meet.ocsp"), V_OCSP_CERTSTATUS_REVOKED, kNow + kDay);
  ExpectError(key, "which says \"revoked\", expected good");
  const Certified other(kNames, 8, kNow, kNow + 90 * kDay);
  other.WriteOcsp(File("meet.ocsp"), V_OCSP_CERTSTATUS_GOOD, kNow + kDay);
  ExpectError(key, "about another certificate");
}

TEST_F(EdgeMachine, NamesHaveCertificates) {
  const Certified other("DNS:meet.example.org,DNS:x.wild.example.org", 7, kNow, kNow + 90 * kDay);
  other.Write(File("meet.pem"), File("meet.key"));
  other.WriteOcsp(File("meet.ocsp"), V_OCSP_CERTSTATUS_GOOD, kNow + kDay);
  const HostFindings findings = Check();
  ASSERT_EQ(findings.warnings.size(), 1u);
  EXPECT_EQ(findings.warnings[0].message,
            "got a.sub.example.org, 192.0.2.1, which no certificate of the listener is for, "
            "expected one");
}

TEST_F(EdgeMachine, AuthoritiesOfUpstreams) {
  Put("ca.pem", "");
  ExpectError("edge.upstreams[0].tls.ca_file", "without a certificate in PEM");
  const Certified old(kNames, 7, kNow - 9 * kDay, kNow - kDay);
  old.Write(File("ca.pem"), File("ca.key"));
  ExpectError("edge.upstreams[0].tls.ca_file", "ended on 2027-01-14");
}

TEST_F(EdgeMachine, PasswordsTokensAndFiles) {
  const std::string route = "edge.hosts[0].routes[0].";
  Put("htpasswd", "ann:$2y$05$abc\nsecret\n");
  ExpectError(route + "basic_auth.file", "with line 2 without name:hash, expected a name");
  Put("htpasswd", ":$5$x\n");
  ExpectError(route + "basic_auth.file", "with line 1 without name:hash");
  Put("htpasswd", "ann:{SHA}abc\n");
  ExpectError(route + "basic_auth.file", "with line 1 with another hash than htpasswd -B makes");
  Put("htpasswd", "ann:$5$x\nann:$y$x\n");
  ExpectError(route + "basic_auth.file", "with line 2 with a name a second time");
  Put("htpasswd", "# nobody\n");
  ExpectWarning(route + "basic_auth.file", "without a line, expected name:hash: nobody gets in");
  Put("htpasswd", "ann:$2b$x");
  EXPECT_THAT(Check().warnings, IsEmpty());
  fs::remove(File("tokens"));
  ExpectError(route + "cookie_token.folder", "No such file");
  Put("tokens", "");
  ExpectError(route + "cookie_token.folder", "Not a directory");
  fs::remove(File("tokens"));
  fs::create_directory(File("tokens"));
  fs::remove(File("static"));
  ExpectError("edge.hosts[0].routes[1].files.root", "expected a folder that can be read");
  fs::create_directory(File("static"));
  fs::remove(File("down.html"));
  ExpectError("edge.hosts[0].error_pages[0].file", "expected a file that can be read");
}

TEST_F(EdgeMachine, AccessLogs) {
  fs::create_directory(File("log/meet.log"));
  ExpectError("edge.hosts[0].access_log", "a folder, expected a file");
  fs::remove(File("log/meet.log"));
  Put("log/meet.log", "there already");
  EXPECT_TRUE(Check().ok());
  fs::rename(File("log"), File("logs"));
  const HostFindings findings = Check();
  ASSERT_EQ(findings.errors.size(), 2u);
  EXPECT_THAT(findings.errors[0].message, HasSubstr("expected a file in a folder that is there"));
  EXPECT_EQ(findings.errors[1].key, "edge.access_log.file");
}

TEST_F(EdgeMachine, WhatThisUserMayNotReadAnotherOneMay) {
  constexpr uid_t kNobody = 65534;
  const bool root = geteuid() == 0;
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(chmod(File("meet.key").c_str(), root ? 0600 : 0), 0);
  ASSERT_EQ(chmod(File("tokens").c_str(), root ? 0700 : 0), 0);
  if (root) {
    ASSERT_EQ(seteuid(kNobody), 0);
  }
  const HostFindings findings = Check();
  if (root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  ASSERT_EQ(chmod(File("tokens").c_str(), 0700), 0);
  for (const Finding& error : findings.errors) ADD_FAILURE() << error.Line();
  ASSERT_EQ(findings.warnings.size(), 2u);
  EXPECT_EQ(findings.warnings[0].key, std::string(kFiles) + "key_file");
  EXPECT_EQ(findings.warnings[1].key, "edge.hosts[0].routes[0].cookie_token.folder");
  for (const Finding& warning : findings.warnings) {
    EXPECT_THAT(warning.message, HasSubstr("which this user may not read"));
  }
}

}  // namespace
}  // namespace bridgehead::config
