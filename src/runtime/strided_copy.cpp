#include "runtime/strided_copy.h"

#include <cstdlib>
#include <cstring>

namespace plimsoll::runtime {
namespace {

struct Part {
  Shape shape;
  Strides from, to;  // in elements
  int64_t at = 0, out_at = 0;
};

template <size_t kItem>
void scatter(const Part& p, const std::byte* from, std::byte* to, size_t axis) {
  if (axis == p.shape.size()) {
    std::memcpy(to, from, kItem);
    return;
  }
  const int64_t step = p.from[axis] * static_cast<int64_t>(kItem);
  const int64_t out_step = p.to[axis] * static_cast<int64_t>(kItem);
  for (int64_t i = 0; i < p.shape[axis]; ++i)
    scatter<kItem>(p, from + i * step, to + i * out_step, axis + 1);
}

class Reader {
 public:
  Reader(memory::SpillStore& store, const memory::BufferRef& buffer, size_t item,
         std::span<std::byte> staging, std::byte* out)
      : store_(store), buffer_(buffer), item_(item), staging_(staging), out_(out) {}

  void read(const Part& p) {
    const ElementSpan span = element_span(p.shape, {p.at, p.from});
    const Bytes bytes = static_cast<Bytes>(span.last - span.first + 1) * item_;
    if (bytes <= staging_.size()) return read_at_once(p, span);
    const size_t axis = widest(p);
    const Bytes step = static_cast<Bytes>(std::abs(p.from[axis])) * item_;
    const Bytes slice = bytes - static_cast<Bytes>(p.shape[axis] - 1) * step;
    const Bytes more = slice < staging_.size() ? (staging_.size() - slice) / step : 0;
    Part piece = p;
    for (int64_t i = 0; i < p.shape[axis]; i += piece.shape[axis]) {
      piece.shape[axis] = std::min<int64_t>(static_cast<int64_t>(more) + 1, p.shape[axis] - i);
      piece.at = p.at + i * p.from[axis];
      piece.out_at = p.out_at + i * p.to[axis];
      read(piece);
    }
  }

 private:
  // What is cut along it lies closest together, in whatever order it is written.
  static size_t widest(const Part& p) {
    size_t best = 0;
    int64_t most = -1;
    for (size_t d = 0; d < p.shape.size(); ++d) {
      if (p.shape[d] == 1 || std::abs(p.from[d]) <= most) continue;
      best = d;
      most = std::abs(p.from[d]);
    }
    return best;
  }

  void read_at_once(const Part& p, ElementSpan span) {
    store_.copy_out(
        buffer_,
        {static_cast<Bytes>(span.first) * item_, static_cast<Bytes>(span.last + 1) * item_},
        staging_.data());
    const std::byte* from = staging_.data() + static_cast<Bytes>(p.at - span.first) * item_;
    std::byte* to = out_ + static_cast<Bytes>(p.out_at) * item_;
    switch (item_) {
      case 1:
        return scatter<1>(p, from, to, 0);
      case 2:
        return scatter<2>(p, from, to, 0);
      case 4:
        return scatter<4>(p, from, to, 0);
      default:
        return scatter<8>(p, from, to, 0);
    }
  }

  memory::SpillStore& store_;
  const memory::BufferRef& buffer_;
  size_t item_;
  std::span<std::byte> staging_;
  std::byte* out_;
};

}  // namespace

void copy_strided(memory::SpillStore& store, const memory::BufferRef& buffer, const Shape& shape,
                  const Layout& layout, size_t item, std::span<std::byte> staging, std::byte* out) {
  Reader(store, buffer, item, staging, out)
      .read({shape, layout.strides, row_major(shape), layout.offset, 0});
}

}  // namespace plimsoll::runtime
