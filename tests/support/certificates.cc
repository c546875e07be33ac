#include "tests/support/certificates.h"

#include <cstdio>
#include <memory>

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::test {

MadeCertificate MakeCertificate(const std::string& directory, const std::string& name,
                                const std::vector<std::string>& names, const std::string& type,
                                int days) {
  EVP_PKEY* key = type == "EC" ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  static long serial = 1;
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  constexpr long kDay = 24 * 60 * 60;
  X509_gmtime_adj(X509_getm_notBefore(certificate), days < 0 ? 2 * days * kDay : -kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate), days * kDay);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  if (!names.empty()) {
    std::vector<std::string> entries;
    for (const std::string& dns : names) {
      const bool ip = dns.find_first_not_of("0123456789.") == std::string::npos;
      entries.push_back((ip ? "IP:" : "DNS:") + dns);
    }
    const std::string value = fmt::format("{}", fmt::join(entries, ","));
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, value.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  EXPECT_NE(X509_sign(certificate, key, EVP_sha256()), 0);
  MadeCertificate made{directory + "/" + name + ".crt", directory + "/" + name + ".key"};
  FILE* file = fopen(made.certificate_file.c_str(), "w");
  EXPECT_EQ(PEM_write_X509(file, certificate), 1);
  fclose(file);
  file = fopen(made.key_file.c_str(), "w");
  EXPECT_EQ(PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr), 1);
  fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return made;
}

}  // namespace bridgehead::test
