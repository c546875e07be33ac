// What the TCP edge needs of this machine, but for certificates.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/config/host.h"
#include "ctrl/config/host_parts.h"
#include "fmt/format.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxSmallFile = 1024 * 1024;  // bytes

// Why `path` can not be used, by errno.
void Refuse(const Config& config, const std::string& key, const std::string& path, int error,
            std::string_view what, HostFindings& findings) {
  if (error == EACCES || error == EPERM) {
    findings.warnings.push_back(MakeFinding(
        config, key,
        fmt::format("got {}, which this user may not read, expected that bridgehead-ctrl's may",
                    path)));
    return;
  }
  findings.errors.push_back(MakeFinding(
      config, key,
      fmt::format("got {} ({}), expected {} that can be read", path, strerror(error), what)));
}

void CheckFolder(const Config& config, const std::string& key, const std::string& path,
                 HostFindings& findings) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) {
    if (!S_ISDIR(status.st_mode)) return Refuse(config, key, path, ENOTDIR, "a folder", findings);
    if (faccessat(AT_FDCWD, path.c_str(), R_OK | X_OK, AT_EACCESS) == 0) return;
  }
  Refuse(config, key, path, errno, "a folder", findings);
}

// The file may not be there yet; its folder has to be.
void CheckLogFile(const Config& config, const std::string& key, const std::string& path,
                  HostFindings& findings) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) {
    if (!S_ISDIR(status.st_mode)) return;
    findings.errors.push_back(
        MakeFinding(config, key, fmt::format("got {}, a folder, expected a file", path)));
    return;
  }
  const std::string folder = std::filesystem::path(path).parent_path();
  if (stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return;
  findings.errors.push_back(MakeFinding(
      config, key, fmt::format("got {}, expected a file in a folder that is there", path)));
}

// Of bcrypt, SHA-256, SHA-512 and yescrypt: what the edge takes.
bool IsGoodHash(std::string_view hash) {
  constexpr std::array<std::string_view, 6> kMethods = {"$2a$", "$2b$", "$2y$",
                                                        "$5$",  "$6$",  "$y$"};
  return std::any_of(kMethods.begin(), kMethods.end(),
                     [&](std::string_view method) { return hash.starts_with(method); });
}

// What is wrong with a line of name:hash, which is not repeated. Adds the name to `users`.
std::string WhyNoUser(std::string_view line, std::set<std::string_view>& users) {
  const size_t colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos) return "without name:hash";
  if (!IsGoodHash(line.substr(colon + 1))) return "with another hash than htpasswd -B makes";
  return users.insert(line.substr(0, colon)).second ? "" : "with a name a second time";
}

void CheckPasswords(const Config& config, const std::string& key, const std::string& path,
                    HostFindings& findings) {
  const std::optional<std::string> text = ReadFileOf(config, key, path, findings);
  if (!text) return;
  std::set<std::string_view> users;
  size_t number = 0;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    const std::string_view line = std::string_view(*text).substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.empty() || line == "\r" || line.starts_with('#')) continue;
    const std::string why = WhyNoUser(line, users);
    if (why.empty()) continue;
    findings.errors.push_back(MakeFinding(
        config, key,
        fmt::format("got {} with line {} {}, expected a name and a hash of bcrypt, SHA-256, "
                    "SHA-512 or yescrypt on each line",
                    path, number, why)));
    return;
  }
  if (!users.empty()) return;
  findings.warnings.push_back(MakeFinding(
      config, key, fmt::format("got {} without a line, expected name:hash: nobody gets in", path)));
}

void CheckRoute(const Config& config, const Route& route, const std::string& path,
                HostFindings& findings) {
  if (route.basic_auth) {
    CheckPasswords(config, path + ".basic_auth.file", route.basic_auth->file, findings);
  }
  if (route.cookie_token) {
    CheckFolder(config, path + ".cookie_token.folder", route.cookie_token->folder, findings);
  }
  if (const auto* files = std::get_if<FilesAction>(&route.action)) {
    CheckFolder(config, path + ".files.root", files->root, findings);
  }
}

void CheckHostFiles(const Config& config, const Host& host, const std::string& path,
                    HostFindings& findings) {
  for (size_t i = 0; i < host.routes.size(); ++i) {
    CheckRoute(config, host.routes[i], fmt::format("{}.routes[{}]", path, i), findings);
  }
  for (size_t i = 0; i < host.error_pages.size(); ++i) {
    const std::string key = fmt::format("{}.error_pages[{}].file", path, i);
    ReadFileOf(config, key, host.error_pages[i].file, findings);
  }
  if (!host.access_log.empty()) {
    CheckLogFile(config, path + ".access_log", host.access_log, findings);
  }
}

}  // namespace

std::optional<std::string> ReadFileOf(const Config& config, const std::string& key,
                                      const std::string& path, HostFindings& findings) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat status {};
  if (fd < 0) {
    Refuse(config, key, path, errno, "a file", findings);
    return std::nullopt;
  }
  std::optional<std::string> text;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    findings.errors.push_back(
        MakeFinding(config, key, fmt::format("got {}, expected a regular file", path)));
  } else if (static_cast<size_t>(status.st_size) > kMaxSmallFile) {
    findings.errors.push_back(MakeFinding(config, key,
                                          fmt::format("got {} of {} bytes, expected at most {}",
                                                      path, status.st_size, kMaxSmallFile)));
  } else {
    text.emplace(static_cast<size_t>(status.st_size), '\0');
    size_t size = 0;
    ssize_t got = 0;
    while (size < text->size() && (got = read(fd, text->data() + size, text->size() - size)) > 0) {
      size += static_cast<size_t>(got);
    }
    text->resize(size);
  }
  close(fd);
  return text;
}

void CheckHostForEdge(const Config& config, const HostSources& sources, HostFindings& findings) {
  const Edge& edge = config.edge;
  if (edge.cores.empty()) return;
  for (size_t i = 0; i < edge.listeners.size(); ++i) {
    CheckListening(config, fmt::format("edge.listeners[{}].listen", i), edge.listeners[i].listen,
                   sources, findings);
  }
  CheckCertificates(config, sources.now ? sources.now() : time(nullptr), findings);
  CheckEdgePlaces(config, sources, findings);
}

void CheckEdgePlaces(const Config& config, const HostSources& sources, HostFindings& findings) {
  const Edge& edge = config.edge;
  if (edge.cores.empty()) return;
  CheckCores(config, "edge.cores", edge.cores, sources, findings);
  for (size_t i = 0; i < edge.hosts.size(); ++i) {
    CheckHostFiles(config, edge.hosts[i], fmt::format("edge.hosts[{}]", i), findings);
  }
  if (!edge.access_log.file.empty()) {
    CheckLogFile(config, "edge.access_log.file", edge.access_log.file, findings);
  }
}

}  // namespace bridgehead::config
