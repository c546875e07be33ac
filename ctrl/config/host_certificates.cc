// Certificates, their keys and OCSP responses, as files of this machine.
#include <algorithm>
#include <array>
#include <memory>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "ctrl/config/host.h"
#include "ctrl/config/host_parts.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

constexpr int kDay = 24 * 60 * 60;  // seconds
constexpr int kWarnDays = 14;
constexpr size_t kMaxChain = 64;

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using OcspResponse = std::unique_ptr<OCSP_RESPONSE, Free<OCSP_RESPONSE_free>>;
using OcspBasic = std::unique_ptr<OCSP_BASICRESP, Free<OCSP_BASICRESP_free>>;

Bio Over(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A key with a password must not ask for it on the terminal.
int NoPassword(char*, int, int, void*) {
  return -1;
}

void Error(const Config& config, const std::string& key, std::string message,
           HostFindings& findings) {
  findings.errors.push_back(MakeFinding(config, key, std::move(message)));
}
void Warning(const Config& config, const std::string& key, std::string message,
             HostFindings& findings) {
  findings.warnings.push_back(MakeFinding(config, key, std::move(message)));
}

std::string DateOf(const ASN1_TIME* time) {
  tm date{};
  ASN1_TIME_to_tm(time, &date);
  return fmt::format("{:04}-{:02}-{:02}", date.tm_year + 1900, date.tm_mon + 1, date.tm_mday);
}

// Whether `time` is before `now` plus `seconds`.
bool IsBefore(const ASN1_TIME* time, time_t now, int seconds) {
  time_t at = now + seconds;
  return X509_cmp_time(time, &at) < 0;
}

// The first certificate in the file: the one that is shown. Nothing, with a finding, when there is
// none, or what follows is none.
X509Ptr ReadCertificate(const Config& config, const std::string& key, const std::string& path,
                        HostFindings& findings) {
  const auto text = ReadFileOf(config, key, path, findings);
  if (!text) return nullptr;
  const Bio bio = Over(*text);
  X509Ptr first(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  size_t count = first ? 1 : 0;
  while (count > 0 && count < kMaxChain) {
    const X509Ptr next(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
    if (!next) break;
    ++count;
  }
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (first && ended) return first;
  Error(config, key,
        first ? fmt::format("got {} with {} certificates and something else, expected at most {} "
                            "and nothing else",
                            path, count, kMaxChain)
              : fmt::format("got {} without a certificate in PEM, expected one", path),
        findings);
  return nullptr;
}

void CheckDates(const Config& config, const std::string& key, const X509& certificate, time_t now,
                HostFindings& findings) {
  const ASN1_TIME* begin = X509_get0_notBefore(&certificate);
  const ASN1_TIME* end = X509_get0_notAfter(&certificate);
  if (IsBefore(end, now, 0)) {
    Error(config, key,
          fmt::format("got a certificate that ended on {}, expected a valid one", DateOf(end)),
          findings);
  } else if (!IsBefore(begin, now, 1)) {
    Error(config, key,
          fmt::format("got a certificate that begins on {}, expected a valid one", DateOf(begin)),
          findings);
  } else if (IsBefore(end, now, kWarnDays * kDay)) {
    Warning(config, key,
            fmt::format("got a certificate that ends on {}, expected more than {} days",
                        DateOf(end), kWarnDays),
            findings);
  }
}

void CheckKey(const Config& config, const std::string& key, const std::string& path,
              const X509& certificate, HostFindings& findings) {
  const auto text = ReadFileOf(config, key, path, findings);
  if (!text) return;
  const Bio bio = Over(*text);
  const KeyPtr private_key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (!private_key) {
    Error(
        config, key,
        fmt::format("got {} without a private key in PEM that has no password, expected one", path),
        findings);
  } else if (X509_check_private_key(&certificate, private_key.get()) != 1) {
    Error(config, key,
          fmt::format("got {}, the key of another certificate, expected that of certificate_file",
                      path),
          findings);
  }
  ERR_clear_error();
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0) {
    Warning(config, key,
            fmt::format("got {}, which every user may read, expected it for bridgehead-ctrl's "
                        "alone: chmod o-r",
                        path),
            findings);
  }
}

// The answer about the certificate among those in the response, by its serial number.
OCSP_SINGLERESP* AnswerAbout(OCSP_BASICRESP* basic, const X509& certificate) {
  for (int i = 0; i < OCSP_resp_count(basic); ++i) {
    OCSP_SINGLERESP* single = OCSP_resp_get0(basic, i);
    ASN1_INTEGER* serial = nullptr;
    OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial,
                      const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single)));
    if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(&certificate)) == 0) return single;
  }
  return nullptr;
}

