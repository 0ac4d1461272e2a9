// Short-time Fourier transforms.
#pragma once

#include <optional>
#include <string>

#include "plimsoll/array.h"

namespace plimsoll::fft {

/// Transforms of windowed frames of the last axis: [..., L] → [..., frequencies, frames].
array stft(const array& x, int64_t n_fft = 2048, std::optional<int64_t> hop_length = std::nullopt,
           std::optional<int64_t> win_length = std::nullopt,
           const std::optional<array>& window = std::nullopt, bool center = true,
           const std::string& pad_mode = "reflect", const std::string& norm = "backward",
           std::optional<bool> onesided = std::nullopt);
/// The inverse: frames windowed once more, added where they overlap, over the sum of squared
/// windows.
array istft(const array& stft_matrix, std::optional<int64_t> n_fft = std::nullopt,
            std::optional<int64_t> hop_length = std::nullopt,
            std::optional<int64_t> win_length = std::nullopt,
            const std::optional<array>& window = std::nullopt, bool center = true,
            const std::string& norm = "backward", std::optional<bool> onesided = std::nullopt,
            std::optional<int64_t> length = std::nullopt);

}  // namespace plimsoll::fft
