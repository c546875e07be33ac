#include "ctrl/proxy/route/password_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include <crypt.h>
#include <openssl/crypto.h>

#include "absl/strings/numbers.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

struct Method {
  std::string_view prefix;
  size_t hash_bytes;  // behind the last "$"
};
constexpr unsigned kMinBcryptCost = 4, kMinShaRounds = 1000;  // crypt(5)
constexpr Method kMethods[] = {{"$2a$", 53}, {"$2b$", 53}, {"$2y$", 53},
                               {"$5$", 43},  {"$6$", 86},  {"$y$", 43}};

// The number that `text` begins with, up to `end`; 0: none.
unsigned NumberBefore(std::string_view text, char end) {
  const std::string_view digits = text.substr(0, std::min(text.find(end), text.size()));
  unsigned number = 0;
  return absl::SimpleAtoi({digits.data(), digits.size()}, &number) ? number : 0;
}

// Empty: nothing is wrong.
std::string WhatIsWrong(const std::string& hash) {
  constexpr std::string_view kRounds = "rounds=";
  const std::string_view text = hash;
  const auto* method = std::find_if(std::begin(kMethods), std::end(kMethods),
                                    [&](const Method& m) { return text.starts_with(m.prefix); });
  if (method == std::end(kMethods)) {
    return "expected a hash of bcrypt, SHA-256, SHA-512 or yescrypt, as `htpasswd -B` makes it";
  }
  if (text.size() - text.rfind('$') - 1 != method->hash_bytes) return "hash is not whole";
  const std::string_view rest = text.substr(method->prefix.size());
  const auto between = [](unsigned number, unsigned min, unsigned max) {
    return number >= min && number <= max;
  };
  if (text.starts_with("$2") && !between(NumberBefore(rest, '$'), kMinBcryptCost, kMaxBcryptCost)) {
    return fmt::format("expected a cost of {}..{}", kMinBcryptCost, kMaxBcryptCost);
  }
  if (rest.starts_with(kRounds) &&
      !between(NumberBefore(rest.substr(kRounds.size()), '$'), kMinShaRounds, kMaxShaRounds)) {
    return fmt::format("expected {}..{} rounds", kMinShaRounds, kMaxShaRounds);
  }
  const int salt = crypt_checksalt(hash.c_str());
  if (salt == CRYPT_SALT_INVALID || salt == CRYPT_SALT_METHOD_DISABLED) {
    return "crypt(3) of this system does not know this method";
  }
  return "";
}

// Empty: crypt(3) does not take it.
std::string Hash(const std::string& password, const std::string& setting) {
  auto data = std::make_unique<crypt_data>();  // 32 KiB
  const char* hashed = crypt_r(password.c_str(), setting.c_str(), data.get());
  std::string copy = hashed == nullptr || hashed[0] == '*' ? "" : hashed;
  OPENSSL_cleanse(data.get(), sizeof(*data));
  return copy;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const PasswordFile>> PasswordFile::Parse(std::string_view text,
                                                                        std::string_view name) {
  auto file = std::make_shared<PasswordFile>();
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line[0] == '#') continue;
    const auto bad = [&](std::string_view why) {
      return absl::InvalidArgumentError(fmt::format("{}:{}: {}", name, number, why));
    };
    const size_t colon = line.find(':');
    if (colon == line.npos || colon == 0 || colon > kMaxUserBytes) {
      return bad(fmt::format("expected NAME:HASH, the name of 1..{} bytes", kMaxUserBytes));
    }
    const std::string hash(line.substr(colon + 1));
    if (const std::string wrong = WhatIsWrong(hash); !wrong.empty()) return bad(wrong);
    if (file->hashes_.size() == kMaxPasswordEntries) {
      return bad(fmt::format("more than {} names", kMaxPasswordEntries));
    }
    if (!file->hashes_.try_emplace(std::string(line.substr(0, colon)), hash).second) {
      return bad("name is given twice");
    }
    if (file->decoy_.empty()) file->decoy_ = hash;
  }
  return std::shared_ptr<const PasswordFile>(std::move(file));
}

absl::StatusOr<std::shared_ptr<const PasswordFile>> PasswordFile::Load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return absl::NotFoundError(fmt::format("{}: {}", path, std::strerror(errno)));
  }
  std::string text(kMaxPasswordFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return absl::UnavailableError(fmt::format("{}: can not be read", path));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxPasswordFileBytes) {
    return absl::InvalidArgumentError(
        fmt::format("{}: more than {} bytes", path, kMaxPasswordFileBytes));
  }
  return Parse(text, path);
}

bool PasswordFile::Verify(std::string_view user, const std::string& password) const {
  const auto found = hashes_.find(absl::string_view(user.data(), user.size()));
  const bool known = found != hashes_.end();
  const std::string& setting = known ? found->second : decoy_;
  if (setting.empty()) return false;
  const std::string hashed = Hash(password, setting);
  return hashed.size() == setting.size() &&
         CRYPTO_memcmp(hashed.data(), setting.data(), setting.size()) == 0 && known;
}

}  // namespace bridgehead::proxy
