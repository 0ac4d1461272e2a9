#include "backends/cpu/kernels/attention.h"

#include <oneapi/tbb/info.h>

#include <atomic>

#include "backends/cpu/float_mode.h"
#include "backends/cpu/kernels/attention_head.h"
#include "backends/cpu/kernels/half.h"
#include "backends/cpu/kernels/partition.h"

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;

constexpr Dtype kDtypes[] = {Dtype::kFloat16, Dtype::kBfloat16, Dtype::kFloat32};

template <typename F>
void visit_stored(Dtype t, const F& f) {
  switch (t) {
    case Dtype::kFloat16:
      return f(Float16{});
    case Dtype::kBfloat16:
      return f(Bfloat16{});
    case Dtype::kBool:
      return f(uint8_t{});
    default:
      return f(float{});
  }
}

// Scratch is given to slots, of which each runs one task at a time, so that its size does not
// depend on how many threads there will be.
int64_t slots_for(int64_t tasks) {
  return std::clamp<int64_t>(tasks, 1, tbb::info::default_concurrency());
}

template <typename Body>
void run_in_slots(int64_t tasks, std::span<std::byte> workspace, size_t floats, const Body& body) {
  float* scratch = reinterpret_cast<float*>(workspace.data());
  std::atomic<int64_t> next{0};
  run_tasks(tasks == 0 ? 0 : slots_for(tasks), [&](int64_t slot) {
    ScopedFloatMode mode;
    for (int64_t task; (task = next.fetch_add(1)) < tasks;)
      body(task, scratch + slot * static_cast<int64_t>(floats));
  });
}

size_t aligned_floats(size_t floats) { return (floats + 15) / 16 * 16; }

HeadMatrix matrix_of(const Tensor& t, int64_t batch, int64_t head) {
  const int64_t b = t.shape[0] == 1 ? 0 : batch, h = t.shape[1] == 1 ? 0 : head;
  const int64_t at = b * t.strides[0] + h * t.strides[1];
  HeadMatrix m{t.as<std::byte>() + at * static_cast<int64_t>(size_of(t.dtype)), t.dtype,
               t.strides[2], 0};
  if (t.shape.size() == 4) m.col_stride = t.strides[3];
  return m;
}

HeadMatrix mask_of(const Tensor& t, int64_t batch, int64_t head) {
  HeadMatrix m = matrix_of(t, batch, head);
  if (t.shape[2] == 1) m.row_stride = 0;
  if (t.shape[3] == 1) m.col_stride = 0;
  return m;
}

// Mask and sinks are the inputs from `first` on.
Head head_of(const KernelArgs& args, int first, int64_t batch, int64_t head) {
  const auto& attrs = static_cast<const SdpaAttrs&>(*args.attrs);
  const Tensor &q = args.inputs[0], &k = args.inputs[1], &v = args.inputs[2];
  // The gradient's tiling has no query axis.
  const bool whole = first == kSdpaVjpInputs;
  const TileWindow queries = whole ? TileWindow{0, 0, q.shape[2], q.shape[2]}
                                   : window_of(args, kSdpaQueryAxis, q.shape[2]);
  const int64_t key_head = head / (q.shape[1] / k.shape[1]);
  Head h;
  h.q = matrix_of(q, batch, head);
  h.k = matrix_of(k, batch, key_head);
  h.v = matrix_of(v, batch, key_head);
  if (attrs.has_mask) h.mask = mask_of(args.inputs[first], batch, head);
  if (attrs.has_sinks) {
    h.has_sink = true;
    h.sink = *reinterpret_cast<const float*>(
        matrix_of(args.inputs[first + attrs.has_mask], batch, head).data);
  }
  h.queries = q.shape[2];
  h.query_begin = queries.begin;
  h.query_total = queries.extent;
  h.keys = k.shape[2];
  h.dim = q.shape[3];
  h.value_dim = v.shape[3];
  h.scale = attrs.scale;
  h.causal = attrs.causal;
  return h;
}

size_t forward_slot(const Shape& q, const Shape& v) {
  return aligned_floats(attention_forward_floats(q[3], v[3]));
}

int64_t forward_tasks(const Shape& q) { return q[0] * q[1] * ceil_div(q[2], kQueryBlock); }

size_t forward_workspace(const OpInstance& op) {
  return sizeof(float) * forward_slot(op.inputs[0].shape, op.inputs[2].shape) *
         static_cast<size_t>(slots_for(forward_tasks(op.inputs[0].shape)));
}

