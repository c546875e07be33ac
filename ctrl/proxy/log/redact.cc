#include "ctrl/proxy/log/redact.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"

namespace bridgehead::proxy {
namespace {

constexpr std::string_view kSecrets[] = {"pwd", "password", "passwd", "jwt", "token", "secret"};
constexpr std::string_view kReplacement = "***";
constexpr std::string_view kCut = "...";

// Writes up to `limit` bytes, and then no more than kCut.
class Line {
 public:
  Line(std::string& out, size_t limit) : out_(out), left_(limit) {}

  bool full() const { return full_; }
  void Add(std::string_view text) {
    for (const char c : text) {
      if (full_) return;
      AddByte(static_cast<uint8_t>(c));
    }
  }

 private:
  void AddByte(uint8_t byte) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const bool plain = byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\';
    const size_t size = plain ? 1 : 4;
    if (size > left_) {
      full_ = true;
      out_ += kCut;
      return;
    }
    left_ -= size;
    if (plain) {
      out_ += static_cast<char>(byte);
    } else {
      out_ += "\\x";
      out_ += kDigits[byte >> 4];
      out_ += kDigits[byte & 15];
    }
  }

  std::string& out_;
  size_t left_;
  bool full_ = false;
};

// A character of the text, as it is after all its percent-encoding: "%3D" and "%253D" are "=".
struct Unit {
  char c = 0;
  size_t size = 1;   // in the text
  size_t depth = 0;  // how often it is encoded
};

int HexDigit(char c) {
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  if (lower >= '0' && lower <= '9') return lower - '0';
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

Unit ReadUnit(std::string_view text) {
  if (text[0] != '%') return {text[0], 1, 0};
  size_t at = 1, depth = 1;
  while (text.substr(at, 2) == "25") at += 2, ++depth;
  if (at + 2 > text.size()) return {'%', 1, 0};
  const int high = HexDigit(text[at]), low = HexDigit(text[at + 1]);
  if (high < 0 || low < 0) return {'%', 1, 0};
  return {static_cast<char>(high * 16 + low), at + 2, depth};
}

bool IsSeparator(char c) {
  return c == '?' || c == '&' || c == ';' || c == '#';
}

// The last letters of a parameter's name.
class Name {
 public:
  void Clear() { size_ = 0; }
  void Add(char c) {
    if (size_ == last_.size()) {
      std::rotate(last_.begin(), last_.begin() + 1, last_.end());
      --size_;
    }
    last_[size_++] = absl::ascii_tolower(static_cast<unsigned char>(c));
  }
  bool IsSecret() const {
    std::string_view name(last_.data(), size_);
    while (name.ends_with(']') || name.ends_with('[')) name.remove_suffix(1);  // "token[]"
    return std::any_of(std::begin(kSecrets), std::end(kSecrets),
                       [name](std::string_view secret) { return name.ends_with(secret); });
  }

 private:
  std::array<char, 16> last_{};
  size_t size_ = 0;
};

}  // namespace

void AppendEscaped(std::string& out, std::string_view text, size_t limit) {
  Line(out, limit).Add(text);
}

void AppendRedacted(std::string& out, std::string_view text, size_t limit) {
  Line line(out, limit);
  Name name;
  bool in_name = false;  // behind a separator, before its "="
  while (!text.empty() && !line.full()) {
    const Unit unit = ReadUnit(text);
    line.Add(text.substr(0, unit.size));
    text.remove_prefix(unit.size);
    if (IsSeparator(unit.c)) {
      in_name = true;
      name.Clear();
    } else if (unit.c != '=') {
      if (in_name) name.Add(unit.c);
    } else if (in_name) {
      in_name = false;
      if (!name.IsSecret()) continue;
      // The value ends where a separator is that is encoded no more often than the "=": others are
      // part of it.
      line.Add(kReplacement);
      while (!text.empty()) {
        const Unit next = ReadUnit(text);
        if (IsSeparator(next.c) && next.depth <= unit.depth) break;
        text.remove_prefix(next.size);
      }
    }
  }
}

}  // namespace bridgehead::proxy
