#include "backends/cpu/gemm.h"

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backends/cpu/float_mode.h"
#include "backends/cpu/gemm_plan.h"
#include "base/check.h"

namespace plimsoll::cpu {
namespace gemm_internal {
namespace {

constexpr size_t kAlign = 64;

/// Element offsets of one product of the batch.
struct BatchOffset {
  int64_t a = 0, b = 0, c = 0, accum = 0;
};

BatchOffset offset_of(const GemmBatch& batch, int64_t index) {
  BatchOffset o;
  for (size_t i = batch.shape.size(); i-- > 0;) {
    const int64_t at = index % batch.shape[i];
    index /= batch.shape[i];
    o.a += at * batch.a_strides[i];
    o.b += at * batch.b_strides[i];
    o.c += at * batch.c_strides[i];
    if (!batch.accum_strides.empty()) o.accum += at * batch.accum_strides[i];
  }
  return o;
}

/// A block of C (or of Cᵀ where the plan is swapped) and where its parts lie.
class BlockRun {
 public:
  BlockRun(const GemmArgs& args, const Plan& plan, const Kernels& kernels, const BatchOffset& at,
           int64_t block, std::byte* scratch)
      : args_(args), plan_(plan), kernels_(kernels), at_(at), scratch_(scratch) {
    row_ = block / plan.blocks_n() * plan.block_m;
    col_ = block % plan.blocks_n() * plan.block_n;
    rows_ = std::min(plan.block_m, plan.m - row_);
    cols_ = std::min(plan.block_n, plan.n - col_);
  }

  void run() const {
    BlockJob job{.a = lanes_of_a(),
                 .b = lanes_of_b(),
                 .m = rows_,
                 .n = cols_,
                 .k = plan_.k,
                 .accumulate = args_.accumulate,
                 .rows_per_pack = plan_.rows_per_pack,
                 .k_step = plan_.k_step,
                 .b_in_place = plan_.in_place,
                 .a_pack = scratch_,
                 .b_pack = scratch_ + plan_.scratch.b_pack,
                 .chain = scratch_ + plan_.scratch.chain};
    if (plan_.staged) {
      job.c = stage();
      job.ldc = stage_step();
      if (args_.accumulate) load_stage();
    } else {
      job.c = sums(row_, col_);
      job.ldc = sums_step();
    }
    kernels_.block(job);
    if (is_half(args_.type) && args_.finish) {
      round_rows(static_cast<const float*>(job.c), job.ldc);
    } else if (plan_.staged) {
      store_stage();
    }
  }

 private:
  static Operand operand(const void* data, int64_t offset, int64_t lane, int64_t lanes,
                         int64_t lane_stride, int64_t k_stride, int64_t bytes) {
    return {.data = static_cast<const std::byte*>(data) + (offset + lane * lane_stride) * bytes,
            .lanes = lanes - lane,
            .lane_stride = lane_stride * bytes,
            .k_stride = k_stride * bytes};
  }
  Operand rows_of_a(int64_t lane) const {
    const MatView& a = args_.a;
    return operand(a.data, at_.a, lane, a.rows, a.row_stride, a.col_stride,
                   element_bytes(args_.type));
  }
  Operand cols_of_b(int64_t lane) const {
    const MatView& b = args_.b;
    return operand(b.data, at_.b, lane, b.cols, b.col_stride, b.row_stride,
                   element_bytes(args_.type));
  }
  Operand lanes_of_a() const { return plan_.swapped ? cols_of_b(row_) : rows_of_a(row_); }
  Operand lanes_of_b() const { return plan_.swapped ? rows_of_a(col_) : cols_of_b(col_); }

  // Not a multiple of 4 KB, whose rows would share few cache sets.
  int64_t stage_step() const { return cols_ + kStagePad; }
  std::byte* stage() const { return scratch_ + plan_.scratch.stage; }
  int64_t sums_step() const {
    return is_half(args_.type) ? args_.accum_row_stride : args_.c_row_stride;
  }
  /// Where the sum of element (row, col) of C is kept between windows of K.
  std::byte* sums(int64_t row, int64_t col) const {
    const int64_t offset = row * sums_step() + col;
    if (is_half(args_.type)) {
      return reinterpret_cast<std::byte*>(args_.accum + at_.accum + offset);
    }
    return static_cast<std::byte*>(args_.c) + (at_.c + offset) * element_bytes(args_.type);
  }

