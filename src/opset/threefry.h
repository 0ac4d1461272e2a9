// Threefry-2x32 with 20 rounds: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
#pragma once

#include <array>
#include <cstdint>

namespace plimsoll::threefry {

struct Words {
  uint32_t a, b;
};

// Inlined into kernels of every target, so that they are vectorised there.
#define PLIMSOLL_INLINE [[gnu::always_inline]] inline

template <int kBits>
PLIMSOLL_INLINE uint32_t rotate(uint32_t x) {
  return x << kBits | x >> (32 - kBits);
}

template <int kA, int kB, int kC, int kD>
PLIMSOLL_INLINE Words four_rounds(Words x, uint32_t add_a, uint32_t add_b) {
  x.a += x.b, x.b = rotate<kA>(x.b) ^ x.a;
  x.a += x.b, x.b = rotate<kB>(x.b) ^ x.a;
  x.a += x.b, x.b = rotate<kC>(x.b) ^ x.a;
  x.a += x.b, x.b = rotate<kD>(x.b) ^ x.a;
  return {x.a + add_a, x.b + add_b};
}

PLIMSOLL_INLINE Words block(uint32_t key0, uint32_t key1, Words x) {
  const uint32_t key2 = key0 ^ key1 ^ 0x1bd11bdau;
  x = {x.a + key0, x.b + key1};
  x = four_rounds<13, 15, 26, 6>(x, key1, key2 + 1);
  x = four_rounds<17, 29, 16, 24>(x, key2, key0 + 2);
  x = four_rounds<13, 15, 26, 6>(x, key0, key1 + 3);
  x = four_rounds<17, 29, 16, 24>(x, key1, key2 + 4);
  return four_rounds<13, 15, 26, 6>(x, key2, key0 + 5);
}

/// A stream of `words` words: counter pairs (i, i + half) give word i and word i + half. Where the
/// number is odd, the pair of the middle word has 0 in place of a second counter.
struct Stream {
  uint32_t key0, key1, words;
  PLIMSOLL_INLINE uint32_t word(uint32_t i) const {
    const uint32_t half = words - words / 2;
    const bool first = i < half;
    const uint32_t partner = i + half < words ? i + half : 0;
    const Words out = block(key0, key1, {first ? i : i - half, first ? partner : i});
    return first ? out.a : out.b;
  }
};

#undef PLIMSOLL_INLINE

/// The first of the two keys that a key is split into.
inline std::array<uint32_t, 2> first_of_split(std::array<uint32_t, 2> key) {
  const Stream both{key[0], key[1], 4};
  return {both.word(0), both.word(1)};
}

}  // namespace plimsoll::threefry
