// Runs a kernel row whole, or cut in random places as its Tiling allows, on plain vectors.
#pragma once

#include <oneapi/tbb/task_arena.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "backends/cpu/kernels/half.h"
#include "device/kernel.h"
#include "tests/unit/backends/cpu/threads.h"

namespace plimsoll::test {

struct Data {
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  std::vector<std::byte> bytes;

  Data() = default;
  Data(Dtype t, Shape s) : dtype(t), shape(s), bytes(num_elements(s) * size_of(t)) {}
  int64_t size() const { return num_elements(shape); }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(bytes.data());
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
  TensorSpec spec() const { return {dtype, shape}; }
  device::Tensor tensor() { return {bytes.data(), dtype, shape, row_major(shape)}; }
};

/// Element i as long double (the real part of a complex number).
inline long double get(const Data& d, int64_t i) {
  switch (d.dtype) {
    case Dtype::kBool:
    case Dtype::kUint8:
      return d.as<uint8_t>()[i];
    case Dtype::kUint16:
      return d.as<uint16_t>()[i];
    case Dtype::kUint32:
      return d.as<uint32_t>()[i];
    case Dtype::kUint64:
      return d.as<uint64_t>()[i];
    case Dtype::kInt8:
      return d.as<int8_t>()[i];
    case Dtype::kInt16:
      return d.as<int16_t>()[i];
    case Dtype::kInt32:
      return d.as<int32_t>()[i];
    case Dtype::kInt64:
      return d.as<int64_t>()[i];
    case Dtype::kFloat16:
      return to_float(d.as<Float16>()[i]);
    case Dtype::kBfloat16:
      return to_float(d.as<Bfloat16>()[i]);
    case Dtype::kFloat32:
      return d.as<float>()[i];
    case Dtype::kFloat64:
      return d.as<double>()[i];
    case Dtype::kComplex64:
      return d.as<std::complex<float>>()[i].real();
  }
  return 0;
}

inline void set(Data& d, int64_t i, double v) {
  switch (d.dtype) {
    case Dtype::kBool:
      d.as<uint8_t>()[i] = v != 0;
      break;
    case Dtype::kUint8:
      d.as<uint8_t>()[i] = static_cast<uint8_t>(static_cast<int64_t>(v));
      break;
    case Dtype::kUint16:
      d.as<uint16_t>()[i] = static_cast<uint16_t>(static_cast<int64_t>(v));
      break;
    case Dtype::kUint32:
      d.as<uint32_t>()[i] = static_cast<uint32_t>(static_cast<int64_t>(v));
      break;
    case Dtype::kUint64:
      d.as<uint64_t>()[i] = static_cast<uint64_t>(static_cast<int64_t>(v));
      break;
    case Dtype::kInt8:
      d.as<int8_t>()[i] = static_cast<int8_t>(static_cast<int64_t>(v));
      break;
    case Dtype::kInt16:
      d.as<int16_t>()[i] = static_cast<int16_t>(static_cast<int64_t>(v));
      break;
    case Dtype::kInt32:
      d.as<int32_t>()[i] = static_cast<int32_t>(static_cast<int64_t>(v));
      break;
    case Dtype::kInt64:
      d.as<int64_t>()[i] = static_cast<int64_t>(v);
      break;
    case Dtype::kFloat16:
      d.as<Float16>()[i] = to_float16(v);
      break;
    case Dtype::kBfloat16:
      d.as<Bfloat16>()[i] = to_bfloat16(v);
      break;
    case Dtype::kFloat32:
      d.as<float>()[i] = static_cast<float>(v);
      break;
    case Dtype::kFloat64:
      d.as<double>()[i] = v;
      break;
    case Dtype::kComplex64:
      d.as<std::complex<float>>()[i] = {static_cast<float>(v), 0};
      break;
  }
}

/// Normal numbers for floats; small integers else.
inline Data random_data(Dtype t, const Shape& shape, uint32_t seed) {
  Data d(t, shape);
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> small(kind_of(t) == DtypeKind::kSigned ? -100 : 0, 100);
  for (int64_t i = 0; i < d.size(); ++i) {
    if (t == Dtype::kComplex64)
      d.as<std::complex<float>>()[i] = {normal(rng), normal(rng)};
    else if (t == Dtype::kBool)
      set(d, i, small(rng) > 50);
    else
      set(d, i, is_floating(t) ? normal(rng) : small(rng));
  }
  return d;
}

struct Call {
  const device::KernelRow* row = nullptr;
  const AttrBase* attrs = nullptr;
  std::vector<Data> inputs;
  std::vector<TensorSpec> outputs;

