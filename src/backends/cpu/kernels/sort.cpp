#include "backends/cpu/kernels/sort.h"

#include <oneapi/tbb/info.h>

#include <complex>

#include "backends/cpu/kernels/partition.h"
#include "backends/cpu/kernels/sort_keys.h"
#include "backends/cpu/kernels/sort_radix.h"
#include "backends/cpu/kernels/sort_select.h"
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
  int64_t rows, n, slots, chunks;
  size_t items;  // bytes of each item buffer of a slot
  int buffers;   // of them
  size_t slot() const {
    return static_cast<size_t>(buffers) * items +
           static_cast<size_t>(chunks) * 256 * sizeof(uint64_t);
  }
};

SortLayout layout_of(const Shape& shape, int axis, size_t item_size, int buffers) {
  SortLayout s;
  s.n = shape[axis];
  s.rows = s.n ? num_elements(shape) / s.n : 0;
  const bool share = radix_chunks(s.n) > 1 && s.rows < 8;
  s.slots = share ? 1 : std::clamp<int64_t>(s.rows, 1, tbb::info::default_concurrency());
  s.chunks = share ? radix_chunks(s.n) : 1;
  s.items = aligned(static_cast<size_t>(s.n) * item_size);
  s.buffers = buffers;
  return s;
}

