// What many steps of a plan have in common, kept once: how operands see their values, and tile
// programs.
#pragma once

#include <deque>
#include <vector>

#include "base/bytes.h"
#include "device/backend.h"
#include "opset/tile_program.h"

namespace plimsoll::plan {

/// A tensor in the bytes of a value.
struct Form {
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  Layout layout;
};

/// A form that is in a catalog: equal forms have one address.
struct SharedForm : Form {
  uint64_t hash = 0;        // the same in every catalog
  Bytes nbytes = 0;         // of its elements
  bool contiguous = false;  // row-major, wherever it starts
  bool plain = false;       // row-major from the start of the value
};

struct SharedProgram {
  TileProgram program;
  Bytes workspace = 0;
};

/// A hash of what it does, whatever its constants are.
uint64_t structure_of(const TileProgram& program);

/// Entries never move and live as long as the catalog. Not thread-safe.
class Catalog {
 public:
  /// The plain one.
  const SharedForm* form(Dtype dtype, const Shape& shape);
  const SharedForm* form(Dtype dtype, const Shape& shape, const Layout& layout);
  /// Programs are one where they are equal bit for bit.
  const SharedProgram& program(const TileProgram& program, const device::Backend& backend);

 private:
  /// Open addressing; at most half full.
  template <typename T>
  class Table {
   public:
    template <typename Equal>
    const T* find(uint64_t hash, Equal equal) const;
    const T* add(uint64_t hash, T item);

   private:
    struct Slot {
      uint64_t hash = 0;
      const T* item = nullptr;
    };
    void place(const Slot& slot);
    std::deque<T> items_;
    std::vector<Slot> slots_ = std::vector<Slot>(64);
  };
  Table<SharedForm> forms_;
  Table<SharedProgram> programs_;
};

}  // namespace plimsoll::plan
