#include "ctrl/proxy/route/route_table.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <re2/re2.h>

#include "absl/strings/ascii.h"
#include "ctrl/proxy/route/path.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

constexpr int64_t kRegexMemoryBytes = 1 << 20;  // of one expression, its cache of states included

using config::PathMatch;

absl::string_view Key(std::string_view text) {
  return {text.data(), text.size()};
}

absl::Status Bad(const std::string& path, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("path {}: {}", path, why));
}

std::string_view WithoutSlash(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// Each segment up to its ";", which may be escaped: there are servers that decode first. What is
// left of "/;a/x" is "/x", as those that drop parameters merge slashes too.
std::string WithoutParameters(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  bool skips = false;
  for (size_t at = 0; at < path.size(); ++at) {
    if (path[at] == '/') {
      skips = false;
    } else if (path[at] == ';' || path.substr(at).starts_with("%3B")) {
      skips = true;
    }
    if (!skips && (path[at] != '/' || !out.ends_with('/'))) out.push_back(path[at]);
  }
  return out;
}

// As CheckPath would give it back.
bool IsCanonicalPath(std::string_view path) {
  std::string scratch;
  const CheckedPath checked = CheckPath(path, scratch);
  return checked.error == PathError::kNone && checked.path == path;
}

RE2::Options RegexOptions() {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);  // canonical paths are ASCII
  options.set_max_mem(kRegexMemoryBytes);
  options.set_log_errors(false);
  return options;
}

// RE2::Rewrite without a copy of each capture; the template was checked when it was read.
void AppendCaptures(std::string_view rewrite, const RouteMatch& match, std::string& out) {
  for (size_t at = 0; at < rewrite.size(); ++at) {
    if (rewrite[at] != '\\') {
      out += rewrite[at];
      continue;
    }
    const char next = rewrite[++at];
    if (next == '\\') {
      out += next;
    } else {
      out += match.captures[static_cast<size_t>(next - '0')];
    }
  }
}

}  // namespace

RouteTable::RouteTable() = default;
RouteTable::RouteTable(RouteTable&&) noexcept = default;
RouteTable& RouteTable::operator=(RouteTable&&) noexcept = default;
RouteTable::~RouteTable() = default;

absl::StatusOr<RouteTable> RouteTable::Build(std::span<const config::Route> routes) {
  RouteTable table;
  for (const config::Route& route : routes) {
    if (absl::Status added = table.Add(route); !added.ok()) return added;
  }
  auto& lengths = table.prefix_lengths_;
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return table;
}

absl::Status RouteTable::Add(const config::Route& route) {
  Entry entry{route.match, route.path, std::nullopt, std::nullopt, nullptr};
  if (const auto* proxy = std::get_if<config::ProxyAction>(&route.action)) {
    entry.rewrite = proxy->rewrite;
  }
  if (absl::Status split = SplitRewrite(entry); !split.ok()) return split;
  absl::Status added = route.match == PathMatch::kRegex ? AddRegex(entry) : AddPath(entry);
  if (added.ok()) entries_.push_back(std::move(entry));
  return added;
}

absl::Status RouteTable::SplitRewrite(Entry& entry) {
  const size_t mark = entry.rewrite ? entry.rewrite->find('?') : std::string::npos;
  if (mark == std::string::npos) return absl::OkStatus();
  auto query = QueryRewrite::Parse(std::string_view(*entry.rewrite).substr(mark + 1));
  if (!query.ok()) return Bad(entry.path, std::string(query.status().message()));
  entry.query_rewrite = *std::move(query);
  entry.rewrite->resize(mark);
  return absl::OkStatus();
}

absl::Status RouteTable::AddPath(Entry& entry) {
  if (!IsCanonicalPath(entry.path)) {
    return Bad(entry.path, "no request's path looks like this once it is canonical");
  }
  if (entry.rewrite && !IsCanonicalPath(*entry.rewrite)) {
    return Bad(entry.path, fmt::format("rewrite: got {}, expected a path", *entry.rewrite));
  }
  const auto index = static_cast<uint32_t>(entries_.size());
  bool added = false;
  if (entry.match == PathMatch::kExact) {
    added = exact_.try_emplace(entry.path, index).second;
  } else if (entry.path == "/") {
    added = !default_;
    default_ = index;
  } else {
    added = prefixes_.try_emplace(entry.path, index).second;
    prefix_lengths_.push_back(entry.path.size());
  }
  return added ? absl::OkStatus() : Bad(entry.path, "given twice");
}

absl::Status RouteTable::AddRegex(Entry& entry) {
  if (entry.path.size() > kMaxRegexBytes) {
    return Bad(entry.path, fmt::format("expression of more than {} bytes", kMaxRegexBytes));
  }
  if (regexes_.size() == kMaxRegexes) {
    return Bad(entry.path, fmt::format("more than {} expressions in one host", kMaxRegexes));
  }
  entry.regex =
      std::make_unique<RE2>(re2::StringPiece(entry.path.data(), entry.path.size()), RegexOptions());
  if (!entry.regex->ok()) return Bad(entry.path, entry.regex->error());
  if (entry.rewrite) {
    std::string error;
    if (!entry.regex->CheckRewriteString(*entry.rewrite, &error)) {
      return Bad(entry.path, fmt::format("rewrite {}: {}", *entry.rewrite, error));
    }
    if (!entry.rewrite->starts_with('/') && !entry.rewrite->starts_with('\\')) {
      return Bad(entry.path, fmt::format("rewrite: got {}, expected a path", *entry.rewrite));
    }
  }
  regexes_.push_back(static_cast<uint32_t>(entries_.size()));
  return absl::OkStatus();
}