// Of tiles of rows that are selected: scratch is for what waits.
SortLayout select_layout(const Shape& out, int axis, size_t item_size) {
  SortLayout s = layout_of(out, axis, item_size, 1);
  s.chunks = std::min(s.chunks, radix_chunks(waiting_room(s.n)));
  s.items = aligned(static_cast<size_t>(waiting_room(s.n)) * item_size);
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
  int64_t number, in_step, out_step, n, chunks;
  std::byte *items, *other;  // no other: the output is one
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
    std::byte* counters = scratch + static_cast<size_t>(s.buffers) * s.items;
    Row row{nullptr,
            nullptr,
            piece_begin(s.rows, s.slots, slot),
            in.strides[axis],
            out.strides[axis],
            s.n,
            s.chunks,
            scratch,
            s.buffers > 1 ? scratch + s.items : nullptr,
            reinterpret_cast<uint64_t*>(counters)};
    loop.runs(row.number, piece_begin(s.rows, s.slots, slot + 1), 1,
              [&](const int64_t* at, int64_t) {
                row.in = in.as<std::byte>() + at[0] * static_cast<int64_t>(size_of(in.dtype));
                row.out = out.as<std::byte>() + at[1] * static_cast<int64_t>(size_of(out.dtype));
                body(row);
                ++row.number;
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
  U* out = reinterpret_cast<U*>(row.out);
  U* other = row.other ? reinterpret_cast<U*>(row.other) : out;
  const U* sorted = radix_sort(items, other, row.n, sizeof(U), row.chunks, row.counters);
  over_row(row.n, row.chunks, [&](int64_t begin, int64_t end) {
    if (sorted == out) {  // apart, for vectors, too
      for (int64_t i = begin; i < end; ++i) out[i] = code.decode(out[i]);
      return;
    }
    if (row.out_step == 1) {
      for (int64_t i = begin; i < end; ++i) out[i] = code.decode(sorted[i]);
      return;
    }
    for (int64_t i = begin; i < end; ++i) out[i * row.out_step] = code.decode(sorted[i]);
  });
}

// A complex number: its key does not tell NaNs from each other.
struct KeyValue {
  uint64_t key, value;
};
uint64_t key_of(KeyValue item) { return item.key; }

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

// Of element i of a row of complex numbers.
uint64_t complex_key(const Row& row, int64_t i) {
  const KeyCode<uint32_t, KeyKind::kFloat> code(Dtype::kFloat32);
  const auto* in = reinterpret_cast<const uint32_t*>(row.in);
  const uint32_t real = code.encode_equal_nans(in[2 * i * row.in_step]);
  const uint32_t imag = code.encode_equal_nans(in[2 * i * row.in_step + 1]);
  const bool nan = real == ~0u || imag == ~0u;
  return nan ? ~uint64_t{0} : uint64_t{real} << 32 | imag;
}

const KeyAt<uint64_t>* sort_complex(const Row& row) {
  return sort_positions<uint64_t>(row, 8, [&](int64_t i) { return complex_key(row, i); });
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
size_t select_item(Dtype t) { return t == Dtype::kComplex64 ? sizeof(KeyValue) : size_of(t); }

int axis_of(const AttrBase* attrs) { return static_cast<const SortAttrs&>(*attrs).axis; }

// Values sort between one buffer and the output where that is contiguous however it is cut.
int sort_buffers(const TensorSpec& in, int axis) {
  const bool last = axis == static_cast<int>(in.shape.size()) - 1;
  return last && in.dtype != Dtype::kComplex64 ? 1 : 2;
}

SortLayout sort_layout(const TensorSpec& in, int axis) {
  return layout_of(in.shape, axis, sort_item(in.dtype), sort_buffers(in, axis));
}

SortLayout argsort_layout(const TensorSpec& in, int axis) {
  return layout_of(in.shape, axis, key_at_size(in.dtype), 2);
}

// A tile of a row's input may be as long as that of its output: then it cannot be told from a row.
size_t workspace_of(const OpInstance& op, size_t selected, const SortLayout& whole) {
  const int axis = axis_of(op.attrs);
  const Shape &in = op.inputs[0].shape, &out = op.outputs[0].shape;
  const SortLayout s = in[axis] == out[axis] ? whole : select_layout(out, axis, selected);
  return static_cast<size_t>(s.slots) * s.slot();
}

size_t sort_workspace(const OpInstance& op) {
  const TensorSpec& in = op.inputs[0];
  return workspace_of(op, select_item(in.dtype), sort_layout(in, axis_of(op.attrs)));
}

size_t argsort_workspace(const OpInstance& op) {
  const TensorSpec& in = op.inputs[0];
  return workspace_of(op, key_at_size(in.dtype), argsort_layout(in, axis_of(op.attrs)));
}

// Selections of all rows, then of each the items that it keeps and those that wait.
struct SelectCarry {
  size_t states, kept, waiting;
  int64_t rows;
  SelectCarry(const Shape& out, int axis, size_t item_size) {
    const int64_t n = out[axis];
    rows = n ? num_elements(out) / n : 0;
    states = aligned(static_cast<size_t>(rows) * sizeof(Selection));
    kept = aligned(static_cast<size_t>(n) * item_size);
    waiting = aligned(static_cast<size_t>(waiting_room(n)) * item_size);
  }
  size_t bytes() const { return states + static_cast<size_t>(rows) * (kept + waiting); }
};

size_t sort_carry(const OpInstance& op) {
  return SelectCarry(op.outputs[0].shape, axis_of(op.attrs), select_item(op.inputs[0].dtype))
      .bytes();
}

size_t argsort_carry(const OpInstance& op) {
  return SelectCarry(op.outputs[0].shape, axis_of(op.attrs), key_at_size(op.inputs[0].dtype))
      .bytes();
}

// A call over a tile of the sorted axis, of the output or of the input.
struct SelectCall {
  TileWindow out, in;
  explicit SelectCall(const KernelArgs& args) {
    const int axis = axis_of(args.attrs), kept = static_cast<int>(args.inputs[0].shape.size()) - 1;
    out = window_of(args, kept, args.outputs[0].shape[axis]);
    in = window_of(args, kept + 1, args.inputs[0].shape[axis]);
  }
  bool whole() const { return out.first() && out.last() && in.first() && in.last(); }
};

// Items are made by make(row, i) of element i of the tile; store(row, items) writes the output's.
template <typename Item, typename Make, typename Store>
void select_rows(const KernelArgs& args, const SelectCall& call, int key_bytes, const Make& make,
                 const Store& store) {
  const int axis = axis_of(args.attrs);
  const Shape& out = args.outputs[0].shape;
  const SelectCarry carry(out, axis, sizeof(Item));
  for_rows(args, axis, select_layout(out, axis, sizeof(Item)), [&](const Row& row) {
    Selection& state = reinterpret_cast<Selection*>(args.carry.data())[row.number];
    std::byte* items = args.carry.data() + carry.states +
                       static_cast<size_t>(row.number) * (carry.kept + carry.waiting);
    if (call.in.first()) {
      if (call.out.first()) state = Selection();
      state.passed = state.kept = state.waiting = 0;
    }
    Selector<Item> selector{state,
                            reinterpret_cast<Item*>(items),
                            reinterpret_cast<Item*>(items + carry.kept),
                            reinterpret_cast<Item*>(row.items),
                            row.counters,
                            row.n,
                            row.chunks,
                            key_bytes};
    selector.take(args.inputs[0].shape[axis], [&](int64_t i) { return make(row, i); });
    if (!call.in.last()) return;
    selector.finish();
    store(row, selector.kept);
  });
}

void select_values(const KernelArgs& args, const SelectCall& call) {
  const Dtype dtype = args.inputs[0].dtype;
  if (dtype == Dtype::kComplex64)
    return select_rows<KeyValue>(
        args, call, 8,
        [](const Row& row, int64_t i) {
          const auto* in = reinterpret_cast<const uint64_t*>(row.in);
          return KeyValue{complex_key(row, i), in[i * row.in_step]};
        },
        [](const Row& row, const KeyValue* items) {
          auto* out = reinterpret_cast<uint64_t*>(row.out);
          for (int64_t i = 0; i < row.n; ++i) out[i * row.out_step] = items[i].value;
        });
  visit_code(dtype, [&]<typename U, KeyKind kKind>() {
    const KeyCode<U, kKind> code(dtype);
    select_rows<U>(
        args, call, sizeof(U),
        [&](const Row& row, int64_t i) {
          return code.encode(reinterpret_cast<const U*>(row.in)[i * row.in_step]);
        },
        [&](const Row& row, const U* items) {
          U* out = reinterpret_cast<U*>(row.out);
          for (int64_t i = 0; i < row.n; ++i) out[i * row.out_step] = code.decode(items[i]);
        });
  });
}

void select_positions(const KernelArgs& args, const SelectCall& call) {
  const Dtype dtype = args.inputs[0].dtype;
  const auto at = [&](int64_t i) { return static_cast<uint32_t>(call.in.begin + i); };
  const auto store = [](const Row& row, const auto* items) { store_positions(row, items); };
  if (dtype == Dtype::kComplex64)
    return select_rows<KeyAt<uint64_t>>(
        args, call, 8,
        [&](const Row& row, int64_t i) {
          return KeyAt<uint64_t>{complex_key(row, i), at(i)};
        },
        store);
  visit_code(dtype, [&]<typename U, KeyKind kKind>() {
    const KeyCode<U, kKind> code(dtype);
    using Key = std::conditional_t<sizeof(U) == 8, uint64_t, uint32_t>;
    select_rows<KeyAt<Key>>(
        args, call, sizeof(U),
        [&](const Row& row, int64_t i) {
          const U value = reinterpret_cast<const U*>(row.in)[i * row.in_step];
          return KeyAt<Key>{Key{code.encode_equal_nans(value)}, at(i)};
        },
        store);
  });
}

void sort(const KernelArgs& args) {
  const Tensor& in = args.inputs[0];
  const int axis = axis_of(args.attrs);
  if (const SelectCall call(args); !call.whole()) return select_values(args, call);
  const SortLayout s = sort_layout({in.dtype, in.shape}, axis);
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
  const int axis = axis_of(args.attrs);
  const SelectCall call(args);
  PLIMSOLL_CHECK(call.in.extent <= int64_t{1} << 32, ValueError,
                 "[argsort] expected at most 2^32 elements along the axis, got {}; sort parts",
                 call.in.extent);
  if (!call.whole()) return select_positions(args, call);
  const SortLayout s = argsort_layout({in.dtype, in.shape}, axis);
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
  row.carry = sort_carry;
  row.carry_only_cut = true;
  table.add("sort", device::kAllDtypes, row);
  row.run = argsort;
  row.workspace = argsort_workspace;
  row.carry = argsort_carry;
  table.add("argsort", device::kAllDtypes, row);
}

}  // namespace plimsoll::cpu
