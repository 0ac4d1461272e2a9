// Runs structured kernels on host arrays: whole, cut along any of the op's tile axes, on any number
// of threads; and checks that the bits are the same.
#pragma once

#include <gtest/gtest.h>
#include <oneapi/tbb/task_arena.h>

#include <complex>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "device/kernel.h"

namespace plimsoll::testing {

/// An array on the host; copies are deep.
struct HostArray {
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  std::vector<std::byte> bytes;

  HostArray() = default;
  HostArray(Dtype dtype_, Shape shape_)
      : dtype(dtype_), shape(std::move(shape_)), bytes(num_elements(shape) * size_of(dtype)) {}

  int64_t count() const { return num_elements(shape); }
  template <typename T>
  T* data() {
    return reinterpret_cast<T*>(bytes.data());
  }
  template <typename T>
  const T* data() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
  device::Tensor tensor() { return {bytes.data(), dtype, shape, row_major(shape)}; }
  /// Element i in row-major order, widened; complex ones keep both parts.
  std::complex<double> get(int64_t i) const;
  void set(int64_t i, std::complex<double> value);  // rounds to nearest even
};

HostArray make(Dtype dtype, Shape shape, std::initializer_list<double> values);
/// Whole numbers in [low, high].
HostArray random_ints(Dtype dtype, Shape shape, int low, int high, uint32_t seed);
/// Normal values (0 or 1 for bool, small whole numbers for integers).
HostArray random_values(Dtype dtype, Shape shape, uint32_t seed);

/// A call of one op: what to run and on what.
struct Call {
  const device::KernelTable* table = nullptr;
  std::string op;
  std::vector<HostArray> inputs;
  std::vector<TensorSpec> outputs;
  const AttrBase* attrs = nullptr;
  Tiling (*tiling)(const OpInstance&) = nullptr;
};

/// One loop over a tile axis; pieces are multiples of the axis's grain.
struct Cut {
  int axis = 0;
  int64_t piece = 1;
};

std::vector<HostArray> run_whole(Call call, int threads = 2);
/// Nested loops over the cuts (unordered ones first). `compact` gives the kernel contiguous parts,
/// otherwise they are strided views of the whole operands.
std::vector<HostArray> run_cut(Call call, std::vector<Cut> cuts, bool compact);

/// Every tile axis cut alone in several pieces, all of them at once, and other numbers of threads
/// give the bits of the whole.
void expect_cuts_and_threads_keep_bits(const Call& call);

void expect_same_bits(const std::vector<HostArray>& got, const std::vector<HostArray>& want,
                      const std::string& what);

}  // namespace plimsoll::testing