  /// Calls f(sum in the stage, its home) for runs of `n` sums that are contiguous in both.
  template <class F>
  void for_each_run(F f) const {
    const size_t bytes = static_cast<size_t>(sum_bytes(args_.type));
    for (int64_t i = 0; i < rows_; ++i) {
      std::byte* row = stage() + i * stage_step() * bytes;
      if (!plan_.swapped) {
        f(row, sums(row_ + i, col_), bytes * cols_);
      } else {
        for (int64_t j = 0; j < cols_; ++j) {
          f(row + j * bytes, sums(col_ + j, row_ + i), bytes);
        }
      }
    }
  }
  void load_stage() const {
    for_each_run([](std::byte* s, std::byte* home, size_t n) { std::memcpy(s, home, n); });
  }
  void store_stage() const {
    for_each_run([](std::byte* s, std::byte* home, size_t n) { std::memcpy(home, s, n); });
  }

  void round_rows(const float* sum, int64_t step) const {
    auto* c = static_cast<uint16_t*>(args_.c) + at_.c;
    for (int64_t i = 0; i < rows_; ++i, sum += step) {
      if (!plan_.swapped) {
        kernels_.round(sum, c + (row_ + i) * args_.c_row_stride + col_, cols_);
        continue;
      }
      constexpr int64_t kRun = 64;
      uint16_t part[kRun];
      for (int64_t j = 0; j < cols_; j += kRun) {
        const int64_t n = std::min(kRun, cols_ - j);
        kernels_.round(sum + j, part, n);
        for (int64_t x = 0; x < n; ++x) {
          c[(col_ + j + x) * args_.c_row_stride + row_ + i] = part[x];
        }
      }
    }
  }

  const GemmArgs& args_;
  const Plan& plan_;
  const Kernels& kernels_;
  BatchOffset at_;
  std::byte* scratch_;
  int64_t row_, col_, rows_, cols_;
};

/// Workers take blocks from one counter, so a slow worker never holds up the others.
void run_blocks(const GemmArgs& args, const GemmBatch& batch, int64_t products, const Plan& plan,
                std::byte* scratch) {
  const Kernels kernels = kernels_for(args.type);
  const int64_t items = plan.blocks() * products;
  std::atomic<int64_t> next{0};
  const auto work = [&](int worker) {
    const ScopedFloatMode mode;
    std::byte* mine = scratch + worker * plan.scratch.total;
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < items;) {
      const BatchOffset at = offset_of(batch, i / plan.blocks());
      BlockRun(args, plan, kernels, at, i % plan.blocks(), mine).run();
    }
  };
  if (plan.workers <= 1) return work(0);
  tbb::parallel_for(0, plan.workers, work, tbb::simple_partitioner());
}

/// The empty sum.
void fill_zero(const GemmArgs& args, const GemmBatch& batch, int64_t products) {
  const int64_t bytes = element_bytes(args.type);
  for (int64_t p = 0; p < products; ++p) {
    auto* c = static_cast<std::byte*>(args.c) + offset_of(batch, p).c * bytes;
    for (int64_t i = 0; i < args.a.rows; ++i) {
      std::memset(c + i * args.c_row_stride * bytes, 0, args.b.cols * bytes);
    }
  }
}

std::byte* aligned(std::byte* p) {
  return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(p) + kAlign - 1) &
                                      ~uintptr_t{kAlign - 1});
}

}  // namespace
}  // namespace gemm_internal

using namespace gemm_internal;

size_t gemm_workspace(GemmType type, int64_t m, int64_t n, int64_t k, int threads,
                      int64_t products) {
  if (m == 0 || n == 0) return kAlign;
  const GemmArgs args{.type = type, .a = {.rows = m, .cols = k}, .b = {.rows = k, .cols = n}};
  const Plan plan = plan_product(args, std::max<int64_t>(products, 1), std::max(threads, 1));
  return plan.scratch.total * static_cast<size_t>(plan.workers) + kAlign;
}

void gemm(const GemmArgs& args) { gemm_batched(args, {}); }

void gemm_batched(const GemmArgs& args, const GemmBatch& batch) {
  const int64_t m = args.a.rows, n = args.b.cols, k = args.a.cols;
  PLIMSOLL_ASSERT(args.b.rows == k);
  PLIMSOLL_ASSERT(!is_half(args.type) || args.accum || (args.finish && !args.accumulate));
  int64_t products = 1;
  for (int64_t extent : batch.shape) products *= extent;
  if (m == 0 || n == 0 || products == 0) return;
  if (k == 0) return args.accumulate ? void() : fill_zero(args, batch, products);
  PLIMSOLL_ASSERT(args.workspace.size() >= gemm_workspace(args.type, m, n, k, 1));
  const size_t slots = (args.workspace.size() - kAlign) / scratch_for(args.type, m, n, k).total;
  const size_t threads = static_cast<size_t>(tbb::this_task_arena::max_concurrency());
  const Plan plan = plan_product(args, products, static_cast<int>(std::min(slots, threads)));
  run_blocks(args, batch, products, plan, aligned(args.workspace.data()));
}

}  // namespace plimsoll::cpu
