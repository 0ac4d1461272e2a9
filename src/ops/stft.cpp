// Short-time Fourier transforms, made of frames (views), windows and transforms.
#include "plimsoll/ops/stft.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/complex.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/fft.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/reinterpret.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kStft = composite(
    "stft", boxed<&fft::stft>::call,
    "fft.stft(x: array, n_fft: int = 2048, hop_length: None | int = None, win_length: None | int = "
    "None, window: None | array = None, center: bool = True, pad_mode: str = 'reflect', norm: str "
    "= "
    "'backward', onesided: None | bool = None, stream: None | Stream | Device = None) -> array",
    R"(Fourier transforms of overlapping frames of the last axis: [..., L] to [..., frequencies, frames].

Frames of ``n_fft`` elements begin ``hop_length`` (n_fft // 4) apart and are multiplied by ``window``
(1-d, or ones of ``win_length``), which zeros around it make as long. With ``center`` the axis is first
padded by n_fft // 2 at both ends (``pad_mode`` "reflect", "constant" or "edge"), so that frame t is
centred at t hop_length. ``onesided`` (real input's default) keeps n_fft // 2 + 1 frequencies. Raises
ValueError for lengths that do not fit.

Example:
    >>> mx.fft.stft(mx.ones((16,)), 8).shape
    (5, 9)
)");

constinit const OpDef kIstft = composite(
    "istft", boxed<&fft::istft>::call,
    "fft.istft(stft_matrix: array, n_fft: None | int = None, hop_length: None | int = None, "
    "win_length: None | int = None, window: None | array = None, center: bool = True, norm: str = "
    "'backward', onesided: None | bool = None, length: None | int = None, stream: None | Stream | "
    "Device = None) -> array",
    R"(The real signal whose stft is given: [..., frequencies, frames] to [..., L], float32.

Frames are transformed back, multiplied by the window, added where they overlap, and divided by the
sum of the squared windows (0 where that is 0). Arguments as stft's; ``onesided`` is True unless given,
and ``n_fft`` then 2 (frequencies - 1). ``length`` cuts or pads with zeros. Raises ValueError for
lengths that do not fit.

Example:
    >>> mx.fft.istft(mx.fft.stft(mx.array([1.0, 2.0, 3.0, 4.0]), 4), 4)
    array([1, 2, 3, 4], dtype=float32)
)");

/// Elements [begin, end) of the last axis.
array cut(const array& a, int64_t begin, int64_t end) {
  Dims start(static_cast<size_t>(a.ndim()), 0), stop(a.shape().begin(), a.shape().end());
  start[a.ndim() - 1] = begin;
  stop[a.ndim() - 1] = end;
  return slice(a, start, stop);
}

array padded(const array& a, int64_t before, int64_t after, const std::string& mode) {
  Dims width(static_cast<size_t>(2 * a.ndim()), 0);
  width[2 * a.ndim() - 2] = before;
  width[2 * a.ndim() - 1] = after;
  return pad(a, width, mode);
}

/// Lengths, and the window with zeros around it.
struct Frames {
  int64_t size, hop;
  array window;
};

Frames frames_of(int64_t n_fft, std::optional<int64_t> hop_length,
                 std::optional<int64_t> win_length, const std::optional<array>& window,
                 const char* op) {
  PLIMSOLL_CHECK(n_fft > 0, ValueError, "[{}] expected a positive n_fft, got {}", op, n_fft);
  const int64_t hop = hop_length.value_or(n_fft / 4);
  PLIMSOLL_CHECK(hop > 0, ValueError, "[{}] expected a positive hop_length, got {}", op, hop);
  PLIMSOLL_CHECK(!window || window->ndim() == 1, ValueError,
                 "[{}] expected a window with one axis, got shape {}", op,
                 window ? to_string(window->shape()) : "");
  const int64_t n = window ? window->shape(0) : win_length.value_or(n_fft);
  PLIMSOLL_CHECK(n > 0 && n <= n_fft, ValueError,
                 "[{}] expected a window of 1 to n_fft = {} elements, got {}", op, n_fft, n);
  array w = window ? cast(*window, Dtype::kFloat32) : ones({n});
  const int64_t left = (n_fft - n) / 2;
  return {n_fft, hop, n == n_fft ? w : padded(w, left, n_fft - n - left, "constant")};
}

/// [..., L] → [..., frames, size], a view.
array framed(const array& x, const Frames& f) {
  const int64_t length = x.shape(-1), count = (length - f.size) / f.hop + 1;
  Shape shape(x.shape().begin(), x.shape().end() - 1);
  Dims strides;
  for (int d = 0; d + 1 < x.ndim(); ++d) strides.push_back(row_major(x.shape())[d]);
  shape.push_back(count);
  shape.push_back(f.size);
  strides.push_back(f.hop);
  strides.push_back(1);
  return as_strided(x, shape, strides);
}

/// [..., frames, size] → [..., L], added where they overlap.
array overlapped(const array& frames, const Frames& f) {
  const int64_t count = frames.shape(-2), length = f.size + f.hop * (count - 1);
  const auto numbers = [](int64_t n) { return arange(int64_t{0}, n, int64_t{1}, Dtype::kInt32); };
  array at = expand_dims(numbers(count) * scalar(f.hop), {-1}) + numbers(f.size);
  Shape shape(frames.shape().begin(), frames.shape().end() - 2);
  shape.push_back(length);
  return scatter(zeros(shape), flatten(at), flatten(frames, -2, -1), frames.ndim() - 2, "add");
}

}  // namespace

