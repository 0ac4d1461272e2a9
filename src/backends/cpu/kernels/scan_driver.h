// Walks a scan in its canonical order: blocks of kScanBlock elements (last axis) or kScanRowBlock
// rows (other axes) are scanned on their own, then the carry of the blocks before is applied.
#pragma once

#include "device/kernel.h"
#include "opset/scan.h"

namespace plimsoll::cpu {

/// One block for `count` neighbouring lines.
struct ScanBlock {
  const std::byte* x = nullptr;  // first element in scan order
  std::byte* y = nullptr;        // same place in the output; null: only the totals are wanted
  int64_t n = 0;                 // steps
  int64_t step = 1;              // elements from one step to the next; negative in reverse
  int64_t count = 1;             // lines, one element apart; 1 where the last axis is scanned
  bool inclusive = true;
};

struct ScanLeaf {
  uint32_t size = 0;        // bytes of an element
  uint32_t total_size = 0;  // bytes of a block's total: at most 8
  uint32_t carry_size = 0;  // at most 16
  void (*line)(const ScanBlock&, const void* carry, void* total) = nullptr;
  void (*columns)(const ScanBlock&, const void* carry, void* totals) = nullptr;
  void (*start)(void* carry, int64_t count) = nullptr;
  void (*advance)(void* carry, const void* totals, int64_t count) = nullptr;
};

void run_scan(const ScanLeaf& leaf, const device::KernelArgs& args);
size_t scan_workspace(const OpInstance& op);

/// Leaves of each op, by dtype; null where the op has none for it.
const ScanLeaf* cumsum_leaf(Dtype t);
const ScanLeaf* cumprod_leaf(Dtype t);
const ScanLeaf* cummax_leaf(Dtype t);
const ScanLeaf* cummin_leaf(Dtype t);
const ScanLeaf* logcumsumexp_leaf(Dtype t);

}  // namespace plimsoll::cpu
