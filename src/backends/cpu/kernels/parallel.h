// Parallel loops of the row kernels, inside the current oneTBB arena.
#pragma once

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cstdint>

namespace plimsoll::cpu {

/// Elements below which a task costs more than it gains.
inline constexpr int64_t kParallelGrain = 32768;

inline int num_workers() { return tbb::this_task_arena::max_concurrency(); }

/// body(begin, end) over [0, n), each call at least `cost * (end - begin) >= kParallelGrain`.
template <typename Body>
void parallel_ranges(int64_t n, int64_t cost, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, kParallelGrain / std::max<int64_t>(cost, 1));
  if (n <= grain) {
    if (n > 0) body(int64_t{0}, n);
    return;
  }
  tbb::parallel_for(
      tbb::blocked_range<int64_t>(0, n, grain),
      [&](const tbb::blocked_range<int64_t>& r) { body(r.begin(), r.end()); },
      tbb::auto_partitioner());
}

}  // namespace plimsoll::cpu
