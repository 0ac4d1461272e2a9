// How plans and reports of the memory page read as text.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "plimsoll/memory.h"

namespace plimsoll {
namespace {

constexpr size_t kWidestName = 60;

// Columns of a text, in which a letter may take several bytes.
size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(std::string text, size_t columns) {
  size_t have = width(text);
  if (have < columns) text.append(columns - have, ' ');
  return text;
}

std::string format_seconds(double s) {
  if (s < 1e-3) return fmt::format("{:.0f} µs", s * 1e6);
  return s < 1 ? fmt::format("{:.1f} ms", s * 1e3) : fmt::format("{:.2f} s", s);
}

}  // namespace

std::string MemoryPlan::table(size_t max_rows) const {
  std::string out = fmt::format(
      "stage {} · peak {} · limit {} · floor {} · peak without limit {}\n", stage,
      format_bytes(peak), format_bytes(limit), format_bytes(floor), format_bytes(unlimited_peak));
  if (!refusal.empty()) return out + refusal + "\n";
  double ratio = unlimited_seconds > 0 ? seconds / unlimited_seconds : 1;
  out += fmt::format("predicted {}, {:.2f} × unlimited · {} written · {} loaded · {} recomputed\n",
                     format_seconds(seconds), ratio, format_bytes(bytes_written),
                     format_bytes(bytes_loaded), format_bytes(bytes_recomputed));
  if (!peak_operation.empty()) out += fmt::format("peak set by {}\n", peak_operation);
  size_t rows = std::min(max_rows, actions.size());
  size_t columns = width("operation");
  for (size_t i = 0; i < rows; ++i) columns = std::max(columns, width(actions[i].operation));
  columns = std::min(columns, kWidestName);
  out += fmt::format("{:7} {} {:>9} {:>9}\n", "action", padded("operation", columns), "bytes",
                     "in use");
  for (size_t i = 0; i < rows; ++i) {
    const PlanAction& a = actions[i];
    out += fmt::format("{:7} {} {:>9} {:>9}{}{}\n", a.kind, padded(a.operation, columns),
                       format_bytes(a.bytes), format_bytes(a.resident),
                       a.detail.empty() ? "" : "  ", a.detail);
  }
  if (actions.size() > rows) out += fmt::format("… and {} more actions\n", actions.size() - rows);
  return out;
}

std::string MemoryReport::text() const {
  std::string out = fmt::format("{:12}{:>9}  {} limit, from {}\n", "limit", format_bytes(limit),
                                strict ? "strict" : "guideline", limit_source);
  auto row = [&](const char* name, size_t bytes, const char* what) {
    out += fmt::format("{:12}{:>9}  {}\n", name, format_bytes(bytes), what);
  };
  row("used", used, "counted against the limit:");
  row("  active", active, "live arrays");
  row("  cache", cache, "freed blocks kept for reuse; they go first");
  row("  workspace", workspace, "of running kernels");
  row("  staging", staging, "on the way to and from the disk");
  row("  metadata", metadata, "recorded operations and plans");
  row("  library", library, "held by libraries");
  row("spilled", spilled, "on disk");
  row("pinned", pinned, "by exported views, not to be evicted");
  for (const auto& [owner, bytes] : pinned_by)
    out += fmt::format("{:12}{:>9}  {}\n", "", format_bytes(bytes), owner);
  row("process", process_baseline, "resident besides when the engine started");
  return out;
}

std::string EvaluationReport::text() const {
  return fmt::format(
      "EvaluationReport: stage {}, {} nodes in {} actions and {} tiles{}\n"
      "  peak {} (planned {}), limit {}\n"
      "  {} written, {} loaded, {} recomputed\n"
      "  {}, of which {} were for planning and {} waiting for the disk",
      stage, nodes, actions, tiles, plan_reused ? ", planned before" : "", format_bytes(peak),
      format_bytes(planned_peak), format_bytes(limit), format_bytes(written), format_bytes(loaded),
      format_bytes(recomputed), format_seconds(seconds), format_seconds(planning_seconds),
      format_seconds(waited_seconds));
}

}  // namespace plimsoll
