// Discrete Fourier transforms, in complex64. `norm`: "backward" scales inverses by 1 / n, "forward"
// the others, "ortho" both by 1 / sqrt(n).
#pragma once

#include <optional>
#include <string>

#include "plimsoll/array.h"

namespace plimsoll::fft {

/// Along one axis, cut or padded with zeros to n elements. rfft takes real numbers and gives the
/// first n / 2 + 1 terms; irfft takes those and gives n real numbers.
array fft(const array& a, std::optional<int64_t> n = std::nullopt, int64_t axis = -1,
          const std::string& norm = "backward");
array ifft(const array& a, std::optional<int64_t> n = std::nullopt, int64_t axis = -1,
           const std::string& norm = "backward");
array rfft(const array& a, std::optional<int64_t> n = std::nullopt, int64_t axis = -1,
           const std::string& norm = "backward");
array irfft(const array& a, std::optional<int64_t> n = std::nullopt, int64_t axis = -1,
            const std::string& norm = "backward");

/// Along several axes (all for nullopt), the last of which is the real one.
array fftn(const array& a, const std::optional<Dims>& s = std::nullopt,
           const std::optional<Dims>& axes = std::nullopt, const std::string& norm = "backward");
array ifftn(const array& a, const std::optional<Dims>& s = std::nullopt,
            const std::optional<Dims>& axes = std::nullopt, const std::string& norm = "backward");
array rfftn(const array& a, const std::optional<Dims>& s = std::nullopt,
            const std::optional<Dims>& axes = std::nullopt, const std::string& norm = "backward");
array irfftn(const array& a, const std::optional<Dims>& s = std::nullopt,
             const std::optional<Dims>& axes = std::nullopt, const std::string& norm = "backward");

/// The zero frequency moved to the middle of the axes (all for nullopt), and back.
array fftshift(const array& a, const std::optional<Dims>& axes = std::nullopt);
array ifftshift(const array& a, const std::optional<Dims>& axes = std::nullopt);
/// The frequencies of a transform's terms for samples d apart.
array fftfreq(int64_t n, double d = 1);
array rfftfreq(int64_t n, double d = 1);

}  // namespace plimsoll::fft
