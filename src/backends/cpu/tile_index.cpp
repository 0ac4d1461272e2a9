// Ops of the element's index: iota and random bits.
#include "backends/cpu/tile_targets.h"
#include "opset/threefry.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tile_index.cpp"
#include "hwy/foreach_target.h"
// clang-format off
#include "backends/cpu/tile_loops-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {

// imm[0] + imm[1]·index, in double for floats and in int64, which wraps, for integers.
template <class T>
void iota(const TileCall& c) {
  T* r = static_cast<T*>(c.dst);
  const size_t n = c.n;
  if constexpr (std::is_floating_point_v<T>) {
    for (size_t i = 0; i < n; ++i) {
      const int64_t index = c.index + static_cast<int64_t>(i) * c.index_step;
      r[i] = static_cast<T>(c.imm[0] + c.imm[1] * static_cast<double>(index));
    }
  } else {
    const auto start = static_cast<uint64_t>(static_cast<int64_t>(c.imm[0]));
    const auto step = static_cast<uint64_t>(static_cast<int64_t>(c.imm[1]));
    const auto first = static_cast<uint64_t>(c.index), by = static_cast<uint64_t>(c.index_step);
    for (size_t i = 0; i < n; ++i) r[i] = static_cast<T>(start + step * (first + i * by));
  }
}

using threefry::Stream;

// Elements are the bytes of the words, little end first. [position, …) lies in one key's stream.
template <class T>
void random_run(const Stream& stream, uint64_t position, uint64_t step, size_t n, T* r) {
  constexpr uint64_t kPerWord = 4 / sizeof(T);
  const Stream s = stream;
  for (size_t i = 0; i < n; ++i) {
    const uint64_t p = position + i * step;
    const uint32_t word = s.word(static_cast<uint32_t>(p / kPerWord));
    r[i] = static_cast<T>(word >> (8 * sizeof(T) * (p % kPerWord)));
  }
}

template <class T>
void random_bits(const TileCall& c) {
  const auto* keys = static_cast<const uint32_t*>(c.src[0]);
  T* r = static_cast<T*>(c.dst);
  const auto per_key = static_cast<uint64_t>(c.random.count_per_key);
  const auto step = static_cast<uint64_t>(c.index_step);
  for (size_t i = 0; i < c.n;) {
    const uint64_t index = static_cast<uint64_t>(c.index) + i * step;
    const uint64_t key = index / per_key, position = index % per_key;
    const uint64_t left = step ? (per_key - position + step - 1) / step : c.n;
    const size_t n = std::min<uint64_t>(c.n - i, left);
    const Stream stream{keys[2 * key], keys[2 * key + 1],
                        static_cast<uint32_t>((per_key * sizeof(T) + 3) / 4)};
    random_run(stream, position, step, n, r + i);
    i += n;
  }
}

void add_index(TileTable* table) {
  using enum Dtype;
  for_dtypes<kUint8, kUint16, kUint32, kUint64, kInt8, kInt16, kInt32, kInt64, kFloat32, kFloat64>(
      [&]<Dtype kDtype, class T>() { table->set(TileOp::kIota, kDtype, iota<T>); });
  table->set(TileOp::kRandomBits, kUint8, random_bits<uint8_t>);
  table->set(TileOp::kRandomBits, kUint16, random_bits<uint16_t>);
  table->set(TileOp::kRandomBits, kUint32, random_bits<uint32_t>);
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
HWY_EXPORT(add_index);
void add_index_kernels(TileTable* table) { HWY_DYNAMIC_DISPATCH(add_index)(table); }
}  // namespace plimsoll::cpu
#endif