void sdpa(const KernelArgs& args) {
  const Shape& q = args.inputs[0].shape;
  const int64_t blocks = ceil_div(q[2], kQueryBlock), heads = q[1];
  run_in_slots(forward_tasks(q), args.workspace, forward_slot(q, args.inputs[2].shape),
               [&](int64_t task, float* scratch) {
                 const int64_t h = task / blocks % heads, b = task / blocks / heads;
                 // The last block of a causal head is its longest: it goes first.
                 const int64_t i = (blocks - 1 - task % blocks) * kQueryBlock;
                 Head head = head_of(args, kSdpaInputs, b, h);
                 head.out = matrix_of(args.outputs[0], b, h);
                 head.lse = matrix_of(args.outputs[1], b, h);
                 attention_forward(head, i, std::min(kQueryBlock, q[2] - i), scratch);
               });
}

size_t vjp_slot(const Shape& q, const Shape& k, const Shape& v) {
  return aligned_floats(attention_vjp_floats(q[2], k[2], q[3], v[3]));
}

size_t vjp_workspace(const OpInstance& op) {
  const Shape& k = op.inputs[1].shape;
  return sizeof(float) * vjp_slot(op.inputs[0].shape, k, op.inputs[2].shape) *
         static_cast<size_t>(slots_for(k[0] * k[1]));
}

void sdpa_vjp(const KernelArgs& args) {
  const Shape &q = args.inputs[0].shape, &k = args.inputs[1].shape, &v = args.inputs[2].shape;
  const int64_t group = k[1] ? q[1] / k[1] : 0;
  run_in_slots(group == 0 ? 0 : k[0] * k[1], args.workspace, vjp_slot(q, k, v),
               [&](int64_t task, float* scratch) {
                 const int64_t b = task / k[1], key_head = task % k[1];
                 SmallVector<Head, 8> heads;
                 for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h) {
                   Head head = head_of(args, kSdpaVjpInputs, b, h);
                   head.out = matrix_of(args.inputs[3], b, h);
                   head.lse = matrix_of(args.inputs[4], b, h);
                   head.g = matrix_of(args.inputs[5], b, h);
                   head.dq = matrix_of(args.outputs[0], b, h);
                   head.dk = matrix_of(args.outputs[1], b, key_head);
                   head.dv = matrix_of(args.outputs[2], b, key_head);
                   heads.push_back(head);
                 }
                 attention_vjp(heads.data(), group, scratch);
               });
}

}  // namespace

void load_rows(const HeadMatrix& m, int64_t row, int64_t rows, int64_t cols, float* dst, int64_t ld,
               int64_t width) {
  visit_stored(m.dtype, [&]<typename T>(T) {
    for (int64_t r = 0; r < rows; ++r) {
      const T* src = reinterpret_cast<const T*>(m.at(row + r));
      for (int64_t c = 0; c < cols; ++c) dst[r * ld + c] = to_lane<float>(src[c * m.col_stride]);
      std::fill(dst + r * ld + cols, dst + r * ld + std::max(width, cols), 0.0f);
    }
  });
}

void load_transposed(const HeadMatrix& m, int64_t row, int64_t rows, int64_t cols, float scale,
                     float* dst, int64_t ld, int64_t width) {
  visit_stored(m.dtype, [&]<typename T>(T) {
    const T* src = reinterpret_cast<const T*>(m.at(row));
    for (int64_t c = 0; c < cols; ++c) {
      for (int64_t r = 0; r < rows; ++r)
        dst[c * ld + r] = scale * to_lane<float>(src[r * m.row_stride + c * m.col_stride]);
      std::fill(dst + c * ld + rows, dst + c * ld + std::max(width, rows), 0.0f);
    }
  });
}

void store_rows(const HeadMatrix& m, int64_t row, int64_t rows, int64_t cols, float scale,
                const float* src, int64_t ld) {
  visit_stored(m.dtype, [&]<typename T>(T) {
    for (int64_t r = 0; r < rows; ++r) {
      T* dst = reinterpret_cast<T*>(m.at(row + r));
      for (int64_t c = 0; c < cols; ++c)
        dst[c * m.col_stride] = from_lane<T>(scale * src[r * ld + c]);
    }
  });
}

void store_transposed(const HeadMatrix& m, int64_t row, int64_t rows, int64_t cols,
                      const float* src, int64_t ld) {
  visit_stored(m.dtype, [&]<typename T>(T) {
    for (int64_t r = 0; r < rows; ++r) {
      T* dst = reinterpret_cast<T*>(m.at(row + r));
      for (int64_t c = 0; c < cols; ++c) dst[c * m.col_stride] = from_lane<T>(src[c * ld + r]);
    }
  });
}

void add_attention_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.strided_inputs = device::kAllInputs;
  row.run = sdpa;
  row.workspace = forward_workspace;
  table.add("sdpa", kDtypes, row);
  row.run = sdpa_vjp;
  row.workspace = vjp_workspace;
  table.add("sdpa_vjp", kDtypes, row);
}

}  // namespace plimsoll::cpu
