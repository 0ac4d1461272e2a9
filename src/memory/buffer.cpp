#include "memory/buffer.h"

#include "base/check.h"
#include "memory/block_allocator.h"
#include "memory/file.h"
#include "memory/pool.h"

namespace plimsoll::memory {

BufferRef::BufferRef(const BufferRef& o) noexcept : buffer_(o.buffer_) {
  if (buffer_ != nullptr) buffer_->references_.fetch_add(1, std::memory_order_relaxed);
}

BufferRef::~BufferRef() {
  if (buffer_ != nullptr && buffer_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    buffer_->pool_->recycle(buffer_);
}

bool BufferRef::unique() const {
  return buffer_ != nullptr && buffer_->references_.load(std::memory_order_acquire) == 1;
}

Pin& Pin::operator=(Pin&& o) noexcept {
  if (this != &o) {
    release();
    buffer_ = std::move(o.buffer_);
    range_ = o.range_;
  }
  return *this;
}

std::byte* Pin::data() const { return buffer_ ? buffer_->base_ + range_.begin : nullptr; }

void Pin::release() noexcept {
  if (!buffer_) return;
  buffer_->unpin(range_);
  buffer_ = BufferRef();
}

ExportPin& ExportPin::operator=(ExportPin&& o) noexcept {
  if (this != &o) {
    release();
    pin_ = std::move(o.pin_);
    pool_ = std::exchange(o.pool_, nullptr);
    id_ = o.id_;
  }
  return *this;
}

void ExportPin::release() noexcept {
  if (pool_ == nullptr) return;
  // Whoever held the view may have written after its bytes were copied to the store.
  pin_.buffer_->mark_written(pin_.range_);
  pin_.buffer_->exports_.fetch_sub(1, std::memory_order_relaxed);
  pin_.release();
  std::exchange(pool_, nullptr)->remove_export(id_);  // last: somebody may wait for the room
}

void Buffer::check_range(ByteRange range) const {
  if (range.begin > range.end || range.end > size_)
    throw Error(fmt::format("[Buffer] expected a range inside {} bytes, got [{}, {})", size_,
                            range.begin, range.end));
}

Buffer::Span Buffer::touched(ByteRange range) const {
  if (range.empty()) return {0, 0};
  return {range.begin / extent_bytes_, (range.end - 1) / extent_bytes_ + 1};
}

Buffer::Span Buffer::covered(ByteRange range) const {
  if (range.empty()) return {0, 0};
  size_t begin = (range.begin + extent_bytes_ - 1) / extent_bytes_;
  size_t end = range.end == size_ ? num_extents_ : range.end / extent_bytes_;
  return {begin, std::max(begin, end)};
}

ByteRange Buffer::bytes_of(size_t extent) const {
  Bytes begin = extent * extent_bytes_;
  return {begin, std::min(size_, begin + extent_bytes_)};
}

ByteRange Buffer::pages_of(size_t extent) const {
  ByteRange r = bytes_of(extent);
  return {r.begin, round_up(r.end, page_bytes_)};
}

ByteRange Buffer::widen(ByteRange range) const {
  check_range(range);
  MutexLock lock(mutex_);
  Span s = touched(range);
  if (s.begin == s.end) return {range.begin, range.begin};
  return {bytes_of(s.begin).begin, bytes_of(s.end - 1).end};
}

ExtentState Buffer::extent_state(size_t extent) const {
  if (small_) return ExtentState::kResident;
  MutexLock lock(mutex_);
  PLIMSOLL_ASSERT(extent < num_extents_);
  return extents_[extent].state;
}

bool Buffer::resident(ByteRange range) const {
  check_range(range);
  if (small_) return true;
  MutexLock lock(mutex_);
  Span s = touched(range);
  for (size_t i = s.begin; i < s.end; ++i)
    if (!extents_[i].in_memory()) return false;
  return true;
}

template <typename Count>
Bytes Buffer::sum_charges(ByteRange range, Count count) const {
  check_range(range);
  if (small_) return 0;
  MutexLock lock(mutex_);
  Span s = touched(range);
  Bytes sum = 0;
  for (size_t i = s.begin; i < s.end; ++i)
    if (count(extents_[i])) sum += charge_of(i);
  return sum;
}

Bytes Buffer::resident_bytes(ByteRange range) const {
  return sum_charges(range, [](const Extent& e) { return e.in_memory(); });
}

Bytes Buffer::bytes_missing(ByteRange range) const {
  return sum_charges(range, [](const Extent& e) {
    return e.state == ExtentState::kEmpty || e.state == ExtentState::kSpilled;
  });
}

Bytes Buffer::bytes_spilled(ByteRange range) const {
  return sum_charges(range, [](const Extent& e) { return e.state == ExtentState::kSpilled; });
}

Bytes Buffer::evictable(ByteRange range) const {
  return sum_charges(range,
                     [](const Extent& e) { return e.state == ExtentState::kClean && e.pins == 0; });
}

Bytes Buffer::evictable_after_write(ByteRange range) const {
  return sum_charges(
      range, [](const Extent& e) { return e.in_memory() && e.pins == (e.writing ? 1u : 0u); });
}

std::pair<ByteRange, ByteRange> Buffer::read_modify(ByteRange range) const {
  std::pair<ByteRange, ByteRange> edges;
  check_range(range);
  if (small_) return edges;
  MutexLock lock(mutex_);
  Span s = touched(range);
  Span whole = covered(range);
  for (size_t i = s.begin; i < s.end; ++i) {
    if (i >= whole.begin && i < whole.end) {
      i = whole.end - 1;
      continue;
    }
    if (extents_[i].state == ExtentState::kSpilled)
      (edges.first.empty() ? edges.first : edges.second) = bytes_of(i);
  }
  return edges;
}

void Buffer::forget_backing(Extent& extent) noexcept {
  if (extent.slot != kNoSlot) store_->free_slot(std::exchange(extent.slot, kNoSlot));
  extent.in_file = false;
}

bool Buffer::commit_pages(Span s) {
  for (size_t i = s.begin; i < s.end;) {
    if (extents_[i].in_memory() || extents_[i].state == ExtentState::kLoading) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < s.end && !extents_[end].in_memory() &&
           extents_[end].state != ExtentState::kLoading)
      ++end;
    // Pages exist from the first touch on, so there is nothing to undo for earlier runs.
    Bytes bytes = pages_of(end - 1).end - pages_of(i).begin;
    if (!pool_->commit_pages(address_of(i), bytes, huge_)) return false;
    i = end;
  }
  return true;
}

void Buffer::commit(ByteRange range, Reservation& from) {
  check_range(range);
  if (small_) return;
  MutexLock lock(mutex_);
  Span s = touched(range);
  Span whole = covered(range);
  Bytes need = 0;
  for (size_t i = s.begin; i < s.end; ++i) {
    const Extent& e = extents_[i];
    if (e.state == ExtentState::kLoading)
      throw Error("[Buffer::commit] expected no transfer under way; wait for its ticket first");
    if (e.state == ExtentState::kSpilled && (i < whole.begin || i >= whole.end))
      throw Error(fmt::format(
          "[Buffer::commit] expected [{}, {}) to cover its spilled extents whole; read {} first",
          range.begin, range.end, i));
    if (!e.in_memory()) need += charge_of(i);
  }
  PLIMSOLL_CHECK(from.bytes() >= need, Error,
                 "[Buffer::commit] expected a reservation of {} bytes, got {}", need, from.bytes());
  ensure_address();
  if (!commit_pages(s))
    throw OutOfMemory(fmt::format("[Buffer::commit] the system refused {} bytes", need));
  charge_.merge(from.split(need));
  for (size_t i = s.begin; i < s.end; ++i) {
    Extent& e = extents_[i];
    if (e.in_memory()) continue;
    forget_backing(e);
    e.state = ExtentState::kResident;
  }
}

template <typename Take>
Reservation Buffer::give_back(Span s, Take take) {
  Bytes bytes = 0;
  for (size_t i = s.begin; i < s.end; ++i) {
    size_t begin = i;
    while (i < s.end && take(extents_[i])) ++i;
    if (i == begin) continue;
    ByteRange pages{pages_of(begin).begin, pages_of(i - 1).end};
    bytes += pages.size();
    if (fine_) pages = with_page_tables(begin, i);
    pool_->decommit_pages(base_ + pages.begin, pages.size());
  }
  return charge_.split(bytes);
}

Reservation Buffer::evict_reserved(ByteRange range) {
  check_range(range);
  if (small_) return {};
  MutexLock lock(mutex_);
  Span s = touched(range);
  return give_back(s, [](Extent& e) {
    if (e.state != ExtentState::kClean || e.pins != 0) return false;
    e.state = ExtentState::kSpilled;
    return true;
  });
}

Block Buffer::take_away_block() {
  Bytes committed = charge_.bytes();
  Block block{base_, block_bytes_, committed, arena_, huge_, std::move(charge_)};
  base_ = nullptr;
  charge_ = {};
  return block;
}

template <typename May, typename Change>
bool Buffer::hand_to_cache(May may, Change change) {
  if (small_) return false;
  Block block;
  {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < num_extents_; ++i)
      if (extents_[i].pins != 0 || !may(extents_[i])) return false;
    for (size_t i = 0; i < num_extents_; ++i) change(extents_[i]);
    block = take_away_block();
  }
  pool_->release_block(std::move(block));
  return true;
}

