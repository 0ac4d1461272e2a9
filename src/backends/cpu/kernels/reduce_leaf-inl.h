// Vector leaves of reductions. A row block goes into 256 bytes of lanes (element k to lane
// k mod lanes), whatever the CPU's vectors, and the lanes are combined by halves; columns are
// chains down the rows. Included once per target.
#if defined(PLIMSOLL_REDUCE_LEAF_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_REDUCE_LEAF_INL
#undef PLIMSOLL_REDUCE_LEAF_INL
#else
#define PLIMSOLL_REDUCE_LEAF_INL
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels/half.h"
#include "backends/cpu/kernels/reduce_driver.h"
#include "backends/cpu/kernels/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Loads one vector, widened to the lanes of D.
template <class D, typename TIn>
HWY_INLINE hn::Vec<D> load_acc(D d, const TIn* p) {
  using T = hn::TFromD<D>;
  if constexpr (std::is_same_v<T, TIn>) {
    return hn::LoadU(d, p);
  } else if constexpr (std::is_same_v<TIn, Float16> || std::is_same_v<TIn, Bfloat16>) {
    return load(d, p);
  } else {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<TIn, D>(), p));
  }
}

// Op: kIdentity-giving functor over lanes of Op::Acc.
template <class Op, typename TIn>
struct Leaf {
  using T = typename Op::Acc;
  using D = hn::ScalableTag<T>;
  static constexpr size_t kVec = HWY_LANES(T);
  static constexpr size_t kLanes = std::min<size_t>(256 / sizeof(T), 64);
  static constexpr size_t kStep = std::min(4 * kVec, kLanes);  // lanes of one pass
  static constexpr size_t kRegs = kStep / kVec;
  static constexpr int64_t kNarrow = 512;  // columns
  static constexpr int64_t kChain = 16;    // additions in a row before a second level takes over

  static HWY_INLINE T combine(T* HWY_RESTRICT lanes) {
    const D d;
    size_t half = kLanes / 2;
    for (; half >= kVec; half /= 2)
      for (size_t j = 0; j < half; j += kVec)
        hn::Store(Op::vec(d, hn::Load(d, lanes + j), hn::Load(d, lanes + j + half)), d, lanes + j);
    for (; half > 0; half /= 2)
      for (size_t j = 0; j < half; ++j) lanes[j] = Op::scalar(lanes[j], lanes[j + half]);
    return lanes[0];
  }

  static HWY_INLINE T reduce_row(const TIn* x, int64_t n) {
    const D d;
    HWY_ALIGN T lanes[kLanes];
    alignas(64) TIn tail[kLanes];
    const int64_t whole = n & ~static_cast<int64_t>(kLanes - 1);
    const int64_t rest = n - whole;
    if (rest) {
      const TIn none = Op::template identity<TIn>();
      for (size_t j = 0; j < kLanes; ++j) tail[j] = none;
      std::memcpy(tail, x + whole, rest * sizeof(TIn));
    }
    const auto none = hn::Set(d, Op::template identity<T>());
    for (size_t s = 0; s < kLanes; s += kStep) {
      auto a0 = none, a1 = none, a2 = none, a3 = none;
      const auto add = [&](const TIn* p) HWY_ATTR {
        a0 = Op::vec(d, a0, Op::map(d, load_acc(d, p)));
        if constexpr (kRegs > 1) a1 = Op::vec(d, a1, Op::map(d, load_acc(d, p + kVec)));
        if constexpr (kRegs > 2) {
          a2 = Op::vec(d, a2, Op::map(d, load_acc(d, p + 2 * kVec)));
          a3 = Op::vec(d, a3, Op::map(d, load_acc(d, p + 3 * kVec)));
        }
      };
      auto b0 = none, b1 = none, b2 = none, b3 = none;
      for (int64_t i = 0; i < whole;) {
        const int64_t end = std::min<int64_t>(whole, i + kChain * kLanes);
        for (; i < end; i += kLanes) add(x + i + s);
        b0 = Op::vec(d, b0, a0), b1 = Op::vec(d, b1, a1);
        b2 = Op::vec(d, b2, a2), b3 = Op::vec(d, b3, a3);
        a0 = a1 = a2 = a3 = none;
      }
      if (rest) add(tail + s);
      hn::Store(Op::vec(d, b0, a0), d, lanes + s);
      if constexpr (kRegs > 1) hn::Store(Op::vec(d, b1, a1), d, lanes + s + kVec);
      if constexpr (kRegs > 2) {
        hn::Store(Op::vec(d, b2, a2), d, lanes + s + 2 * kVec);
        hn::Store(Op::vec(d, b3, a3), d, lanes + s + 3 * kVec);
      }
    }
    return combine(lanes);
  }

  // Whether a short row's lanes are four vectors, so that it never goes through memory.
  static constexpr bool kShortRows = kRegs == 4 && kStep == kLanes && sizeof(T) >= 4;

