// What the transforms share: stand-ins for inputs, and walks over what was recorded from them.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "graph/node.h"
#include "plimsoll/transforms.h"

namespace plimsoll::transforms {

/// Marks the calls in which is_tracing() holds.
class TraceScope {
 public:
  TraceScope();
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;
};

/// Says whether the pullback that runs is one that jvp transposes.
class TransposeScope {
 public:
  explicit TransposeScope(bool on);
  ~TransposeScope();
  TransposeScope(const TransposeScope&) = delete;
  TransposeScope& operator=(const TransposeScope&) = delete;

 private:
  bool before_;
};
bool transposing();

/// Keeps settle_flags of inner transforms from touching these tracers while it lives.
class ActiveTracers {
 public:
  explicit ActiveTracers(const Arrays& tracers);
  ~ActiveTracers();
  ActiveTracers(const ActiveTracers&) = delete;
  ActiveTracers& operator=(const ActiveTracers&) = delete;

 private:
  size_t count_;
};

/// The same value as a node of its own, flagged kTracer, so that what depends on it can be told.
array tracer_of(const array& value);
/// A flagged node without a value, which only recording may use.
array placeholder(const Shape& shape, Dtype dtype);

/// Nodes reachable from `roots` through flagged nodes, inputs before users. Iterative.
std::vector<graph::Node*> recorded_order(std::span<const array> roots);

/// Recomputes kTracer on what was recorded: set where an input has it. `tracers` lose their own.
/// Without it, values would keep their inputs after an evaluation.
void settle_flags(std::span<const graph::Node* const> order, const Arrays& tracers);

/// A copy of `node` over other inputs. REQUIRES: node->def is set.
array clone_over(const graph::Node& node, std::span<const array> inputs);
/// Output `index` of an operation with several outputs.
array project(const array& tuple, uint16_t index, const graph::OpDef* projection);

}  // namespace plimsoll::transforms
