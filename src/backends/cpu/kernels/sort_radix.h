// A stable radix sort, byte by byte from the least, shared out over fixed chunks. The result of a
// stable sort is unique, so neither chunks nor threads can change it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "backends/cpu/kernels/partition.h"

namespace plimsoll::cpu {

/// A key with the position that it came from.
template <typename U>
struct KeyAt {
  U key;
  uint32_t at;
};

template <typename U>
U key_of(U item) {
  return item;
}
template <typename U>
U key_of(KeyAt<U> item) {
  return item.key;
}

inline constexpr int64_t kRadixChunk = 1 << 16;
inline constexpr int64_t kMostRadixChunks = 64;
inline constexpr int64_t kComparisonSort = 96;  // items below which comparing is faster

/// Chunks that are sorted side by side; histograms take 256 counters each.
inline int64_t radix_chunks(int64_t n) {
  return std::clamp<int64_t>(n / kRadixChunk, 1, kMostRadixChunks);
}

template <typename Item>
void count_bytes(const Item* items, int64_t n, int shift, uint64_t* count) {
  // Two tables, since runs of one digit would wait for their own counter.
  uint32_t even[256] = {}, odd[256] = {};
  int64_t i = 0;
  for (; i + 2 <= n; i += 2) {
    ++even[key_of(items[i]) >> shift & 255];
    ++odd[key_of(items[i + 1]) >> shift & 255];
  }
  if (i < n) ++even[key_of(items[i]) >> shift & 255];
  for (int d = 0; d < 256; ++d) count[d] = uint64_t{even[d]} + odd[d];
}

/// Turns counts into the first destination of each (digit, chunk); false where one digit has all.
inline bool place_bytes(uint64_t* count, int64_t chunks, int64_t n) {
  uint64_t next = 0;
  for (int d = 0; d < 256; ++d) {
    const uint64_t before = next;
    for (int64_t c = 0; c < chunks; ++c) next += std::exchange(count[c * 256 + d], next);
    if (next - before == static_cast<uint64_t>(n)) return false;
  }
  return true;
}

template <typename Item>
void move_bytes(const Item* items, int64_t n, int shift, uint64_t* place, Item* to) {
  constexpr int64_t kLineItems = 64 / sizeof(Item);
  for (int64_t i = 0; i < n; ++i) {
    Item* at = to + place[key_of(items[i]) >> shift & 255]++;
    // Each digit's next line is asked for early: stores to 256 places outrun the machine's
    // foresight.
    __builtin_prefetch(at + kLineItems, 1);
    *at = items[i];
  }
}

/// Sorts `items`, with `other` as large as it; returns which of them holds the result. `count` has
/// 256 * chunks counters.
template <typename Item>
Item* radix_sort(Item* items, Item* other, int64_t n, int key_bytes, int64_t chunks,
                 uint64_t* count) {
  if (n <= kComparisonSort) {
    // Stable: insertion moves an item only past greater ones.
    for (int64_t i = 1; i < n; ++i) {
      const Item item = items[i];
      int64_t j = i;
      for (; j > 0 && key_of(items[j - 1]) > key_of(item); --j) items[j] = items[j - 1];
      items[j] = item;
    }
    return items;
  }
  for (int shift = 0; shift < 8 * key_bytes; shift += 8) {
    run_tasks(chunks, [&](int64_t c) {
      const int64_t begin = piece_begin(n, chunks, c);
      count_bytes(items + begin, piece_begin(n, chunks, c + 1) - begin, shift, count + c * 256);
    });
    if (!place_bytes(count, chunks, n)) continue;
    run_tasks(chunks, [&](int64_t c) {
      const int64_t begin = piece_begin(n, chunks, c);
      move_bytes(items + begin, piece_begin(n, chunks, c + 1) - begin, shift, count + c * 256,
                 other);
    });
    std::swap(items, other);
  }
  return items;
}

}  // namespace plimsoll::cpu