std::optional<RouteMatch> RouteTable::FindPrefix(std::string_view path) const {
  for (const size_t length : prefix_lengths_) {
    if (length > path.size()) continue;
    // Only where a segment ends, or begins: a prefix may end with its slash.
    const bool ends = length == path.size() || path[length] == '/';
    if (!ends && path[length - 1] != '/') continue;
    const auto found = prefixes_.find(Key(path.substr(0, length)));
    if (found == prefixes_.end()) continue;
    return RouteMatch{found->second, path.substr(WithoutSlash(found->first).size()), {}};
  }
  return std::nullopt;
}

std::optional<RouteMatch> RouteTable::FindRegex(std::string_view path) const {
  const re2::StringPiece text(path.data(), path.size());
  for (const uint32_t index : regexes_) {
    const Entry& entry = entries_[index];
    std::array<re2::StringPiece, 1 + kMaxCaptures> captures;
    // Asked for captures, RE2 runs its slower machines too.
    const int wanted =
        entry.rewrite ? std::min<int>(kMaxCaptures, entry.regex->NumberOfCapturingGroups()) + 1 : 0;
    if (!entry.regex->Match(text, 0, text.size(), RE2::UNANCHORED, captures.data(), wanted)) {
      continue;
    }
    RouteMatch match{index, path, {}};
    std::transform(
        captures.begin(), captures.end(), match.captures.begin(),
        [](const auto& capture) { return std::string_view(capture.data(), capture.size()); });
    return match;
  }
  return std::nullopt;
}

std::optional<RouteMatch> RouteTable::Find(std::string_view path) const {
  if (const auto found = exact_.find(Key(path)); found != exact_.end()) {
    return RouteMatch{found->second, {}, {}};
  }
  if (auto match = FindPrefix(path)) return match;
  if (auto match = FindRegex(path)) return match;
  if (!default_) return std::nullopt;
  return RouteMatch{*default_, path, {}};
}

bool RouteTable::IsSameWithoutParameters(std::string_view path,
                                         const std::optional<RouteMatch>& found) const {
  if (path.find(';') == path.npos && path.find("%3B") == path.npos) return true;
  const std::string without = WithoutParameters(path);
  const std::optional<RouteMatch> other = Find(without);
  return found.has_value() == other.has_value() && (!found || found->route == other->route);
}

std::optional<std::string_view> RouteTable::Rewrite(const RouteMatch& match, std::string_view path,
                                                    std::string& out) const {
  const Entry& entry = entries_[match.route];
  if (!entry.rewrite) return path;
  if (entry.match == PathMatch::kRegex) {
    std::string made;
    AppendCaptures(*entry.rewrite, match, made);
    // Pieces of a good path may make a bad one.
    const CheckedPath checked = CheckPath(made, out);
    if (checked.error != PathError::kNone) return std::nullopt;
    if (checked.path.data() == made.data()) out = std::move(made);
    return out;
  }
  if (match.rest.empty()) return *entry.rewrite;
  // Segments of a canonical path behind a canonical path, one slash between: nothing to check but
  // the length.
  out.assign(WithoutSlash(*entry.rewrite));
  out += match.rest;
  if (out.size() > kMaxPathBytes) return std::nullopt;
  return out;
}

void RouteTable::AppendQuery(const RouteMatch& match, std::optional<std::string_view> query,
                             std::string& target) const {
  if (const Entry& entry = entries_[match.route]; entry.query_rewrite) {
    entry.query_rewrite->Append(query.value_or(""), match.captures, target);
  } else if (query) {
    target.append("?").append(*query);
  }
}

std::optional<std::string> RouteTable::Unrewrite(uint32_t route, std::string_view path) const {
  const Entry& entry = entries_[route];
  if (!entry.rewrite || entry.match == PathMatch::kRegex) return std::nullopt;
  const std::string_view base = WithoutSlash(*entry.rewrite);
  if (path.starts_with(*entry.rewrite)) {
    const std::string_view rest = path.substr(entry.rewrite->size());
    if (rest.empty() || rest[0] == '?' || rest[0] == '#') {
      return entry.path + std::string(rest);
    }
  }
  if (entry.match == PathMatch::kExact || !path.starts_with(base)) return std::nullopt;
  const std::string_view rest = path.substr(base.size());
  if (!rest.empty() && rest[0] != '/' && rest[0] != '?' && rest[0] != '#') return std::nullopt;
  const bool root = entry.path == "/" && !rest.starts_with('/');
  return std::string(root ? entry.path : WithoutSlash(entry.path)) + std::string(rest);
}

bool IsServerId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxServerIdBytes &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
         });
}

absl::StatusOr<ServerIds> ServerIds::Build(const config::ServerIdAction& action) {
  ServerIds ids;
  for (const auto& server : action.servers) {
    if (!IsServerId(server.id)) {
      return absl::InvalidArgumentError(
          fmt::format("server id {}: expected 1..{} letters, digits, _, . and -", server.id,
                      kMaxServerIdBytes));
    }
    if (!ids.servers_.try_emplace(server.id, ids.servers_.size()).second) {
      return absl::AlreadyExistsError(fmt::format("server id {}: given twice", server.id));
    }
  }
  return ids;
}

std::optional<uint32_t> ServerIds::Find(std::string_view rest) const {
  if (!rest.starts_with('/')) return std::nullopt;
  const std::string_view id = rest.substr(1, rest.find('/', 1) - 1);
  if (id.size() + 2 >= rest.size() || !IsServerId(id)) return std::nullopt;
  const auto found = servers_.find(Key(id));
  return found == servers_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace bridgehead::proxy
