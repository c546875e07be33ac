// Forms that a text of the configuration can have: host names, header names, paths of URLs and of
// files, origins and the like. A Key of Type::kForm names one (schema.h); a form says what it is in
// REFERENCE.md and in messages, and reads a text strictly, into its one canonical spelling where
// there are several.
#pragma once

#include <string>
#include <string_view>

namespace bridgehead::config {

struct FormedText {
  bool good = false;
  std::string text;  // canonical
  std::string why;   // what is wrong, to follow what was got; may be empty
};

struct TextForm {
  std::string_view reference;  // what it is, in REFERENCE.md
  std::string_view expected;   // and in messages
  FormedText (*read)(std::string_view text);
};

// forms_names.cc. Names of hosts come out in lower case.
extern const TextForm kHostNameForm;     // meet.example.org
extern const TextForm kServerNameForm;   // that, or *.example.org
extern const TextForm kHostPatternForm;  // those, or *
extern const TextForm kHostRefForm;      // of Host::name
extern const TextForm kServerIdForm;     // one segment of a path
extern const TextForm kOriginForm;       // RFC 6454 section 6.2
extern const TextForm kCorsOriginForm;   // that, or *
extern const TextForm kFilePathForm;     // absolute
extern const TextForm kFileNameForm;     // without a folder

// forms_http.cc.
extern const TextForm kHeaderNameForm;     // RFC 9110 section 5.1, of those that may be changed
extern const TextForm kRequestValueForm;   // RFC 9110 section 5.5, with variables
extern const TextForm kResponseValueForm;  // that, without $forwarded_for
extern const TextForm kTokenForm;          // RFC 9110 section 5.6.2
extern const TextForm kUrlPathForm;        // as the edge compares it: canonical, without a query
extern const TextForm kRegexForm;          // RE2
extern const TextForm kRewriteForm;        // kUrlPathForm with \1 to \9
extern const TextForm kRedirectForm;       // URL with variables
extern const TextForm kTargetForm;         // RFC 9112 section 3.2.1: a path with a query
extern const TextForm kRealmForm;          // what may stand between the quotes of RFC 7617's realm
extern const TextForm kBodyForm;           // text of a response
extern const TextForm kAlpnForm;           // RFC 7301

// Capture groups of a regex that kRegexForm took.
int RegexGroups(const std::string& regex);

}  // namespace bridgehead::config