bool Buffer::evict_to_cache() {
  return hand_to_cache([](const Extent& e) { return e.state == ExtentState::kClean; },
                       [](Extent& e) { e.state = ExtentState::kSpilled; });
}

bool Buffer::discard_to_cache() {
  return hand_to_cache([](const Extent& e) { return e.in_memory(); },
                       [this](Extent& e) NO_THREAD_SAFETY_ANALYSIS {
                         forget_backing(e);
                         e.state = ExtentState::kEmpty;
                       });
}

bool Buffer::has_block() const {
  if (small_) return true;
  MutexLock lock(mutex_);
  return base_ != nullptr;
}

Bytes Buffer::whole_bytes() const {
  if (!small_) {
    MutexLock lock(mutex_);
    if (charge_.bytes() != 0) return pages_of(num_extents_ - 1).end;
  }
  return pool_->shape_of(size_).bytes;
}

bool Buffer::take_block() {
  MutexLock lock(mutex_);
  if (base_ != nullptr) return false;
  for (size_t i = 0; i < num_extents_; ++i)
    if (extents_[i].state != ExtentState::kSpilled) return false;
  Block block;
  if (!pool_->take_block(pages_of(num_extents_ - 1).end, huge_, &block)) return false;
  base_ = block.base;
  block_bytes_ = block.bytes;
  arena_ = block.arena;
  charge_ = std::move(block.charge);
  prepaid_ = true;
  return true;
}

