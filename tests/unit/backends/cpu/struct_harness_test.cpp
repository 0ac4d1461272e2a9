#include "tests/unit/backends/cpu/struct_harness.h"

#include <bit>
#include <cmath>

namespace plimsoll::testing {
namespace {

constexpr size_t kGuard = 64;

double widen_bfloat16(uint16_t v) { return std::bit_cast<float>(static_cast<uint32_t>(v) << 16); }

double widen_float16(uint16_t v) {
  const int exponent = v >> 10 & 31, mantissa = v & 1023;
  const double sign = v >> 15 ? -1 : 1;
  if (exponent == 31) return mantissa ? std::nan("") : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// Nearest value of a format by search over its bit patterns, which are ordered like the values.
template <double (*kWiden)(uint16_t)>
uint16_t narrow(double value, uint16_t infinity) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return infinity | 1 << 6;
  const double x = std::fabs(value);
  if (std::isinf(x)) return sign | infinity;
  uint16_t low = 0, high = infinity;
  while (low + 1 < high) {
    const uint16_t mid = static_cast<uint16_t>((low + high) / 2);
    (kWiden(mid) <= x ? low : high) = mid;
  }
  const double top = 2 * kWiden(infinity - 1) - kWiden(infinity - 2);
  const double below = kWiden(low), above = high == infinity ? top : kWiden(high);
  const bool up = x - below > above - x || (x - below == above - x && (low & 1));
  return sign | (up ? high : low);
}

template <typename F>
void visit_type(Dtype t, const F& f) {
  switch (t) {
    case Dtype::kBool:
    case Dtype::kUint8:
      return f(uint8_t{});
    case Dtype::kUint16:
      return f(uint16_t{});
    case Dtype::kUint32:
      return f(uint32_t{});
    case Dtype::kUint64:
      return f(uint64_t{});
    case Dtype::kInt8:
      return f(int8_t{});
    case Dtype::kInt16:
      return f(int16_t{});
    case Dtype::kInt32:
      return f(int32_t{});
    case Dtype::kInt64:
      return f(int64_t{});
    case Dtype::kFloat32:
      return f(float{});
    default:
      return f(double{});
  }
}

device::Tensor window_of(device::Tensor t, int axis, int64_t begin, int64_t end) {
  if (axis == kWhole) return t;
  t.data = static_cast<std::byte*>(t.data) +
           begin * t.strides[axis] * static_cast<int64_t>(size_of(t.dtype));
  t.shape[axis] = end - begin;
  return t;
}

void copy(const device::Tensor& to, const device::Tensor& from, size_t d = 0, int64_t to_at = 0,
          int64_t from_at = 0) {
  const int64_t size = static_cast<int64_t>(size_of(to.dtype));
  if (d == to.shape.size()) {
    std::memcpy(to.as<std::byte>() + to_at * size, from.as<std::byte>() + from_at * size, size);
    return;
  }
  for (int64_t i = 0; i < to.shape[d]; ++i)
    copy(to, from, d + 1, to_at + i * to.strides[d], from_at + i * from.strides[d]);
}

// Bytes with a guard behind them that a kernel must leave alone.
struct Scratch {
  std::vector<std::byte> bytes;
  std::span<std::byte> span;
  explicit Scratch(size_t n) : bytes(n + kGuard + 64, std::byte{0xA5}) {
    auto at = (reinterpret_cast<uintptr_t>(bytes.data()) + 63) & ~uintptr_t{63};
    span = {reinterpret_cast<std::byte*>(at), n};
  }
  void check(const std::string& op) const {
    for (const std::byte* p = span.data() + span.size(); p < bytes.data() + bytes.size(); ++p)
      ASSERT_EQ(*p, std::byte{0xA5}) << op << " wrote past its workspace";
  }
};

std::vector<TensorSpec> specs_of(const std::vector<device::Tensor>& tensors) {
  std::vector<TensorSpec> specs;
  for (const auto& t : tensors) specs.push_back({t.dtype, t.shape});
  return specs;
}

class Runner {
 public:
  Runner(Call& call, std::vector<Cut> cuts, bool compact)
      : call_(call), cuts_(std::move(cuts)), compact_(compact) {
    row_ = call.table->find(call.op,
                            call.inputs.empty() ? call.outputs[0].dtype : call.inputs[0].dtype);
    for (HostArray& a : call.inputs) inputs_.push_back(a.tensor());
    for (const TensorSpec& s : call.outputs) {
      results_.emplace_back(s.dtype, s.shape);
      std::fill(results_.back().bytes.begin(), results_.back().bytes.end(), std::byte{0x5A});
    }
    for (HostArray& a : results_) outputs_.push_back(a.tensor());
    in_specs_ = specs_of(inputs_);
    tiling_ = call.tiling ? call.tiling(OpInstance{in_specs_, call.outputs, call.attrs}) : Tiling{};
    std::stable_sort(cuts_.begin(), cuts_.end(), [&](const Cut& x, const Cut& y) {
      return tiling_[x.axis].ordered < tiling_[y.axis].ordered;
    });
  }

