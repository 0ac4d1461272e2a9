// The Context's FaultPlan in Python. There is one only where PLIMSOLL_FAULTS=1 was set when the
// package started; otherwise no site is counted and nothing can be injected.
#include "bindings/faults.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/fault_plan.h"
#include "bindings/errors.h"
#include "graph/node.h"

namespace nb = nanobind;

namespace plimsoll::python {
namespace {

constexpr std::array<const char*, kNumFaultSites> kSiteNames = {
    "reserve", "address", "commit", "file_allocate", "file_write", "file_read", "thread_start"};

FaultPlan& plan() {
  FaultPlan* faults = graph::evaluator().faults();
  PLIMSOLL_CHECK(faults != nullptr, Error,
                 "[_inject_fault] expected PLIMSOLL_FAULTS=1 in the environment before the "
                 "package was imported, got none; set it");
  return *faults;
}

uint32_t mask_of(const std::vector<std::string>& sites) {
  uint32_t mask = 0;
  for (const std::string& site : sites) {
    auto at = std::find(kSiteNames.begin(), kSiteNames.end(), site);
    PLIMSOLL_CHECK(at != kSiteNames.end(), ValueError, "[_inject_fault] expected one of {}, got {}",
                   fmt::join(kSiteNames, ", "), site);
    mask |= 1u << (at - kSiteNames.begin());
  }
  return mask;
}

using Counts = std::map<std::string, std::pair<uint64_t, uint64_t>>;

Counts counts() {
  Counts out;
  for (int i = 0; i < kNumFaultSites; ++i) {
    auto site = static_cast<FaultSite>(i);
    out[kSiteNames[i]] = {plan().seen(site), plan().injected(site)};
  }
  return out;
}

}  // namespace

void bind_faults(nb::module_& m) {
  m.def(
      "_inject_fault",
      [](const std::vector<std::string>& sites, uint64_t k, bool from_then_on) {
        plan().fail_at(k, from_then_on, mask_of(sites));
      },
      nb::arg("sites"), nb::arg("k"), nb::arg("from_then_on") = false,
      "Fails the k-th question from now on (from 1; 0: none) at these sites, or all from it on.\n\n"
      "The counts start again. Needs PLIMSOLL_FAULTS=1.");
  m.def(
      "_disarm_faults", [] { plan().disarm(); }, "Injects nothing more; the counts stay.");
  m.def("_fault_counts", counts, "Site to (times asked, times failed) since _inject_fault.");
}

}  // namespace plimsoll::python