void Buffer::ensure_address() {
  if (base_ != nullptr) return;
  Block block;
  if (!pool_->take_address(pages_of(num_extents_ - 1).end, huge_, &block))
    throw OutOfMemory(
        fmt::format("[Buffer] expected an address range of {} bytes, got none", size_));
  base_ = block.base;
  block_bytes_ = block.bytes;
  arena_ = block.arena;
}

Reservation Buffer::discard_reserved(ByteRange range) {
  check_range(range);
  if (small_) return {};
  MutexLock lock(mutex_);
  Span s = covered(range);
  return give_back(s, [this](Extent& e) NO_THREAD_SAFETY_ANALYSIS {
    if (e.state == ExtentState::kLoading || e.pins != 0) return false;
    bool had_pages = e.in_memory();
    forget_backing(e);
    e.state = ExtentState::kEmpty;
    return had_pages;
  });
}

void Buffer::mark_written(ByteRange range) {
  check_range(range);
  if (small_) return;
  MutexLock lock(mutex_);
  Span s = touched(range);
  for (size_t i = s.begin; i < s.end; ++i)
    PLIMSOLL_CHECK(extents_[i].in_memory(), Error,
                   "[Buffer::mark_written] expected extent {} to be resident", i);
  for (size_t i = s.begin; i < s.end; ++i) {
    Extent& e = extents_[i];
    e.rewritten = e.writing;
    forget_backing(e);
    e.state = ExtentState::kResident;
  }
}

Pin Buffer::pin(ByteRange range) {
  check_range(range);
  if (small_) {
    small_pins_.fetch_add(1, std::memory_order_relaxed);
  } else {
    MutexLock lock(mutex_);
    Span s = touched(range);
    for (size_t i = s.begin; i < s.end; ++i)
      PLIMSOLL_CHECK(extents_[i].in_memory(), Error,
                     "[Buffer::pin] expected extent {} of {} to be resident", i, num_extents_);
    for (size_t i = s.begin; i < s.end; ++i) ++extents_[i].pins;
  }
  references_.fetch_add(1, std::memory_order_relaxed);
  return Pin(BufferRef(this), range);
}