  std::vector<TensorSpec> input_specs() const {
    std::vector<TensorSpec> s;
    for (const Data& d : inputs) s.push_back(d.spec());
    return s;
  }
};

using Buffer = std::vector<std::byte>;

/// `size` bytes of garbage at a 64-byte boundary.
inline std::span<std::byte> garbage(Buffer& b, size_t size) {
  b.assign(size + 64, std::byte{0xa5});
  auto* p = b.data();
  p += (64 - reinterpret_cast<uintptr_t>(p) % 64) % 64;
  return {p, size};
}

inline void invoke(const Call& call, std::vector<Data>& in, std::vector<Data>& out,
                   std::span<std::byte> carry, std::span<const TileWindow> windows) {
  std::vector<TensorSpec> is, os;
  std::vector<device::Tensor> it, ot;
  for (Data& d : in) is.push_back(d.spec()), it.push_back(d.tensor());
  for (Data& d : out) os.push_back(d.spec()), ot.push_back(d.tensor());
  Buffer scratch;
  const OpInstance op{is, os, call.attrs};
  const size_t bytes = call.row->workspace ? call.row->workspace(op) : 0;
  call.row->run({it, ot, garbage(scratch, bytes), carry, call.attrs, windows});
}

inline std::vector<Data> make_outputs(const Call& call) {
  std::vector<Data> out;
  for (const TensorSpec& s : call.outputs) {
    out.emplace_back(s.dtype, s.shape);
    std::memset(out.back().bytes.data(), 0x5a, out.back().bytes.size());
  }
  return out;
}

inline std::vector<Data> run_whole(const Call& call) {
  std::vector<Data> in = call.inputs;
  std::vector<Data> out = make_outputs(call);
  invoke(call, in, out, {}, {});
  return out;
}

/// Copies box [begin, begin + part.shape) of `whole` to `part`, or back.
inline void copy_box(Data& whole, Data& part, const Dims& begin, bool back) {
  const size_t e = size_of(whole.dtype);
  const Strides ws = row_major(whole.shape), ps = row_major(part.shape);
  for (int64_t i = 0; i < part.size(); ++i) {
    int64_t at = 0, rest = i;
    for (size_t a = 0; a < ps.size(); ++a) {
      at += (rest / ps[a] + begin[a]) * ws[a];
      rest %= ps[a];
    }
    auto* w = whole.bytes.data() + at * e;
    auto* p = part.bytes.data() + i * e;
    std::memcpy(back ? w : p, back ? p : w, e);
  }
}

class CutRunner {
 public:
  CutRunner(const Call& call, const Tiling& tiling, uint32_t seed)
      : call_(call), tiling_(tiling), rng_(seed), in_(call.inputs), out_(make_outputs(call)) {
    for (int pass = 0; pass < 2; ++pass)
      for (int i = 0; i < static_cast<int>(tiling.size()); ++i)
        if (tiling[i].ordered == (pass == 1)) axes_.push_back(i);
  }

  std::vector<Data> run() {
    nest(0);
    return out_;
  }

 private:
  void nest(size_t depth) {
    if (depth == axes_.size()) return turn();
    const TileAxis& t = tiling_[axes_[depth]];
    if (t.ordered && (depth == 0 || !tiling_[axes_[depth - 1]].ordered)) new_carry();
    int64_t begin = 0;
    const int64_t grains = (t.extent + t.grain - 1) / t.grain;
    const int64_t step = std::max<int64_t>(1, grains / 3);
    do {
      const int64_t take = std::uniform_int_distribution<int64_t>(1, 2 * step)(rng_) * t.grain;
      const int64_t end = std::min(t.extent, begin + take);
      windows_.push_back({axes_[depth], begin, end, t.extent});
      nest(depth + 1);
      windows_.pop_back();
      begin = end;
    } while (begin < t.extent);
  }