  std::vector<HostArray> run() {
    EXPECT_NE(row_, nullptr) << call_.op << " has no kernel";
    if (row_) loop(0, inputs_, outputs_);
    return std::move(results_);
  }

 private:
  bool ordered_from(size_t depth) const {
    return depth == cuts_.size() || tiling_[cuts_[depth].axis].ordered;
  }

  // Outputs become compact, and the carry is made, where the ordered loops begin.
  void loop(size_t depth, std::vector<device::Tensor> in, std::vector<device::Tensor> out) {
    if (ordered_from(depth) && !carry_) {
      std::vector<HostArray> parts;
      std::vector<device::Tensor> dense = out;
      if (compact_ && depth > 0) {
        for (const auto& t : out) parts.emplace_back(t.dtype, t.shape);
        for (size_t i = 0; i < parts.size(); ++i) dense[i] = parts[i].tensor();
      }
      const auto ins = specs_of(in);
      Scratch carry(carry_size(ins, specs_of(dense)));
      carry_ = &carry;
      turns(depth, in, dense);
      carry_ = nullptr;
      carry.check(call_.op);
      for (size_t i = 0; i < parts.size(); ++i) copy(out[i], dense[i]);
      return;
    }
    turns(depth, in, out);
  }

  // Over the whole of ordered axes, but a tile of those that repeat.
  size_t carry_size(std::span<const TensorSpec> ins, std::vector<TensorSpec> outs) const {
    if (!row_->carry) return 0;
    bool turns = false;
    for (const Cut& cut : cuts_) {
      const TileAxis& axis = tiling_[cut.axis];
      turns |= axis.ordered && cut.piece < axis.extent;
      for (size_t i = 0; axis.repeats() && i < outs.size(); ++i)
        if (axis.output_axis[i] != kWhole)
          outs[i].shape[axis.output_axis[i]] = std::min(cut.piece, axis.extent);
    }
    return turns || !row_->carry_only_cut ? row_->carry(OpInstance{ins, outs, call_.attrs}) : 0;
  }

  void turns(size_t depth, const std::vector<device::Tensor>& in,
             const std::vector<device::Tensor>& out) {
    if (depth == cuts_.size()) return call_kernel(in, out);
    const TileAxis& axis = tiling_[cuts_[depth].axis];
    EXPECT_EQ(cuts_[depth].piece % axis.grain, 0);
    for (int64_t begin = 0; begin < axis.extent || begin == 0; begin += cuts_[depth].piece) {
      const int64_t end = std::min(begin + cuts_[depth].piece, axis.extent);
      windows_.push_back({cuts_[depth].axis, begin, end, axis.extent});
      auto part_in = in, part_out = out;
      for (size_t i = 0; i < in.size(); ++i)
        part_in[i] = window_of(in[i], axis.input_axis[i], begin, end);
      for (size_t i = 0; i < out.size(); ++i)
        part_out[i] = window_of(out[i], axis.output_axis[i], begin, end);
      loop(depth + 1, part_in, part_out);
      windows_.pop_back();
    }
  }

  void call_kernel(std::vector<device::Tensor> in, const std::vector<device::Tensor>& out) {
    std::vector<HostArray> parts;
    if (compact_) {
      for (const auto& t : in) parts.emplace_back(t.dtype, t.shape);
      for (size_t i = 0; i < in.size(); ++i) {
        copy(parts[i].tensor(), in[i]);
        in[i] = parts[i].tensor();
      }
    }
    const auto ins = specs_of(in), outs = specs_of(out);
    Scratch work(row_->workspace ? row_->workspace(OpInstance{ins, outs, call_.attrs}) : 0);
    device::KernelArgs args{in, out, work.span, carry_->span, call_.attrs, windows_};
    row_->run(args);
    work.check(call_.op);
  }