void Buffer::unpin(ByteRange range) noexcept {
  if (small_) {
    small_pins_.fetch_sub(1, std::memory_order_release);
    return;
  }
  MutexLock lock(mutex_);
  Span s = touched(range);
  for (size_t i = s.begin; i < s.end; ++i) --extents_[i].pins;
}

bool Buffer::pinned() const {
  if (small_) return small_pins_.load(std::memory_order_acquire) != 0;
  MutexLock lock(mutex_);
  for (size_t i = 0; i < num_extents_; ++i)
    if (extents_[i].pins != 0) return true;
  return false;
}

ExportPin Buffer::export_pin(std::string owner) {
  ExportPin result;
  result.pin_ = pin();
  Bytes bytes = small_ ? size_ : pages_of(num_extents_ - 1).end;
  result.id_ = pool_->add_export(std::move(owner), bytes);
  result.pool_ = pool_;
  exports_.fetch_add(1, std::memory_order_relaxed);
  return result;
}

void Buffer::set_source(std::shared_ptr<FileSource> source) {
  PLIMSOLL_CHECK(!small_, Error, "[Buffer::set_source] small buffers are always resident");
  MutexLock lock(mutex_);
  for (size_t i = 0; i < num_extents_; ++i)
    PLIMSOLL_CHECK(extents_[i].state == ExtentState::kEmpty, Error,
                   "[Buffer::set_source] expected an empty buffer");
  source_ = std::move(source);
  for (size_t i = 0; i < num_extents_; ++i) {
    extents_[i].state = ExtentState::kSpilled;
    extents_[i].in_file = true;
  }
}

void Buffer::set_sink(std::shared_ptr<FileSink> sink) {
  PLIMSOLL_CHECK(!small_, Error, "[Buffer::set_sink] small buffers are always resident");
  PLIMSOLL_CHECK(sink->size() == size_, Error,
                 "[Buffer::set_sink] expected a sink of {} bytes, got one of {}", size_,
                 sink->size());
  MutexLock lock(mutex_);
  for (size_t i = 0; i < num_extents_; ++i)
    PLIMSOLL_CHECK(extents_[i].state == ExtentState::kEmpty, Error,
                   "[Buffer::set_sink] expected an empty buffer");
  sink_ = std::move(sink);
}

bool Buffer::writes_to_sink() const { return sink_ != nullptr && !sink_->sealed(); }

void Buffer::write_to_sink(size_t extent) {
  ByteRange bytes = bytes_of(extent);
  sink_->write({address_of(extent), bytes.size()}, bytes.begin);
}

void Buffer::read_file(std::span<std::byte> to, Bytes offset) {
  if (source_ != nullptr)
    source_->read(to, offset);
  else
    sink_->read(to, offset);
}

void Buffer::adopt(Block block) {
  MutexLock lock(mutex_);
  base_ = block.base;
  block_bytes_ = block.bytes;
  arena_ = block.arena;
  if (block.committed != 0)
    for (size_t i = 0; i < num_extents_; ++i) extents_[i].state = ExtentState::kResident;
  charge_ = std::move(block.charge);
}

Block Buffer::abandon() noexcept {
  MutexLock lock(mutex_);
  if (base_ != nullptr && charge_.bytes() != pages_of(num_extents_ - 1).end) {
    Reservation gone = give_back({0, num_extents_}, [](Extent& e) { return e.in_memory(); });
  }
  for (size_t i = 0; i < num_extents_; ++i) forget_backing(extents_[i]);
  return take_away_block();
}

std::vector<Buffer::Transfer> Buffer::begin_write(ByteRange range, SlotOwner* store) {
  check_range(range);
  std::vector<Transfer> dirty;
  if (small_) return dirty;
  MutexLock lock(mutex_);
  Span s = touched(range);
  dirty.reserve(s.end - s.begin);
  PLIMSOLL_ASSERT(store_ == nullptr || store_ == store);
  store_ = store;
  for (size_t i = s.begin; i < s.end; ++i) {
    Extent& e = extents_[i];
    if (e.state != ExtentState::kResident || e.writing) continue;
    e.writing = true;
    e.rewritten = false;
    ++e.pins;
    dirty.push_back({i, kNoSlot});
  }
  return dirty;
}