  void new_carry() {
    const std::vector<TensorSpec> is = call_.input_specs();
    const OpInstance op{is, call_.outputs, call_.attrs};
    carry_ = garbage(carry_bytes_, call_.row->carry ? call_.row->carry(op) : 0);
  }

  Data box(const Data& whole, size_t operand, bool output, Dims& begin) {
    Shape shape = whole.shape;
    begin = Dims(shape.size(), 0);
    for (const TileWindow& w : windows_) {
      const TileAxis& t = tiling_[w.axis];
      const int8_t axis = output ? t.output_axis[operand] : t.input_axis[operand];
      if (axis == kWhole) continue;
      shape[axis] = w.end - w.begin;
      begin[axis] = w.begin;
    }
    return Data(whole.dtype, shape);
  }

  void turn() {
    std::vector<Data> in, out;
    Dims begin;
    for (size_t i = 0; i < in_.size(); ++i) {
      in.push_back(box(in_[i], i, false, begin));
      copy_box(in_[i], in.back(), begin, false);
    }
    std::vector<Dims> begins(out_.size());
    for (size_t i = 0; i < out_.size(); ++i) {
      out.push_back(box(out_[i], i, true, begins[i]));
      copy_box(out_[i], out.back(), begins[i], false);
    }
    invoke(call_, in, out, carry_, windows_);
    for (size_t i = 0; i < out_.size(); ++i) copy_box(out_[i], out[i], begins[i], true);
  }

  const Call& call_;
  const Tiling& tiling_;
  std::mt19937 rng_;
  std::vector<Data> in_, out_;
  std::vector<int> axes_;
  std::vector<TileWindow> windows_;
  Buffer carry_bytes_;
  std::span<std::byte> carry_;
};

inline std::vector<Data> run_cut(const Call& call, const Tiling& tiling, uint32_t seed) {
  return CutRunner(call, tiling, seed).run();
}

inline Tiling tiling_of(const Call& call, Tiling (*f)(const OpInstance&)) {
  const std::vector<TensorSpec> is = call.input_specs();
  return f({is, call.outputs, call.attrs});
}

/// True where every output has the same bytes.
inline bool same_bits(const std::vector<Data>& a, const std::vector<Data>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].bytes != b[i].bytes) return false;
  return a.size() == b.size();
}

template <typename F>
auto with_threads(int n, F f) {
  allow_sixteen_threads();
  tbb::task_arena arena(n);
  return arena.execute(f);
}

/// Bits of a run must not depend on cuts or threads; returns the whole run's outputs.
inline std::vector<Data> check_bits(const Call& call, Tiling (*tiling)(const OpInstance&),
                                    const std::function<void(bool, const char*)>& expect,
                                    int cuts = 3) {
  const auto whole = with_threads(1, [&] { return run_whole(call); });
  expect(same_bits(whole, with_threads(2, [&] { return run_whole(call); })), "2 threads");
  expect(same_bits(whole, with_threads(4, [&] { return run_whole(call); })), "4 threads");
  const Tiling t = tiling_of(call, tiling);
  for (int i = 0; i < cuts; ++i) expect(same_bits(whole, run_cut(call, t, 17 + i)), "cut");
  return whole;
}

/// |a - b| in units of the last place of b in `t`.
inline double ulps(long double a, long double b, Dtype t) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (a == b) return 0;
  if (!std::isfinite(a) || !std::isfinite(b)) return INFINITY;
  const int digits = t == Dtype::kFloat64    ? 53
                     : t == Dtype::kFloat16  ? 11
                     : t == Dtype::kBfloat16 ? 8
                                             : 24;
  const int lowest = t == Dtype::kFloat64 ? -1022 : t == Dtype::kFloat16 ? -14 : -126;
  const int e = b == 0 ? lowest : std::max(std::ilogb(b), lowest);
  return static_cast<double>(std::fabs(a - b) / std::ldexp(1.0L, e - digits + 1));
}

}  // namespace plimsoll::test
