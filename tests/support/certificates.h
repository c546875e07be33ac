// Certificates made for a test, as PEM files.
#pragma once

#include <string>
#include <vector>

namespace bridgehead::test {

struct MadeCertificate {
  std::string certificate_file, key_file;
};

// A certificate for `names`, signed by itself, with a key of type "EC" or "RSA". Written to
// DIRECTORY/NAME.crt and .key. `days`: from now on; negative: it has ended.
MadeCertificate MakeCertificate(const std::string& directory, const std::string& name,
                                const std::vector<std::string>& names,
                                const std::string& type = "EC", int days = 30);

}  // namespace bridgehead::test
