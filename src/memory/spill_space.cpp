#include "memory/spill_space.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>

#include "base/check.h"

namespace plimsoll::memory {
namespace {

constexpr Bytes kGrowth = 64 * kMiB;  // the file grows by this where there is room

}  // namespace

void SpillSpace::grow(File& file, Bytes bytes) {
  if (bytes > limit_ - length_)
    throw IoError(
        fmt::format("[spill] expected to store {} more, got a limit of {} with {} in use; "
                    "raise PLIMSOLL_SPILL_LIMIT",
                    format_bytes(bytes), format_bytes(limit_), format_bytes(used())),
        ENOSPC);
  Bytes generous = std::min(std::max(bytes, kGrowth), limit_ - length_);
  try {
    guaranteed_ &= file.allocate(length_, generous);
  } catch (const IoError&) {
    file.truncate(length_);  // a failed allocation may leave a part behind
    if (generous == bytes) throw;
    generous = bytes;
    try {
      guaranteed_ &= file.allocate(length_, generous);
    } catch (const IoError&) {
      file.truncate(length_);
      throw;
    }
  }
  insert(length_, generous);
  length_ += generous;
  free_ += generous;
}

void SpillSpace::promise(File& file, Bytes bytes) {
  Bytes spare = free_ - promised_;
  if (bytes > spare) grow(file, bytes - spare);
  promised_ += bytes;
}

Fragments SpillSpace::take(File& file, Bytes bytes, Bytes* own_promise) {
  Bytes spare = free_ - promised_;
  Bytes from_promise = bytes > spare ? std::min(bytes - spare, *own_promise) : 0;
  if (bytes > spare + from_promise) grow(file, bytes - spare - from_promise);

  auto whole = std::find_if(holes_.begin(), holes_.end(),
                            [&](const auto& hole) { return hole.second >= bytes; });
  auto hole = whole != holes_.end() ? whole : holes_.begin();
  Fragments taken;
  taken.reserve(whole != holes_.end() ? 1 : holes_.size());  // nothing below can fail
  Bytes left = bytes;
  while (left != 0) {
    Bytes n = std::min(hole->second, left);
    taken.push_back({hole->first, n});
    auto node = holes_.extract(hole++);
    node.key() += n;
    node.mapped() -= n;
    if (!node.mapped()) node = {};
    if (node) hole = holes_.insert(hole, std::move(node));
    left -= n;
  }
  free_ -= bytes;
  promised_ -= from_promise;
  *own_promise -= from_promise;
  return taken;
}

void SpillSpace::give(const Fragments& fragments) noexcept {
  for (const Fragment& f : fragments) {
    try {
      insert(f.offset, f.size);
      free_ += f.size;
    } catch (const std::bad_alloc&) {
      // No record of the hole: it counts as used until the process ends.
    }
  }
}

void SpillSpace::insert(uint64_t offset, Bytes size) {
  auto next = holes_.lower_bound(offset);
  if (next != holes_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += size;
      if (next != holes_.end() && next->first == offset + size) {
        before->second += next->second;
        holes_.erase(next);
      }
      return;
    }
  }
  if (next != holes_.end() && next->first == offset + size) {
    auto node = holes_.extract(next);
    node.key() = offset;
    node.mapped() += size;
    holes_.insert(std::move(node));
    return;
  }
  holes_.emplace(offset, size);
}

void SpillSpace::shrink(File& file) noexcept {
  if (holes_.empty()) return;
  auto last = std::prev(holes_.end());
  if (last->first + last->second != length_) return;
  Bytes cut = std::min(last->second, free_ - promised_);
  if (cut == 0) return;
  try {
    file.truncate(length_ - cut);
  } catch (const IoError&) {
    return;
  }
  last->second -= cut;
  if (last->second == 0) holes_.erase(last);
  length_ -= cut;
  free_ -= cut;
}

}  // namespace plimsoll::memory
