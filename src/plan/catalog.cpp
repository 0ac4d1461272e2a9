#include "plan/catalog.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "opset/attrs.h"

namespace plimsoll::plan {
namespace {

uint64_t hash_of(Dtype dtype, const Shape& shape) {
  uint64_t h = static_cast<uint64_t>(dtype) << 32 | shape.size();
  for (int64_t d : shape) h = hash_mix(h, static_cast<uint64_t>(d));
  return h;
}

bool same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

bool same(const TileConstant& a, const TileConstant& b) {
  return a.dtype == b.dtype && same(a.real, b.real) && same(a.imag, b.imag) &&
         a.integer == b.integer;
}

bool same(const TileInstr& a, const TileInstr& b) {
  return a.op == b.op && a.dtype == b.dtype && a.in_dtype == b.in_dtype &&
         std::equal(a.src, a.src + 3, b.src) && a.dst == b.dst && same(a.imm[0], b.imm[0]) &&
         same(a.imm[1], b.imm[1]) && a.aux == b.aux;
}

bool same(const RandomBits& a, const RandomBits& b) {
  return a.width == b.width && a.count_per_key == b.count_per_key;
}

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const T& x, const T& y) { return same(x, y); });
}

bool same(const TileProgram& a, const TileProgram& b) {
  return a.inputs == b.inputs && a.outputs == b.outputs && same(a.instrs, b.instrs) &&
         same(a.constants, b.constants) && same(a.random, b.random);
}

SharedForm shared(uint64_t hash, Dtype dtype, const Shape& shape, const Layout& layout,
                  bool plain) {
  return {{dtype, shape, layout},
          hash,
          static_cast<Bytes>(num_elements(shape)) * size_of(dtype),
          is_row_contiguous(shape, layout.strides),
          plain};
}

}  // namespace

uint64_t structure_of(const TileProgram& p) {
  uint64_t h = hash_mix(p.inputs.size(), p.constants.size());
  for (Dtype t : p.inputs) h = hash_mix(h, static_cast<uint64_t>(t));
  for (const TileConstant& c : p.constants) h = hash_mix(h, static_cast<uint64_t>(c.dtype));
  for (const TileInstr& i : p.instrs) {
    const uint64_t sources = uint64_t{i.src[0]} << 48 | uint64_t{i.src[1]} << 32 |
                             uint64_t{i.src[2]} << 16 | static_cast<uint64_t>(i.op) << 8;
    h = hash_mix(h, sources | static_cast<uint64_t>(i.dtype));
    h = hash_mix(h, static_cast<uint64_t>(i.in_dtype));
  }
  for (uint16_t o : p.outputs) h = hash_mix(h, o);
  return h;
}

template <typename T>
template <typename Equal>
const T* Catalog::Table<T>::find(uint64_t hash, Equal equal) const {
  for (size_t i = hash >> 32;; ++i) {
    const Slot& slot = slots_[i & (slots_.size() - 1)];
    if (!slot.item || (slot.hash == hash && equal(*slot.item))) return slot.item;
  }
}

template <typename T>
const T* Catalog::Table<T>::add(uint64_t hash, T item) {
  items_.push_back(std::move(item));
  if (2 * items_.size() > slots_.size()) {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(4 * slots_.size()));
    for (const Slot& slot : old)
      if (slot.item) place(slot);
  }
  place({hash, &items_.back()});
  return &items_.back();
}

template <typename T>
void Catalog::Table<T>::place(const Slot& slot) {
  size_t i = slot.hash >> 32;
  while (slots_[i & (slots_.size() - 1)].item) ++i;
  slots_[i & (slots_.size() - 1)] = slot;
}

const SharedForm* Catalog::form(Dtype dtype, const Shape& shape) {
  const uint64_t hash = hash_of(dtype, shape);
  const SharedForm* known = forms_.find(
      hash, [&](const SharedForm& f) { return f.plain && f.dtype == dtype && f.shape == shape; });
  return known ? known : forms_.add(hash, shared(hash, dtype, shape, {0, row_major(shape)}, true));
}

const SharedForm* Catalog::form(Dtype dtype, const Shape& shape, const Layout& layout) {
  if (layout.offset == 0 && layout.strides == row_major(shape)) return form(dtype, shape);
  uint64_t hash = hash_mix(hash_of(dtype, shape), static_cast<uint64_t>(layout.offset));
  for (int64_t s : layout.strides) hash = hash_mix(hash, static_cast<uint64_t>(s));
  const SharedForm* known = forms_.find(hash, [&](const SharedForm& f) {
    return f.dtype == dtype && f.shape == shape && f.layout.offset == layout.offset &&
           f.layout.strides == layout.strides;
  });
  return known ? known : forms_.add(hash, shared(hash, dtype, shape, layout, false));
}

const SharedProgram& Catalog::program(const TileProgram& program, const device::Backend& backend) {
  uint64_t hash = structure_of(program);
  for (const TileConstant& c : program.constants)
    hash = hash_mix(hash, std::bit_cast<uint64_t>(c.real) ^ static_cast<uint64_t>(c.integer));
  const SharedProgram* known =
      programs_.find(hash, [&](const SharedProgram& p) { return same(p.program, program); });
  return known ? *known : *programs_.add(hash, {program, backend.program_workspace(program)});
}

}  // namespace plimsoll::plan
