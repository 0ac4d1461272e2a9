#include "backends/cpu/kernels/index_list.h"

#include <atomic>
#include <limits>

#include "backends/cpu/kernels/partition.h"

namespace plimsoll::cpu {
namespace {

template <typename T>
void load_as(const T* p, int64_t step, int64_t n, int64_t extent, int64_t* out) {
  for (int64_t i = 0; i < n; ++i) {
    const T v = p[i * step];
    if constexpr (sizeof(T) == 8 && T(-1) > T(0)) {
      // Past int64 it is past every axis as well, and must not wrap to a negative index.
      constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
      out[i] = static_cast<int64_t>(v < kMost ? v : kMost);
    } else {
      const int64_t wide = static_cast<int64_t>(v);
      out[i] = wide < 0 ? wide + extent : wide;
    }
  }
}

// The index as the user wrote it.
int64_t as_written(int64_t resolved, int64_t extent) {
  return resolved < 0 ? resolved - extent : resolved;
}

}  // namespace

void IndexList::load(int64_t offset, int64_t step, int64_t n, int64_t* out) const {
  auto as = [&]<typename T>(T) { load_as(tensor->as<const T>() + offset, step, n, extent, out); };
  switch (tensor->dtype) {
    case Dtype::kUint8:
      return as(uint8_t{});
    case Dtype::kUint16:
      return as(uint16_t{});
    case Dtype::kUint32:
      return as(uint32_t{});
    case Dtype::kUint64:
      return as(uint64_t{});
    case Dtype::kInt8:
      return as(int8_t{});
    case Dtype::kInt16:
      return as(int16_t{});
    case Dtype::kInt32:
      return as(int32_t{});
    case Dtype::kInt64:
      return as(int64_t{});
    default:
      throw TypeError(fmt::format("[gather] expected integer indices, got {}; cast them first",
                                  name_of(tensor->dtype)));
  }
}

void check_indices(const char* op, const StridedLoop& loop, std::span<const IndexList> lists) {
  const int64_t count = loop.count();
  const int64_t pieces = pieces_for(8 * count, arena_threads());
  for (size_t k = 0; k < lists.size(); ++k) {
    const IndexList& list = lists[k];
    std::atomic<int64_t> first{count};
    auto scan = [&](int64_t begin, int64_t end) {
      int64_t pos = begin;
      loop.runs(begin, end, kIndexChunk, [&](const int64_t* at, int64_t n) {
        int64_t index[kIndexChunk];
        list.load(at[k], loop.inner_stride(static_cast<int>(k)), n, index);
        bool bad = false;
        for (int64_t i = 0; i < n; ++i)
          bad |= static_cast<uint64_t>(index[i]) >= static_cast<uint64_t>(list.extent);
        for (int64_t i = 0; bad && i < n; ++i) {
          if (index[i] >= 0 && index[i] < list.extent) continue;
          int64_t seen = first.load();
          while (pos + i < seen && !first.compare_exchange_weak(seen, pos + i)) {
          }
          break;
        }
        pos += n;
      });
    };
    run_tasks(pieces, [&](int64_t i) {
      scan(piece_begin(count, pieces, i), piece_begin(count, pieces, i + 1));
    });
    if (first == count) continue;
    int64_t index = 0;
    loop.runs(first, first + 1, 1,
              [&](const int64_t* at, int64_t) { list.load(at[k], 0, 1, &index); });
    throw IndexError(fmt::format(
        "[{}] expected an index in [{}, {}) for axis {} of size {}, got {}; clip the indices first",
        op, -list.extent, list.extent, list.axis, list.extent, as_written(index, list.extent)));
  }
}

void IndexRun::resolve(std::span<const IndexList> lists, const StridedLoop& loop, const int64_t* at,
                       int64_t n) {
  int64_t index[kIndexChunk];
  for (size_t k = 0; k < lists.size(); ++k) {
    const IndexList& list = lists[k];
    list.load(at[k], loop.inner_stride(static_cast<int>(k)), n, index);
    int64_t kept = 0;
    if (k == 0) {
      for (int64_t i = 0; i < n; ++i) {
        turn[kept] = i;
        offset[kept] = (index[i] - list.begin) * list.stride;
        kept += index[i] >= list.begin && index[i] < list.end;
      }
    } else {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t v = index[turn[i]];
        turn[kept] = turn[i];
        offset[kept] = offset[i] + (v - list.begin) * list.stride;
        kept += v >= list.begin && v < list.end;
      }
    }
    count = kept;
  }
}

}  // namespace plimsoll::cpu
