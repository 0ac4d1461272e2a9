// Room for bytes that the host fills.
#pragma once

#include "memory/buffer.h"

namespace plimsoll::graph {

/// A buffer of the evaluator's, pinned: nobody evicts it before it is filled.
struct Room {
  memory::BufferRef buffer;
  memory::Pin pin;
};
Room make_room(size_t bytes);

}  // namespace plimsoll::graph