void CheckOcsp(const Config& config, const std::string& key, const std::string& path,
               const X509& certificate, time_t now, HostFindings& findings) {
  const auto text = ReadFileOf(config, key, path, findings);
  if (!text) return;
  const Bio bio = Over(*text);
  const OcspResponse response(d2i_OCSP_RESPONSE_bio(bio.get(), nullptr));
  const bool successful =
      response && OCSP_response_status(response.get()) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
  const OcspBasic basic(successful ? OCSP_response_get1_basic(response.get()) : nullptr);
  ERR_clear_error();
  if (!basic) {
    Error(config, key,
          fmt::format("got {} without a successful OCSP response in DER, expected one", path),
          findings);
    return;
  }
  OCSP_SINGLERESP* answer = AnswerAbout(basic.get(), certificate);
  if (answer == nullptr) {
    Error(config, key,
          fmt::format("got {}, about another certificate, expected certificate_file's", path),
          findings);
    return;
  }
  ASN1_GENERALIZEDTIME* next = nullptr;
  const int status = OCSP_single_get0_status(answer, nullptr, nullptr, nullptr, &next);
  if (status != V_OCSP_CERTSTATUS_GOOD) {
    Error(
        config, key,
        fmt::format("got {}, which says \"{}\", expected good", path, OCSP_cert_status_str(status)),
        findings);
  } else if (next != nullptr && IsBefore(next, now, 0)) {
    Warning(config, key,
            fmt::format("got {}, which was to be renewed by {}, expected a current one", path,
                        DateOf(next)),
            findings);
  }
}

// Names that clients will ask for and get another name's certificate.
void CheckNamesCovered(const Config& config, const EdgeListener& listener, const std::string& path,
                       const std::vector<X509Ptr>& certificates, HostFindings& findings) {
  for (size_t i = 0; i < listener.hosts.size(); ++i) {
    const auto host = std::find_if(config.edge.hosts.begin(), config.edge.hosts.end(),
                                   [&](const Host& at) { return at.name == listener.hosts[i]; });
    std::vector<std::string_view> bare;
    for (const std::string& name : host->names) {
      const bool pattern = name.starts_with('*') || name.starts_with('[');
      const bool covered =
          std::any_of(certificates.begin(), certificates.end(), [&](const X509Ptr& certificate) {
            return X509_check_host(certificate.get(), name.data(), name.size(), 0, nullptr) == 1 ||
                   X509_check_ip_asc(certificate.get(), name.c_str(), 0) == 1;
          });
      if (!pattern && !covered) bare.push_back(name);
    }
    if (bare.empty()) continue;
    Warning(config, fmt::format("{}.hosts[{}]", path, i),
            fmt::format("got {}, which no certificate of the listener is for, expected one",
                        fmt::join(bare, ", ")),
            findings);
  }
}

void CheckListener(const Config& config, const EdgeListener& listener, const std::string& path,
                   time_t now, HostFindings& findings) {
  std::vector<X509Ptr> certificates;
  for (size_t i = 0; i < listener.tls->certificates.size(); ++i) {
    const Certificate& files = listener.tls->certificates[i];
    const std::string key = fmt::format("{}.tls.certificates[{}]", path, i);
    X509Ptr certificate =
        ReadCertificate(config, key + ".certificate_file", files.certificate_file, findings);
    if (!certificate) continue;
    CheckDates(config, key + ".certificate_file", *certificate, now, findings);
    CheckKey(config, key + ".key_file", files.key_file, *certificate, findings);
    if (!files.ocsp_file.empty()) {
      CheckOcsp(config, key + ".ocsp_file", files.ocsp_file, *certificate, now, findings);
    }
    certificates.push_back(std::move(certificate));
  }
  if (certificates.size() == listener.tls->certificates.size()) {
    CheckNamesCovered(config, listener, path, certificates, findings);
  }
}

}  // namespace

void CheckCertificates(const Config& config, time_t now, HostFindings& findings) {
  for (size_t i = 0; i < config.edge.listeners.size(); ++i) {
    const EdgeListener& listener = config.edge.listeners[i];
    if (!listener.tls) continue;
    CheckListener(config, listener, fmt::format("edge.listeners[{}]", i), now, findings);
  }
  for (size_t i = 0; i < config.edge.upstreams.size(); ++i) {
    const std::optional<UpstreamTls>& tls = config.edge.upstreams[i].tls;
    if (!tls || tls->ca_file.empty()) continue;
    const std::string key = fmt::format("edge.upstreams[{}].tls.ca_file", i);
    const X509Ptr authority = ReadCertificate(config, key, tls->ca_file, findings);
    if (authority) CheckDates(config, key, *authority, now, findings);
  }
}

}  // namespace bridgehead::config
