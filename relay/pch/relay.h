// Precompiled: what most of the relay's files read anyway. Each file still includes what it uses.
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>
#include <google/protobuf/repeated_field.h>