  // reduce_row for n < kLanes, where kVec elements from any of the row's may be read.
  static HWY_INLINE T reduce_short_row(const TIn* x, int64_t n) {
    const D d;
    const hn::RebindToSigned<D> di;
    const auto none = hn::Set(d, Op::template identity<T>());
    const auto lanes = [&](int64_t at) HWY_ATTR {
      if (at >= n) return none;
      const auto v = Op::vec(d, none, Op::map(d, load_acc(d, x + at)));
      const int64_t rest = n - at;
      return rest >= static_cast<int64_t>(kVec) ? v : hn::IfThenElse(hn::FirstN(d, rest), v, none);
    };
    auto v = lanes(0);
    if (n > static_cast<int64_t>(kVec))
      v = Op::vec(d, Op::vec(d, v, lanes(2 * kVec)), Op::vec(d, lanes(kVec), lanes(3 * kVec)));
    const auto lane = hn::Iota(di, 0);
    const auto fold = [&](auto half) HWY_ATTR {
      const auto from = hn::And(hn::Add(lane, hn::Set(di, half)), hn::Set(di, half * 2 - 1));
      v = Op::vec(d, v, hn::TableLookupLanes(v, hn::IndicesFromVec(d, from)));
    };
    using Int = hn::TFromD<decltype(di)>;
    if constexpr (kVec > 8) fold(Int{8});
    fold(Int{4});
    fold(Int{2});
    fold(Int{1});
    return hn::GetLane(v);
  }

  static void rows(const ReduceBlock& k, void* partial) {
    const TIn* x = reinterpret_cast<const TIn*>(k.x);
    T* out = static_cast<T*>(partial);
    int64_t r = 0;
    if constexpr (kShortRows) {
      // The last rows of the block may end where the array does.
      const int64_t last = (k.count - 1) * k.stride + k.units - static_cast<int64_t>(kLanes);
      if (k.units > 0 && k.units < static_cast<int64_t>(kLanes))
        for (; r < k.count && r * k.stride <= last; ++r)
          out[r] = reduce_short_row(x + r * k.stride, k.units);
    }
    for (; r < k.count; ++r) out[r] = reduce_row(x + r * k.stride, k.units);
  }

  // acc[c] = op(acc[c], op(… op(x[0][c], x[1][c]) …, x[kRows-1][c]))
  template <int kRows>
  static HWY_INLINE void add_rows(const TIn* HWY_RESTRICT x, int64_t stride, int64_t cols,
                                  T* HWY_RESTRICT acc) {
    const D d;
    int64_t c = 0;
    for (; c + static_cast<int64_t>(kVec) <= cols; c += kVec) {
      auto a = Op::map(d, load_acc(d, x + c));
#pragma GCC unroll 8
      for (int r = 1; r < kRows; ++r)
        a = Op::vec(d, a, Op::map(d, load_acc(d, x + r * stride + c)));
      hn::StoreU(Op::vec(d, hn::LoadU(d, acc + c), a), d, acc + c);
    }
    for (; c < cols; ++c) {
      T a = Op::map_scalar(to_lane<T>(x[c]));
      for (int r = 1; r < kRows; ++r)
        a = Op::scalar(a, Op::map_scalar(to_lane<T>(x[r * stride + c])));
      acc[c] = Op::scalar(acc[c], a);
    }
  }

  // As add_rows<8>, one row behind the other: narrow rows are read in the order of memory.
  static void add_narrow_rows(const TIn* x, int64_t stride, int64_t cols, T* HWY_RESTRICT acc) {
    const D d;
    HWY_ALIGN T group[kNarrow];
    const int64_t whole = cols / kVec * kVec;
    for (int r = 0; r < 8; ++r) {
      const TIn* HWY_RESTRICT row = x + r * stride;
      for (int64_t c = 0; c < whole; c += kVec) {
        const auto v = Op::map(d, load_acc(d, row + c));
        hn::Store(r == 0 ? v : Op::vec(d, hn::Load(d, group + c), v), d, group + c);
      }
    }
    for (int64_t c = 0; c < whole; c += kVec)
      hn::StoreU(Op::vec(d, hn::LoadU(d, acc + c), hn::Load(d, group + c)), d, acc + c);
    add_rows<8>(x + whole, stride, cols - whole, acc + whole);
  }

  static void chain(const TIn* x, int64_t stride, int64_t rows, int64_t cols, T* acc) {
    std::fill_n(acc, cols, Op::template identity<T>());
    int64_t r = 0;
    for (; r + 8 <= rows; r += 8) {
      if (cols <= kNarrow)
        add_narrow_rows(x + r * stride, stride, cols, acc);
      else
        add_rows<8>(x + r * stride, stride, cols, acc);
    }
    for (; r < rows; ++r) add_rows<1>(x + r * stride, stride, cols, acc);
  }

  static void columns(const ReduceBlock& k, void* partial) {
    const TIn* x = reinterpret_cast<const TIn*>(k.x);
    T* acc = static_cast<T*>(partial);
    if (k.fold == 1) return chain(x, k.stride, k.units, k.count, acc);
    if (k.stride == k.count) {  // rows lie one behind the other: fold of them are one wide row
      const int64_t wide = k.fold * k.count;
      const int64_t rows = k.units / k.fold;
      chain(x, wide, rows, wide, acc);
      add_rows<1>(x + rows * wide, wide, (k.units - rows * k.fold) * k.count, acc);
    } else {
      for (int f = 0; f < k.fold; ++f)
        chain(x + f * k.stride, k.stride * k.fold, (k.units - f + k.fold - 1) / k.fold, k.count,
              acc + f * k.count);
    }
    for (int half = k.fold / 2; half > 0; half /= 2)
      for (int64_t j = 0; j < half * k.count; ++j)
        acc[j] = Op::scalar(acc[j], acc[j + half * k.count]);
  }
};

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
