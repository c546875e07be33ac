// Media types of static files, by the end of their names.
//
// A table of our own: what a browser runs and what it only shows must not depend on which release
// of media-types or shared-mime-info a host has, or on whether it has one at all. Neither says how
// texts are encoded, source maps are in neither, and scripts have had three types over the
// years. What is not in the table is application/octet-stream: a browser saves it and runs nothing.
#pragma once

#include <string_view>

namespace bridgehead::proxy {

// The value of Content-Type; texts are UTF-8. `path`: of the file, its ending in any case.
std::string_view ContentTypeOf(std::string_view path);

}  // namespace bridgehead::proxy
