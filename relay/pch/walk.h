// Precompiled: what most of the walk's files read anyway. Each file still includes what it uses.
#include <memory>
#include <string>
#include <vector>

#include <absl/status/statusor.h>
