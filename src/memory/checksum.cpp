#include "memory/checksum.h"

#include <bit>
#include <cstring>

namespace plimsoll::memory {
namespace {

constexpr int kLanes = 8;
constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 ÷ golden ratio

uint64_t load(const std::byte* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

uint64_t step(uint64_t lane, uint64_t word) { return std::rotl((lane ^ word) * kOdd, 31); }

}  // namespace

uint64_t checksum(std::span<const std::byte> bytes) noexcept {
  uint64_t lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = kOdd * (2 * i + 1);
  const std::byte* p = bytes.data();
  size_t left = bytes.size();
  for (; left >= sizeof(lanes); left -= sizeof(lanes), p += sizeof(lanes))
    for (int i = 0; i < kLanes; ++i) lanes[i] = step(lanes[i], load(p + 8 * i));
  uint64_t sum = bytes.size();
  for (; left >= 8; left -= 8, p += 8) sum = step(sum, load(p));
  uint64_t tail = 0;
  if (left != 0) std::memcpy(&tail, p, left);
  sum = step(sum, tail);
  for (uint64_t lane : lanes) sum = step(sum, lane);
  return sum ^ (sum >> 29);
}

}  // namespace plimsoll::memory