OpList stft_ops() {
  static constexpr const OpDef* kOps[] = {&kStft, &kIstft};
  return kOps;
}

}  // namespace ops

namespace fft {

array stft(const array& x, int64_t n_fft, std::optional<int64_t> hop_length,
           std::optional<int64_t> win_length, const std::optional<array>& window, bool center,
           const std::string& pad_mode, const std::string& norm, std::optional<bool> onesided) {
  using namespace ops;
  PLIMSOLL_CHECK(x.ndim() > 0, ValueError, "[stft] expected at least 1 axis, got a 0-d array");
  const Frames f = frames_of(n_fft, hop_length, win_length, window, "stft");
  const bool is_complex = x.dtype() == Dtype::kComplex64;
  array signal = is_complex ? x : cast(x, Dtype::kFloat32);
  if (center) signal = padded(signal, n_fft / 2, n_fft / 2, pad_mode);
  PLIMSOLL_CHECK(signal.shape(-1) >= n_fft, ValueError,
                 "[stft] expected an input of at least n_fft = {} elements, got {}", n_fft,
                 signal.shape(-1));
  array frames = framed(signal, f) * f.window;
  array out = onesided.value_or(!is_complex) ? rfft(frames, std::nullopt, -1, norm)
                                             : fft(frames, std::nullopt, -1, norm);
  return swapaxes(out, -1, -2);
}

array istft(const array& stft_matrix, std::optional<int64_t> n_fft,
            std::optional<int64_t> hop_length, std::optional<int64_t> win_length,
            const std::optional<array>& window, bool center, const std::string& norm,
            std::optional<bool> onesided, std::optional<int64_t> length) {
  using namespace ops;
  PLIMSOLL_CHECK(stft_matrix.ndim() >= 2 && stft_matrix.shape(-1) > 0, ValueError,
                 "[istft] expected frequencies and at least 1 frame, got shape {}",
                 to_string(stft_matrix.shape()));
  const bool half = onesided.value_or(true);
  const int64_t terms = stft_matrix.shape(-2);
  const int64_t size = n_fft.value_or(half ? 2 * (terms - 1) : terms);
  const Frames f = frames_of(size, hop_length, win_length, window, "istft");
  array spectra = swapaxes(stft_matrix, -1, -2);
  array frames = half ? irfft(spectra, size, -1, norm) : real(ifft(spectra, size, -1, norm));
  const int64_t count = frames.shape(-2);
  array sum = overlapped(frames * f.window, f);
  array weight = overlapped(broadcast_to(f.window * f.window, {count, size}), f);
  array reached = greater(weight, array(1e-10, Dtype::kFloat32));
  array out =
      where(reached, sum / where(reached, weight, constant_like(1, weight)), constant_like(0, sum));
  if (center) {
    const int64_t all = out.shape(-1), edge = std::min(size / 2, all);
    out = cut(out, edge, std::max(edge, all - size / 2));
  }
  if (!length) return out;
  PLIMSOLL_CHECK(*length >= 0, ValueError, "[istft] expected a length of at least 0, got {}",
                 *length);
  const int64_t have = out.shape(-1);
  return *length <= have ? cut(out, 0, *length) : padded(out, 0, *length - have, "constant");
}

}  // namespace fft
}  // namespace plimsoll
