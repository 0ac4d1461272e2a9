// What the host brings and takes: room that it fills, copies out of arrays, views.
#include <algorithm>
#include <array>
#include <complex>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "core/half.h"
#include "runtime/context.h"
#include "runtime/executor.h"
#include "runtime/strided_copy.h"

namespace plimsoll::runtime {
namespace {

// Of a new buffer, where it is the first of a slab or of a chunk of headers.
Bytes charge_of(const memory::Pool& pool, Bytes bytes) {
  const memory::BlockShape shape = pool.shape_of(bytes);
  return (shape.small ? shape.slab_bytes : shape.bytes) + pool.table_of(bytes) +
         pool.header_growth(1, shape.small ? 1 : 0);
}

Bytes store_staging(const memory::Pool& pool) {
  return 2 * pool.options().fine_extent_bytes + pool.header_growth(1, 0);
}

void write_constant(const TileConstant& c, std::byte* out) {
  auto put = [&](auto v) { std::memcpy(out, &v, sizeof v); };
  switch (c.dtype) {
    case Dtype::kBool:
      return put(static_cast<uint8_t>(c.integer != 0));
    case Dtype::kFloat16:
      return put(to_float16(static_cast<float>(c.real)));
    case Dtype::kBfloat16:
      return put(to_bfloat16(static_cast<float>(c.real)));
    case Dtype::kFloat32:
      return put(static_cast<float>(c.real));
    case Dtype::kFloat64:
      return put(c.real);
    case Dtype::kComplex64:
      return put(std::complex<float>(static_cast<float>(c.real), static_cast<float>(c.imag)));
    default:
      std::memcpy(out, &c.integer, size_of(c.dtype));  // little-endian
  }
}

}  // namespace

memory::BufferRef Context::allocate(size_t bytes) {
  auto lock = enter();
  used_ = true;
  admit_request(bytes);
  plan::Plan empty;
  EvaluationReport report;
  Machine machine{*backend_, *pool_, *store_, {}, interrupt_poll_};
  Executor executor(machine, empty, report);
  try {
    return executor.allocate(bytes, memory::Tag::kBuffer);
  } catch (const OutOfMemory&) {
    pool_->wait_for_copies();
  }
  return executor.allocate(bytes, memory::Tag::kBuffer);
}

memory::BufferRef Context::allocate_from(size_t bytes, std::shared_ptr<memory::FileSource> source) {
  if (bytes == 0 || pool_->shape_of(bytes).small) {
    memory::BufferRef buffer = allocate(bytes);
    if (bytes > 0) source->read({buffer->pin().data(), bytes}, 0);
    return buffer;
  }
  auto lock = enter();
  used_ = true;
  admit_request();
  make_room(pool_->table_of(bytes) + pool_->header_growth(1, 0));
  memory::BufferRef buffer = pool_->make(bytes);
  buffer->set_source(std::move(source));
  return buffer;
}

// Under the lock, so that no evaluation counts with a pin that is there for a copy.
memory::BufferRef Context::allocate_filled(size_t bytes, const graph::Fill& fill) {
  auto lock = enter();
  if (!pool_->shape_of(bytes).small && charge_of(*pool_, bytes) > admit().limit)
    return fill_in_pieces(bytes, fill);
  memory::BufferRef buffer;
  try {
    buffer = allocate(bytes);
  } catch (const OutOfMemory&) {  // others hold what it needs
    if (pool_->shape_of(bytes).small) throw;
    return fill_in_pieces(bytes, fill);
  }
  if (bytes > 0) fill(buffer->all(), buffer->pin().data());
  return buffer;
}

memory::BufferRef Context::fill_in_pieces(Bytes bytes, const graph::Fill& fill) {
  used_ = true;
  admit_request(pool_->options().extent_bytes);
  const Bytes space = round_up(bytes, 4 * kKiB);
  if (const Bytes room = store_->available(); space > room) {
    MemoryLimitError error(
        fmt::format("[array] expected room for {} under the limit of {} or in the spill store, got "
                    "{} there; free disk space, raise PLIMSOLL_SPILL_LIMIT, set PLIMSOLL_SPILL_DIR "
                    "to another folder, or raise the memory limit",
                    format_bytes(bytes), format_bytes(ledger_.limit()), format_bytes(room)));
    error.limit = ledger_.limit();
    error.required = charge_of(*pool_, bytes);
    error.spill_available = room;
    throw error;
  }
  const size_t extents = pool_->extents_of(bytes);
  const Bytes extent = pool_->options().extent_bytes;
  const Bytes records =
      pool_->table_of(bytes) + pool_->header_growth(1, 0) + store_->record_growth(extents, 0);
  make_room(records + extent);
  memory::BufferRef buffer = pool_->make(bytes);
  if (ledger_.available() < records + extent) buffer->set_fine(true);
  memory::SpillReservation promised = store_->reserve_space(space);
  plan::Plan empty;
  EvaluationReport report;
  Machine machine{*backend_, *pool_, *store_, {}, interrupt_poll_};
  Executor executor(machine, empty, report);
  const Bytes piece = buffer->extent_bytes();
  for (Bytes at = 0; at < bytes; at += piece) {
    executor.check_interrupt();
    const ByteRange range{at, std::min<Bytes>(at + piece, bytes)};
    memory::Reservation charge =
        executor.reserve(buffer->bytes_missing(range), memory::Tag::kBuffer);
    buffer->commit(range, charge);
    fill(range, buffer->pin(range).data());
    memory::Ticket ticket = store_->write(buffer, range, &promised);
    store_->wait(ticket);
    buffer->evict(range);
  }
  return buffer;
}

void Context::copy_out(const graph::Node& node, void* out) {
  std::unique_lock lock(mutex_, std::defer_lock);
  bool forked = pool_->in_forked_child();  // reads what is in memory, and takes no lock
  if (!forked) lock.lock();
  auto* to = static_cast<std::byte*>(out);
  if (node.is(graph::Node::kConstant)) return write_constant(node.constant, to);
  const graph::Storage& s = *node.storage;
  size_t item = size_of(node.dtype);
  if (num_elements(node.shape) == 0) return;
  if (!forked) {
    admit();
    make_room(store_staging(*pool_));  // what the store copies through
  }
  ElementSpan span = element_span(node.shape, s.layout);
  ByteRange range{static_cast<Bytes>(span.first) * item, static_cast<Bytes>(span.last + 1) * item};
  if (is_row_contiguous(node.shape, s.layout.strides)) return store_->copy_out(s.buffer, range, to);
  Bytes piece = std::min<Bytes>(range.size(), pool_->options().extent_bytes);
  if (forked) {
    std::vector<std::byte> own(piece);
    return copy_strided(*store_, s.buffer, node.shape, s.layout, item, {own.data(), piece}, to);
  }
  make_room(charge_of(*pool_, piece) + store_staging(*pool_));
  auto staging = pool_->try_make_resident(piece, memory::Tag::kStaging);
  if (!staging) {
    piece = std::min(piece, pool_->options().fine_extent_bytes);
    staging = pool_->try_make_resident(piece, memory::Tag::kStaging);
  }
  PLIMSOLL_CHECK(
      staging, OutOfMemory,
      "[copy] expected {} to read a strided array through, got a refusal under the limit "
      "of {}; raise the limit",
      format_bytes(charge_of(*pool_, piece)), format_bytes(ledger_.limit()));
  memory::Pin pin = (*staging)->pin();
  copy_strided(*store_, s.buffer, node.shape, s.layout, item, {pin.data(), piece}, to);
}

void Context::copy_out(const graph::Node& node, ByteRange range, void* out) {
  std::unique_lock lock(mutex_, std::defer_lock);
  bool forked = pool_->in_forked_child();
  if (!forked) lock.lock();
  auto* to = static_cast<std::byte*>(out);
  if (range.empty()) return;
  if (node.is(graph::Node::kConstant)) {
    std::array<std::byte, 8> whole{};
    write_constant(node.constant, whole.data());
    std::memcpy(to, whole.data() + range.begin, range.size());
    return;
  }
  const graph::Storage& s = *node.storage;
  PLIMSOLL_ASSERT(is_row_contiguous(node.shape, s.layout.strides));
  Bytes begin = static_cast<Bytes>(s.layout.offset) * size_of(node.dtype);
  if (!forked) {
    admit();
    make_room(store_staging(*pool_));
  }
  store_->copy_out(s.buffer, {begin + range.begin, begin + range.end}, to);
}

void Context::make_resident(const memory::BufferRef& buffer) {
  if (buffer->resident(buffer->all())) return;
  buffer->set_fine(false);
  Bytes limit = admit().limit, staging = 2 * pool_->options().extent_bytes;
  Bytes need = pool_->shape_of(buffer->size()).bytes + staging;
  if (ledger_.available() < need) evict_to(limit > need ? limit - need : 0);
  std::optional<memory::Reservation> room =
      pool_->try_reserve(buffer->bytes_spilled(buffer->all()));
  if (!room) {
    MemoryLimitError error(
        fmt::format("[export] expected room for an array of {} under the limit of {}; copy it with "
                    "numpy.array(a), which reads it piece by piece, or raise the limit",
                    format_bytes(buffer->size()), format_bytes(limit)));
    error.limit = limit;
    error.required = need;
    throw error;
  }
  memory::Ticket ticket = store_->read(buffer, buffer->all(), *room);
  store_->wait(ticket);
}

memory::ExportPin Context::export_view(graph::Node& node, std::string owner) {
  auto lock = enter();
  size_t bytes = num_elements(node.shape) * size_of(node.dtype);
  if (!node.storage->buffer->small() && bytes * 4 <= node.storage->buffer->size()) {
    memory::BufferRef own = allocate(bytes);
    copy_out(node, own->pin().data());
    own->mark_written(own->all());
    *node.storage = {std::move(own), {0, row_major(node.shape)}};
  }
  const memory::BufferRef& buffer = node.storage->buffer;
  make_resident(buffer);
  buffer->mark_written(buffer->all());  // whoever holds the view may write
  return buffer->export_pin(std::move(owner));
}

}  // namespace plimsoll::runtime
