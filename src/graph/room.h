// Room for bytes that the host fills.
#pragma once

#include <utility>

#include "memory/buffer.h"

namespace plimsoll::graph {

/// A buffer of the evaluator's, pinned: nobody evicts it before it is filled.
struct Room {
  memory::BufferRef buffer;
  memory::Pin pin;

  /// Once all bytes are there: what another evaluation stored of the buffer meanwhile is forgotten.
  memory::BufferRef filled() {
    buffer->mark_written(buffer->all());
    pin.release();
    return std::move(buffer);
  }
};
Room make_room(size_t bytes);

}  // namespace plimsoll::graph
