// Arrays in files: npy, safetensors and GGUF. Loading is lazy: a file is opened once and an array's
// bytes are read by ranges when they are used; evicting them costs no write, since the file has
// them.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

using NamedArrays = std::vector<std::pair<std::string, array>>;
using FileMetadata = std::vector<std::pair<std::string, std::string>>;

struct Safetensors {
  NamedArrays arrays;
  FileMetadata metadata;
};

/// A number or a list of numbers, a text, or a list of texts.
using GgufValue = std::variant<array, std::string, std::vector<std::string>>;
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

struct Gguf {
  NamedArrays arrays;
  GgufMetadata metadata;
};

/// Raises ValueError where the file is not what its format says, IoError where it cannot be read.
/// The file must not be written while arrays of it are in use (a new version may be renamed over
/// it): reading a changed file raises IoError. Arrays below the pool's slab threshold (64 KiB) are
/// read at once.
array load_npy(const std::string& path);
Safetensors load_safetensors(const std::string& path);
/// A tensor of Q4_0, Q4_1 or Q8_0 comes as three arrays for quantized_matmul's affine mode with
/// groups of 32: `weight` packed in uint32 under its name, and under the name without ".weight"
/// ".scales" and ".biases" (float16), computed when they are used.
Gguf load_gguf(const std::string& path);

/// Evaluates and writes. The file takes its name when it is complete, so that an array may be saved
/// over the file that it was loaded from. bfloat16 has the npy type "<V2", as in MLX.
void save_npy(const std::string& path, const array& a);
/// Raises ValueError for a name that comes twice, is "__metadata__" or is not UTF-8.
void save_safetensors(const std::string& path, const NamedArrays& arrays,
                      const FileMetadata& metadata = {});
/// Raises ValueError for a name or key that comes twice, and for dtypes that GGUF does not have:
/// unsigned integers (in metadata it has them), bool and complex64.
void save_gguf(const std::string& path, const NamedArrays& arrays,
               const GgufMetadata& metadata = {});

}  // namespace plimsoll