bool Buffer::finish_write(size_t extent, uint32_t slot) noexcept {
  MutexLock lock(mutex_);
  Extent& e = extents_[extent];
  --e.pins;
  e.writing = false;
  if (std::exchange(e.rewritten, false)) return false;
  e.state = ExtentState::kClean;
  e.slot = slot;
  e.in_file = slot == kNoSlot;
  return true;
}

void Buffer::abandon_write(size_t extent) noexcept {
  MutexLock lock(mutex_);
  Extent& e = extents_[extent];
  --e.pins;
  e.writing = e.rewritten = false;
}

std::vector<Buffer::Transfer> Buffer::begin_read(ByteRange range, Reservation& from) {
  check_range(range);
  std::vector<Transfer> loads;
  if (small_) return loads;
  MutexLock lock(mutex_);
  Span s = touched(range);
  loads.reserve(s.end - s.begin);
  Bytes need = 0;
  if (!prepaid_)
    for (size_t i = s.begin; i < s.end; ++i)
      if (extents_[i].state == ExtentState::kSpilled) need += charge_of(i);
  PLIMSOLL_CHECK(from.bytes() >= need, Error,
                 "[SpillStore::read] expected a reservation of {} bytes, got {}", need,
                 from.bytes());
  ensure_address();
  for (size_t i = s.begin; i < s.end && !prepaid_; ++i) {
    if (extents_[i].state != ExtentState::kSpilled) continue;
    if (!pool_->commit_pages(address_of(i), charge_of(i), huge_))
      throw OutOfMemory(fmt::format("[SpillStore::read] the system refused {} bytes", need));
  }
  prepaid_ = false;
  charge_.merge(from.split(need));
  for (size_t i = s.begin; i < s.end; ++i) {
    Extent& e = extents_[i];
    if (e.state != ExtentState::kSpilled) continue;
    e.state = ExtentState::kLoading;
    loads.push_back({i, e.slot});
  }
  return loads;
}

Buffer::Look Buffer::look(ByteRange range) {
  check_range(range);
  if (small_)
    return {.state = ExtentState::kResident, .part = range, .pin = pin(range), .checked = {}};
  MutexLock lock(mutex_);
  const size_t extent = range.begin / extent_bytes_;
  const ByteRange bytes = bytes_of(extent);
  const Bytes unit = pool_->options().fine_extent_bytes;
  const Bytes begin = round_down(range.begin - bytes.begin, unit);
  const ByteRange checked{begin, std::min(begin + unit, bytes.size())};
  const ByteRange part{range.begin, std::min(range.end, bytes.begin + checked.end)};
  Extent& e = extents_[extent];
  Look result{.state = e.state, .part = part, .pin = {}, .checked = checked};
  if (e.in_memory()) {
    ++e.pins;
    references_.fetch_add(1, std::memory_order_relaxed);
    result.pin = Pin(BufferRef(this), part);
  } else if (e.state == ExtentState::kSpilled && e.slot != kNoSlot) {
    store_->hold_slot(e.slot);
    result.slot = e.slot;
  }
  return result;
}

Bytes Buffer::dirty_bytes(ByteRange range) const {
  check_range(range);
  if (small_) return 0;
  MutexLock lock(mutex_);
  Span s = touched(range);
  Bytes sum = 0;
  for (size_t i = s.begin; i < s.end; ++i)
    if (extents_[i].state == ExtentState::kResident && !extents_[i].writing)
      sum += round_up(bytes_of(i).size(), BlockAllocator::kPage);
  return sum;
}

void Buffer::finish_read(size_t extent, bool ok) noexcept {
  MutexLock lock(mutex_);
  Extent& e = extents_[extent];
  if (ok) {
    e.state = ExtentState::kClean;
    return;
  }
  e.state = ExtentState::kSpilled;
  pool_->decommit_pages(address_of(extent), charge_of(extent));
  charge_.split(charge_of(extent)).release();
}

}  // namespace plimsoll::memory
