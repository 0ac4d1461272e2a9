#include "backends/cpu/kernels/sort.h"

#include <oneapi/tbb/info.h>

#include <complex>

#include "backends/cpu/kernels/partition.h"
#include "backends/cpu/kernels/sort_keys.h"
#include "backends/cpu/kernels/sort_radix.h"
#include "backends/cpu/kernels/strided.h"
#include "opset/sort.h"

// Keys are made in vectors; -O2 would leave these loops scalar.
#pragma GCC optimize("O3")

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Rows are sorted side by side, each in its own scratch, unless few long ones are better shared
// out.
struct SortLayout {
  int64_t rows, n, slots;
  size_t items, counters;  // bytes of one slot: each of two item buffers, histograms
  size_t slot() const { return 2 * items + counters; }
};

SortLayout layout_of(const Shape& shape, int axis, size_t item_size) {
  SortLayout s;
  s.n = shape[axis];
  s.rows = s.n ? num_elements(shape) / s.n : 0;
  const bool share = radix_chunks(s.n) > 1 && s.rows < 8;
  s.slots = share ? 1 : std::clamp<int64_t>(s.rows, 1, tbb::info::default_concurrency());
  s.items = aligned(static_cast<size_t>(s.n) * item_size);
  s.counters = static_cast<size_t>(share ? radix_chunks(s.n) : 1) * 256 * sizeof(uint64_t);
  return s;
}

// Calls body.operator()<U, kKind>() for the dtype's code.
template <typename Body>
void visit_code(Dtype t, const Body& body) {
  auto of_width = [&]<KeyKind kKind>() {
    switch (size_of(t)) {
      case 1:
        return body.template operator()<uint8_t, kKind>();
      case 2:
        return body.template operator()<uint16_t, kKind>();
      case 4:
        return body.template operator()<uint32_t, kKind>();
      default:
        return body.template operator()<uint64_t, kKind>();
    }
  };
  if (key_kind(t) == KeyKind::kUnsigned) return of_width.template operator()<KeyKind::kUnsigned>();
  if (key_kind(t) == KeyKind::kSigned) return of_width.template operator()<KeyKind::kSigned>();
  of_width.template operator()<KeyKind::kFloat>();
}

// body(begin, end) over the row, in parallel where the row is shared out.
template <typename Body>
void over_row(int64_t n, int64_t chunks, const Body& body) {
  run_tasks(chunks,
            [&](int64_t c) { body(piece_begin(n, chunks, c), piece_begin(n, chunks, c + 1)); });
}

// One row: where it lies, and its scratch.
struct Row {
  const std::byte* in;
  std::byte* out;
  int64_t in_step, out_step, n, chunks;
  std::byte *items, *other;
  uint64_t* counters;
};

template <typename Body>
void for_rows(const KernelArgs& args, int axis, const SortLayout& s, const Body& body) {
  const Tensor &in = args.inputs[0], &out = args.outputs[0];
  StridedLoop loop(2);
  for (int d = 0; d < static_cast<int>(in.shape.size()); ++d)
    if (d != axis) loop.add(in.shape[d], {in.strides[d], out.strides[d]});
  loop.collapse();
  if (s.n == 0) return;
  run_tasks(s.slots, [&](int64_t slot) {
    std::byte* scratch = args.workspace.data() + slot * static_cast<int64_t>(s.slot());
    Row row{nullptr,
            nullptr,
            in.strides[axis],
            out.strides[axis],
            s.n,
            static_cast<int64_t>(s.counters / (256 * sizeof(uint64_t))),
            scratch,
            scratch + s.items,
            reinterpret_cast<uint64_t*>(scratch + 2 * s.items)};
    loop.runs(piece_begin(s.rows, s.slots, slot), piece_begin(s.rows, s.slots, slot + 1), 1,
              [&](const int64_t* at, int64_t) {
                row.in = in.as<std::byte>() + at[0] * static_cast<int64_t>(size_of(in.dtype));
                row.out = out.as<std::byte>() + at[1] * static_cast<int64_t>(size_of(out.dtype));
                body(row);
              });
  });
}

template <typename U, KeyKind kKind>
void sort_row(const Row& row, Dtype dtype) {
  const KeyCode<U, kKind> code(dtype);
  const U* in = reinterpret_cast<const U*>(row.in);
  U* items = reinterpret_cast<U*>(row.items);
  over_row(row.n, row.chunks, [&](int64_t begin, int64_t end) {
    if (row.in_step == 1) {  // apart, for vectors
      for (int64_t i = begin; i < end; ++i) items[i] = code.encode(in[i]);
      return;
    }
    for (int64_t i = begin; i < end; ++i) items[i] = code.encode(in[i * row.in_step]);
  });
  const U* sorted = radix_sort(items, reinterpret_cast<U*>(row.other), row.n, sizeof(U), row.chunks,
                               row.counters);
  U* out = reinterpret_cast<U*>(row.out);
  over_row(row.n, row.chunks, [&](int64_t begin, int64_t end) {
    if (row.out_step == 1) {
      for (int64_t i = begin; i < end; ++i) out[i] = code.decode(sorted[i]);
      return;
    }
    for (int64_t i = begin; i < end; ++i) out[i * row.out_step] = code.decode(sorted[i]);
  });
}

