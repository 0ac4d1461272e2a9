#include "backends/cpu/kernels/fft_transform.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "backends/cpu/float_mode.h"
#include "backends/cpu/kernels/parallel.h"
#include "backends/cpu/kernels/partition.h"

namespace plimsoll::cpu::fft {

Radices radices_of(int64_t n) {
  Radices r;
  int twos = 0;
  for (; n % 2 == 0; n /= 2) ++twos;
  // As few passes as there can be, without one of 2 where there are several.
  const int fours = twos % 3 == 2 ? 1 : twos % 3 == 1 && twos > 1 ? 2 : 0;
  for (int i = 0; i < (twos - 2 * fours) / 3; ++i) r.list.push_back(8);
  for (int i = 0; i < fours; ++i) r.list.push_back(4);
  if (twos == 1) r.list.push_back(2);
  for (int radix : {3, 5, 7, 11, 13})
    for (; n % radix == 0; n /= radix) r.list.push_back(radix);
  r.rest = n;
  return r;
}

StridedLoop other_axes(const device::Tensor& in, const device::Tensor& out, int axis) {
  StridedLoop loop{2};
  for (size_t d = 0; d < in.shape.size(); ++d)
    if (static_cast<int>(d) != axis)
      loop.add(in.shape[d], {in.strides[d] * floats_of(in), out.strides[d] * floats_of(out)});
  loop.collapse();
  return loop;
}

Split take(float*& at, int64_t n) {
  const Split s{at, at + n};
  at += 2 * n;
  return s;
}

// Each is a product, in double, of one of a few angles apart and one of the angles between them.
void fill_roots(Split roots, int64_t n, int64_t count) {
  constexpr int64_t kBetween = 512;
  double cosine[kBetween], sine[kBetween];
  const double turn = -2 * std::numbers::pi / static_cast<double>(n);
  for (int64_t k = 0; k < std::min(count, kBetween); ++k) {
    cosine[k] = std::cos(turn * static_cast<double>(k));
    sine[k] = std::sin(turn * static_cast<double>(k));
  }
  parallel_ranges(ceil_div(count, kBetween), kBetween, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part * kBetween;
      const double c = std::cos(turn * static_cast<double>(first));
      const double s = std::sin(turn * static_cast<double>(first));
      for (int64_t k = 0; k < std::min(kBetween, count - first); ++k) {
        roots.re[first + k] = static_cast<float>(c * cosine[k] - s * sine[k]);
        roots.im[first + k] = static_cast<float>(c * sine[k] + s * cosine[k]);
      }
    }
  });
}

Split transform(Split a, Split b, Split roots, int64_t n, int64_t lines, bool parallel) {
  const Radices radices = radices_of(n);
  Pass pass{.in = a, .out = b, .roots = roots, .m = n, .stride = lines};
  for (int radix : radices.list) {
    pass.radix = radix;
    pass.m /= radix;
    pass.root_step = n / (pass.m * radix);
    const auto part = [&](int64_t p0, int64_t p1, int64_t q0, int64_t q1) {
      Pass t = pass;
      t.p0 = p0, t.p1 = p1, t.q0 = q0, t.q1 = q1;
      run_pass(t);
    };
    if (!parallel) {
      part(0, pass.m, 0, pass.stride);
    } else {
      const bool by_p = pass.m >= pass.stride;
      const int64_t extent = by_p ? pass.m : pass.stride;
      const int64_t pieces = std::min<int64_t>(2 * arena_threads(), extent);
      run_tasks(pieces, [&](int64_t i) {
        const ScopedFloatMode mode;
        const int64_t begin = piece_begin(extent, pieces, i);
        const int64_t end = piece_begin(extent, pieces, i + 1);
        if (by_p)
          part(begin, end, 0, pass.stride);
        else
          part(0, pass.m, begin, end);
      });
    }
    pass.stride *= radix;
    std::swap(pass.in, pass.out);
  }
  return pass.in;
}

}  // namespace plimsoll::cpu::fft
