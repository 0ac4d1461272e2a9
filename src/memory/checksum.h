// A fast 64-bit checksum against torn and corrupted blocks; not against an adversary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace plimsoll::memory {

/// Every step is a bijection of its lane, so a change confined to one 8-byte word always shows.
uint64_t checksum(std::span<const std::byte> bytes) noexcept;

}  // namespace plimsoll::memory
