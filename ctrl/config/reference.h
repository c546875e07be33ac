// The reference page of the configuration, written from the schema.
#pragma once

#include <string>

namespace bridgehead::config {

// The whole of ctrl/config/REFERENCE.md. A test keeps the committed page equal to it.
std::string ReferenceMarkdown();

}  // namespace bridgehead::config