// Keys are made by encode(i) of position i.
template <typename U, typename Encode>
const KeyAt<U>* sort_positions(const Row& row, int key_bytes, const Encode& encode) {
  auto* items = reinterpret_cast<KeyAt<U>*>(row.items);
  over_row(row.n, row.chunks, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) items[i] = {encode(i), static_cast<uint32_t>(i)};
  });
  return radix_sort(items, reinterpret_cast<KeyAt<U>*>(row.other), row.n, key_bytes, row.chunks,
                    row.counters);
}

const KeyAt<uint64_t>* sort_complex(const Row& row) {
  const KeyCode<uint32_t, KeyKind::kFloat> code(Dtype::kFloat32);
  const auto* in = reinterpret_cast<const uint32_t*>(row.in);
  return sort_positions<uint64_t>(row, 8, [&](int64_t i) {
    const uint32_t real = code.encode_equal_nans(in[2 * i * row.in_step]);
    const uint32_t imag = code.encode_equal_nans(in[2 * i * row.in_step + 1]);
    const bool nan = real == ~0u || imag == ~0u;
    return nan ? ~uint64_t{0} : uint64_t{real} << 32 | imag;
  });
}

template <typename U>
void store_positions(const Row& row, const KeyAt<U>* sorted) {
  uint32_t* out = reinterpret_cast<uint32_t*>(row.out);
  over_row(row.n, row.chunks, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i * row.out_step] = sorted[i].at;
  });
}

size_t key_at_size(Dtype t) { return size_of(t) == 8 ? sizeof(KeyAt<uint64_t>) : 8; }

size_t sort_item(Dtype t) { return t == Dtype::kComplex64 ? key_at_size(t) : size_of(t); }

size_t sort_workspace(const OpInstance& op) {
  const TensorSpec& in = op.inputs[0];
  const int axis = static_cast<const SortAttrs&>(*op.attrs).axis;
  const SortLayout s = layout_of(in.shape, axis, sort_item(in.dtype));
  return static_cast<size_t>(s.slots) * s.slot();
}

size_t argsort_workspace(const OpInstance& op) {
  const TensorSpec& in = op.inputs[0];
  const int axis = static_cast<const SortAttrs&>(*op.attrs).axis;
  const SortLayout s = layout_of(in.shape, axis, key_at_size(in.dtype));
  return static_cast<size_t>(s.slots) * s.slot();
}

void sort(const KernelArgs& args) {
  const Tensor& in = args.inputs[0];
  const int axis = static_cast<const SortAttrs&>(*args.attrs).axis;
  const SortLayout s = layout_of(in.shape, axis, sort_item(in.dtype));
  for_rows(args, axis, s, [&](const Row& row) {
    if (in.dtype != Dtype::kComplex64)
      return visit_code(in.dtype,
                        [&]<typename U, KeyKind kKind>() { sort_row<U, kKind>(row, in.dtype); });
    const auto* sorted = sort_complex(row);
    const auto* values = reinterpret_cast<const std::complex<float>*>(row.in);
    auto* out = reinterpret_cast<std::complex<float>*>(row.out);
    for (int64_t i = 0; i < row.n; ++i) out[i * row.out_step] = values[sorted[i].at * row.in_step];
  });
}

void argsort(const KernelArgs& args) {
  const Tensor& in = args.inputs[0];
  const int axis = static_cast<const SortAttrs&>(*args.attrs).axis;
  PLIMSOLL_CHECK(in.shape[axis] <= int64_t{1} << 32, ValueError,
                 "[argsort] expected at most 2^32 elements along the axis, got {}; sort parts",
                 in.shape[axis]);
  const SortLayout s = layout_of(in.shape, axis, key_at_size(in.dtype));
  for_rows(args, axis, s, [&](const Row& row) {
    if (in.dtype == Dtype::kComplex64) return store_positions(row, sort_complex(row));
    visit_code(in.dtype, [&]<typename U, KeyKind kKind>() {
      const KeyCode<U, kKind> code(in.dtype);
      const U* values = reinterpret_cast<const U*>(row.in);
      // Keys of up to four bytes share one instance of the sort.
      using Key = std::conditional_t<sizeof(U) == 8, uint64_t, uint32_t>;
      store_positions(row, sort_positions<Key>(row, sizeof(U), [&](int64_t i) {
                        return Key{code.encode_equal_nans(values[i * row.in_step])};
                      }));
    });
  });
}

}  // namespace

void add_sort_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.strided_inputs = device::kAllInputs;
  row.run = sort;
  row.workspace = sort_workspace;
  table.add("sort", device::kAllDtypes, row);
  row.run = argsort;
  row.workspace = argsort_workspace;
  table.add("argsort", device::kAllDtypes, row);
}

}  // namespace plimsoll::cpu
