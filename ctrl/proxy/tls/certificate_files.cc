#include "ctrl/proxy/tls/certificate_files.h"

#include <algorithm>
#include <utility>

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

constexpr int kWarnDays = 14;
constexpr size_t kMaxChain = 10;
constexpr size_t kMaxOcspBytes = 64 * 1024;

using OcspResponsePtr = std::unique_ptr<OCSP_RESPONSE, OpensslFree<OCSP_RESPONSE_free>>;
using OcspBasicPtr = std::unique_ptr<OCSP_BASICRESP, OpensslFree<OCSP_BASICRESP_free>>;
using OcspIdPtr = std::unique_ptr<OCSP_CERTID, OpensslFree<OCSP_CERTID_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;

absl::Status Bad(const std::string& file, const std::string& what) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", file, what));
}

absl::StatusOr<BioPtr> Open(const std::string& file) {
  BioPtr bio(BIO_new_file(file.c_str(), "rb"));
  if (!bio) return Bad(file, "cannot be read: " + OpensslError("no such file"));
  return bio;
}

// A key that wants a passphrase must not ask for it on a terminal.
int NoPassphrase(char*, int, int, void*) {
  return -1;
}

absl::Status ReadChain(const std::string& file, LoadedCertificate& into) {
  auto bio = Open(file);
  if (!bio.ok()) return bio.status();
  while (X509* next = PEM_read_bio_X509(bio->get(), nullptr, NoPassphrase, nullptr)) {
    X509Ptr owned(next);
    if (!into.leaf) {
      into.leaf = std::move(owned);
    } else if (into.chain.size() == kMaxChain) {
      return Bad(file, fmt::format("more than {} certificates after the first", kMaxChain));
    } else {
      into.chain.push_back(std::move(owned));
    }
  }
  const std::string why = OpensslError("none");
  if (!into.leaf) return Bad(file, "no certificate in PEM form in it: " + why);
  return absl::OkStatus();
}

absl::Status ReadKey(const std::string& file, LoadedCertificate& into) {
  auto bio = Open(file);
  if (!bio.ok()) return bio.status();
  into.key.reset(PEM_read_bio_PrivateKey(bio->get(), nullptr, NoPassphrase, nullptr));
  if (!into.key) {
    return Bad(file, "no private key without a passphrase in it: " + OpensslError("none"));
  }
  if (X509_check_private_key(into.leaf.get(), into.key.get()) != 1) {
    OpensslError("");
    return Bad(file, "is not the key of the certificate");
  }
  return absl::OkStatus();
}

std::vector<std::string> NamesOf(X509* certificate) {
  std::vector<std::string> names;
  NamesPtr all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type != GEN_DNS) continue;
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                     static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    names.push_back(absl::AsciiStrToLower(text));
  }
  return names;
}

std::string TimeText(const ASN1_TIME* time) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(bio.get(), time);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

absl::Status CheckTime(const std::string& file, LoadedCertificate& of) {
  const ASN1_TIME* begins = X509_get0_notBefore(of.leaf.get());
  const ASN1_TIME* ends = X509_get0_notAfter(of.leaf.get());
  if (X509_cmp_current_time(begins) > 0) {
    return Bad(file, "the certificate is valid only from " + TimeText(begins) + " on");
  }
  if (X509_cmp_current_time(ends) < 0) {
    return Bad(file, "the certificate has ended on " + TimeText(ends));
  }
  time_t soon = time(nullptr) + time_t{kWarnDays} * 24 * 60 * 60;
  if (X509_cmp_time(ends, &soon) < 0) {
    of.warnings.push_back(fmt::format("{}: the certificate ends on {}", file, TimeText(ends)));
  }
  return absl::OkStatus();
}

// Looks for the leaf's status in the response. The issuer must be the chain's next certificate.
bool FindStatus(OCSP_BASICRESP* basic, const LoadedCertificate& of, int& status,
                ASN1_GENERALIZEDTIME*& next_update) {
  OcspIdPtr id(OCSP_cert_to_id(nullptr, of.leaf.get(), of.chain.front().get()));
  int reason = 0;
  ASN1_GENERALIZEDTIME *revoked = nullptr, *this_update = nullptr;
  return OCSP_resp_find_status(basic, id.get(), &status, &reason, &revoked, &this_update,
                               &next_update) == 1 &&
         OCSP_check_validity(this_update, next_update, 300, -1) == 1;
}

// A response that cannot be stapled does no harm but its absence: it is a warning.
std::string ReadOcsp(const std::string& file, LoadedCertificate& into) {
  auto bio = Open(file);
  if (!bio.ok()) return std::string(bio.status().message());
  std::vector<uint8_t> bytes(kMaxOcspBytes);
  const int size = BIO_read(bio->get(), bytes.data(), static_cast<int>(bytes.size()));
  bytes.resize(static_cast<size_t>(std::max(size, 0)));
  const unsigned char* at = bytes.data();
  OcspResponsePtr response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(bytes.size())));
  OcspBasicPtr basic;
  if (response && OCSP_response_status(response.get()) == OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    basic.reset(OCSP_response_get1_basic(response.get()));
  }
  if (!basic) {
    OpensslError("");
    return fmt::format("{}: no successful OCSP response in DER form", file);
  }
  // It names the certificate by its issuer's key.
  if (into.chain.empty()) {
    return fmt::format("{}: not sent: the certificate's file does not have the issuer's behind it",
                       file);
  }
  int status = V_OCSP_CERTSTATUS_UNKNOWN;
  ASN1_GENERALIZEDTIME* next_update = nullptr;
  if (!FindStatus(basic.get(), into, status, next_update)) {
    OpensslError("");
    return fmt::format("{}: the OCSP response is not about this certificate, or out of date", file);
  }
  if (status != V_OCSP_CERTSTATUS_GOOD) {
    return fmt::format("{}: the OCSP response says {}", file, OCSP_cert_status_str(status));
  }
  tm ends{};
  if (next_update == nullptr || ASN1_TIME_to_tm(next_update, &ends) != 1) {
    return fmt::format("{}: the OCSP response does not say when it ends", file);
  }
  into.ocsp = std::move(bytes);
  into.ocsp_ends = timegm(&ends);
  return "";
}

}  // namespace

absl::StatusOr<LoadedCertificate> LoadCertificate(const config::Certificate& files) {
  LoadedCertificate loaded;
  absl::Status status = ReadChain(files.certificate_file, loaded);
  if (status.ok()) status = ReadKey(files.key_file, loaded);
  if (status.ok()) status = CheckTime(files.certificate_file, loaded);
  if (!status.ok()) return status;
  loaded.names = NamesOf(loaded.leaf.get());
  if (loaded.names.empty()) {
    return Bad(files.certificate_file, "the certificate has no DNS name (subjectAltName)");
  }
  if (!files.ocsp_file.empty()) {
    std::string problem = ReadOcsp(files.ocsp_file, loaded);
    if (!problem.empty()) loaded.warnings.push_back(problem + "; it is not stapled");
  }
  return loaded;
}

}  // namespace bridgehead::proxy
