// Reads the JSON of a safetensors header without building a tree of it: three levels, known keys.
#pragma once

#include <string>
#include <string_view>

#include "io/safetensors.h"

namespace plimsoll::io {

/// Fills entries and metadata. Raises ValueError naming `file`; offsets are not checked yet.
void parse_safetensors_json(std::string_view text, const std::string& file,
                            SafetensorsHeader& header);
/// The format's name of a dtype.
std::string_view safetensors_name(Dtype dtype);
/// A JSON string. Raises ValueError where the text is not UTF-8.
std::string json_string(const std::string& text);

}  // namespace plimsoll::io
