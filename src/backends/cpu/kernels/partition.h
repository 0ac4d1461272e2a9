// How the structured kernels share work, and what part of the problem a call covers.
#pragma once

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cstdint>

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Bytes of work below which a second thread costs more than it gains.
inline constexpr int64_t kSerialBytes = 64 << 10;

inline int64_t arena_threads() { return tbb::this_task_arena::max_concurrency(); }

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Pieces that `bytes` of work are worth, at most `most`.
inline int64_t pieces_for(int64_t bytes, int64_t most) {
  return std::clamp<int64_t>(bytes / kSerialBytes, 1, std::max<int64_t>(most, 1));
}

/// Start of piece i of `pieces` over [0, n).
inline int64_t piece_begin(int64_t n, int64_t pieces, int64_t i) { return n * i / pieces; }

/// body(i) for each i in [0, n), inline where n is 1.
template <typename Body>
void run_tasks(int64_t n, const Body& body) {
  if (n == 1) {
    body(int64_t{0});
  } else if (n > 1) {
    tbb::parallel_for(
        tbb::blocked_range<int64_t>(0, n, 1),
        [&](const tbb::blocked_range<int64_t>& r) {
          for (int64_t i = r.begin(); i < r.end(); ++i) body(i);
        },
        tbb::simple_partitioner());
  }
}

/// The window of the op's tiling axis `axis`; all of [0, extent) where the call has none.
inline TileWindow window_of(const device::KernelArgs& args, int axis, int64_t extent) {
  for (const TileWindow& w : args.windows)
    if (w.axis == axis) return w;
  return {axis, 0, extent, extent};
}

}  // namespace plimsoll::cpu