  Call& call_;
  std::vector<Cut> cuts_;
  bool compact_;
  const device::KernelRow* row_ = nullptr;
  Tiling tiling_;
  std::vector<device::Tensor> inputs_, outputs_;
  std::vector<TensorSpec> in_specs_;
  std::vector<HostArray> results_;
  std::vector<TileWindow> windows_;
  Scratch* carry_ = nullptr;
};

}  // namespace

std::complex<double> HostArray::get(int64_t i) const {
  if (dtype == Dtype::kBfloat16) return widen_bfloat16(data<uint16_t>()[i]);
  if (dtype == Dtype::kFloat16) return widen_float16(data<uint16_t>()[i]);
  if (dtype == Dtype::kComplex64) return data<std::complex<float>>()[i];
  double value = 0;
  visit_type(dtype, [&]<typename T>(T) { value = static_cast<double>(data<T>()[i]); });
  return value;
}

void HostArray::set(int64_t i, std::complex<double> value) {
  if (dtype == Dtype::kBfloat16) {
    data<uint16_t>()[i] = narrow<widen_bfloat16>(value.real(), 0x7F80);
  } else if (dtype == Dtype::kFloat16) {
    data<uint16_t>()[i] = narrow<widen_float16>(value.real(), 0x7C00);
  } else if (dtype == Dtype::kComplex64) {
    data<std::complex<float>>()[i] = std::complex<float>(value);
  } else {
    visit_type(dtype, [&]<typename T>(T) { data<T>()[i] = static_cast<T>(value.real()); });
  }
}

HostArray make(Dtype dtype, Shape shape, std::initializer_list<double> values) {
  HostArray a(dtype, std::move(shape));
  int64_t i = 0;
  for (double v : values) a.set(i++, v);
  EXPECT_EQ(i, a.count());
  return a;
}

HostArray random_ints(Dtype dtype, Shape shape, int low, int high, uint32_t seed) {
  std::mt19937 rng(seed);
  HostArray a(dtype, std::move(shape));
  for (int64_t i = 0; i < a.count(); ++i)
    a.set(i, low + static_cast<int>(rng() % static_cast<uint32_t>(high - low + 1)));
  return a;
}

HostArray random_values(Dtype dtype, Shape shape, uint32_t seed) {
  if (dtype == Dtype::kBool) return random_ints(dtype, std::move(shape), 0, 1, seed);
  if (!is_inexact(dtype))
    return random_ints(dtype, std::move(shape), kind_of(dtype) == DtypeKind::kSigned ? -9 : 0, 9,
                       seed);
  std::mt19937 rng(seed);
  std::normal_distribution<double> normal;
  HostArray a(dtype, std::move(shape));
  for (int64_t i = 0; i < a.count(); ++i) {
    const double real = normal(rng);
    a.set(i, {real, dtype == Dtype::kComplex64 ? normal(rng) : 0});
  }
  return a;
}

std::vector<HostArray> run_whole(Call call, int threads) {
  std::vector<HostArray> out;
  tbb::task_arena(threads).execute([&] { out = Runner(call, {}, false).run(); });
  return out;
}

std::vector<HostArray> run_cut(Call call, std::vector<Cut> cuts, bool compact) {
  return Runner(call, std::move(cuts), compact).run();
}

void expect_same_bits(const std::vector<HostArray>& got, const std::vector<HostArray>& want,
                      const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_TRUE(got[i].bytes == want[i].bytes) << what << ": output " << i << " differs";
}

void expect_cuts_and_threads_keep_bits(const Call& call) {
  const auto want = run_whole(call, 2);
  for (int threads : {1, 3, 8})
    expect_same_bits(run_whole(call, threads), want, std::to_string(threads) + " threads");
  std::vector<TensorSpec> ins;
  for (const HostArray& a : call.inputs) ins.push_back({a.dtype, a.shape});
  const Tiling tiling = call.tiling(OpInstance{ins, call.outputs, call.attrs});
  std::vector<Cut> all;
  for (int axis = 0; axis < static_cast<int>(tiling.size()); ++axis) {
    const TileAxis& t = tiling[axis];
    const int64_t grains = std::max<int64_t>(1, (t.extent + t.grain - 1) / t.grain);
    for (int64_t pieces : {int64_t{2}, int64_t{3}, grains}) {
      const Cut cut{axis, std::max<int64_t>(1, (grains + pieces - 1) / pieces) * t.grain};
      for (bool compact : {false, true})
        expect_same_bits(run_cut(call, {cut}, compact), want,
                         call.op + " cut along tile axis " + std::to_string(axis) + " by " +
                             std::to_string(cut.piece));
    }
    all.push_back({axis, std::max<int64_t>(1, (grains + 1) / 2) * t.grain});
  }
  for (bool compact : {false, true})
    expect_same_bits(run_cut(call, all, compact), want, call.op + " cut along all tile axes");
}

namespace {

TEST(StructHarness, RoundsToNearestEven) {
  HostArray a = make(Dtype::kBfloat16, {4}, {257, 259, -1e39, 1.0 / 3});
  EXPECT_EQ(a.get(0).real(), 256);
  EXPECT_EQ(a.get(1).real(), 260);
  EXPECT_EQ(a.get(2).real(), -INFINITY);
  EXPECT_EQ(a.get(3).real(), 0.333984375);
  a = make(Dtype::kFloat16, {3}, {2049, 65519, 65520});
  EXPECT_EQ(a.get(0).real(), 2048);
  EXPECT_EQ(a.get(1).real(), 65504);
  EXPECT_EQ(a.get(2).real(), INFINITY);
}

}  // namespace
}  // namespace plimsoll::testing
