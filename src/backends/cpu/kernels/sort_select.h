// Sorts what is not in memory at once: each pass over a row selects the items of one output tile,
// the least of those that no pass gave out before. Among equal keys the order is that of arrival,
// as in the stable sort of the whole.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>

#include "backends/cpu/kernels/partition.h"
#include "backends/cpu/kernels/sort_radix.h"

namespace plimsoll::cpu {

/// Where a row stands.
struct Selection {
  uint64_t bound = 0;   // key of the last item that was given out
  int64_t given = 0;    // items with that key that were
  int64_t passed = 0;   // of these, met in this pass
  int64_t kept = 0;     // sorted items
  int64_t waiting = 0;  // items that are not merged yet
};

/// Items that wait before they are merged into a tile of `n`.
inline int64_t waiting_room(int64_t n) { return std::max((n + 1) / 2, std::min(n, int64_t{1024})); }

/// Memory of a selection of `most` items: `kept` has room for these, the others for waiting_room.
template <typename Item>
struct Selector {
  using Key = decltype(key_of(Item{}));

  Selection& state;
  Item *kept, *waiting, *other;
  uint64_t* counters;  // 256 * chunks
  int64_t most, chunks;
  int key_bytes;

  /// The next n items of the row, make(i) each.
  template <typename Make>
  void take(int64_t n, const Make& make) {
    const int64_t room = waiting_room(most);
    for (int64_t i = 0; i < n;) {
      const int64_t count = std::min(n - i, room - state.waiting);
      gather(i, count, make);
      i += count;
      if (state.waiting > room / 2) merge();
    }
  }

  /// Ends the pass; `kept` has all `most` items.
  void finish() {
    merge();
    const Key last = key_of(kept[most - 1]);
    int64_t equal = 1;
    while (equal < most && key_of(kept[most - 1 - equal]) == last) ++equal;
    state.given = equal + (state.given > 0 && last == state.bound ? state.given : 0);
    state.bound = last;
  }

 private:
  // Adds those of `count` items that were not given out and are not past the tile to the waiting.
  template <typename Make>
  void gather(int64_t begin, int64_t count, const Make& make) {
    Key top = std::numeric_limits<Key>::max();
    if (state.kept == most) {
      // A later item is past the last one even where they are equal.
      if (key_of(kept[most - 1]) == 0) return;
      top = static_cast<Key>(key_of(kept[most - 1]) - 1);
    }
    const Key bound = static_cast<Key>(state.bound);
    std::array<int64_t, kMostRadixChunks> skip{}, found{};
    int64_t left = state.given - state.passed;
    if (left > 0) {
      run_tasks(chunks, [&](int64_t c) {
        int64_t equal = 0;
        for (int64_t i = piece_begin(count, chunks, c); i < piece_begin(count, chunks, c + 1); ++i)
          equal += key_of(make(begin + i)) == bound;
        skip[c] = equal;
      });
      for (int64_t c = 0; c < chunks; ++c) {
        skip[c] = std::min(skip[c], left);
        left -= skip[c];
      }
      state.passed = state.given - left;
    }
    Item* to = waiting + state.waiting;
    run_tasks(chunks, [&](int64_t c) {
      const int64_t first = piece_begin(count, chunks, c), end = piece_begin(count, chunks, c + 1);
      int64_t at = first, skips = skip[c];
      for (int64_t i = first; i < end; ++i) {
        const Item item = make(begin + i);
        const Key key = key_of(item);
        const bool skipped = (key == bound) & (skips > 0);
        skips -= skipped;
        to[at] = item;
        at += (key >= bound) & (key <= top) & !skipped;
      }
      found[c] = at - first;
    });
    for (int64_t c = 0; c < chunks; ++c) {
      const Item* from = to + (piece_begin(count, chunks, c) - piece_begin(count, chunks, 0));
      Item* end = waiting + state.waiting;
      if (end != from) std::copy(from, from + found[c], end);
      state.waiting += found[c];
    }
  }

  // Keeps the least of what is kept and what waits.
  void merge() {
    const int64_t n = std::exchange(state.waiting, 0);
    if (n == 0) return;
    const Item* sorted =
        radix_sort(waiting, other, n, key_bytes, std::min(chunks, radix_chunks(n)), counters);
    int64_t i = state.kept, j = n;
    for (int64_t over = i + j - most; over > 0; --over) {
      const bool drop = j > 0 && (i == 0 || key_of(kept[i - 1]) <= key_of(sorted[j - 1]));
      j -= drop;
      i -= !drop;
    }
    // From the end on, so that nothing is overwritten before it is read.
    int64_t at = state.kept = i + j;
    while (i > 0 && j > 0) {
      const bool old = key_of(kept[i - 1]) > key_of(sorted[j - 1]);
      kept[--at] = old ? kept[i - 1] : sorted[j - 1];
      i -= old;
      j -= !old;
    }
    std::copy(sorted, sorted + j, kept);
  }
};

}  // namespace plimsoll::cpu
