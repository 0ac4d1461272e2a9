// Arrays to files, streamed.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "memory/new_file.h"
#include "plimsoll/io.h"

namespace plimsoll::io {

using Sinks = std::vector<std::shared_ptr<memory::FileSink>>;

/// Evaluates, writes `header` and the arrays behind it, and commits the file of `total` bytes. The
/// arrays have it as their backing afterwards. REQUIRES: sinks as Evaluator::eval_into wants them.
void write_file(memory::NewFile& target, const std::string& header, uint64_t total,
                std::span<const array> arrays, const Sinks& sinks);
/// Row-major bytes when evaluated.
array row_major_of(const array& a);
/// As the functions of plimsoll/io.h, for tests of what goes wrong on the way.
void save_npy(memory::NewFile& file, const array& a);
void save_safetensors(memory::NewFile& file, const NamedArrays& arrays,
                      const FileMetadata& metadata);

}  // namespace plimsoll::io
