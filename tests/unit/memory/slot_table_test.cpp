#include "memory/slot_table.h"

#include <gtest/gtest.h>

#include "memory/host_resource.h"
#include "memory/pool.h"

namespace plimsoll::memory {
namespace {

TEST(SlotTable, IsChargedWhatItSaid) {
  HostResource resource;
  Ledger ledger;
  Pool pool(ledger, resource);
  SlotTable table;
  std::vector<uint32_t> slots;
  for (size_t count : {1u, 31u, 1u, 200u}) {
    const Bytes said = table.growth(count), before = ledger.used();
    for (size_t i = 0; i < count; ++i) {
      slots.push_back(table.take(pool));
      table[slots.back()].sums[0] = slots.back();
    }
    EXPECT_EQ(ledger.used(Tag::kMetadata), before + said);
  }
  for (uint32_t s : slots) EXPECT_EQ(table[s].sums[0], s);
  for (uint32_t s : slots) table.give(s);
  EXPECT_EQ(ledger.used(), 0u);
}

TEST(SlotTable, MakesRecordsInAFullLedgerAndChargesThemLater) {
  HostResource resource;
  Ledger ledger(100);
  Pool pool(ledger, resource);
  SlotTable table;
  uint32_t first = table.take(pool);
  EXPECT_EQ(ledger.used(), 0u);
  ledger.set_limit(Ledger::kNoLimit);
  uint32_t second = table.take(pool);
  EXPECT_NE(first, second);
  EXPECT_EQ(ledger.used(), SlotTable::kChunkCharge);
}

}  // namespace
}  // namespace plimsoll::memory
