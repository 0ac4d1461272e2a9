#include "bindings/random.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>

#include "bindings/array_type.h"
#include "bindings/op_function.h"
#include "graph/node.h"
#include "opset/threefry.h"
#include "plimsoll/ops/random.h"
#include "plimsoll/ops/view.h"

namespace plimsoll::python {
namespace {

// A list of one key, as MLX's `random.state`: compiled functions can take and return it.
PyObject* state = nullptr;

// What the state's key will be, without evaluating it: unknown once a program sets or traces it.
struct Known {
  std::optional<array> key;
  std::array<uint32_t, 2> words{};
  int splits = 0;  // that `key` is recorded as, at most
  bool is(const array& a) const { return key && key->node() == a.node(); }
};
Known& known = *new Known;  // never destroyed, like the state

void start(nb::list list, uint64_t seed) {
  known = {random::key(seed), {static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(seed)}};
  list.append(*known.key);
}

// Draws that are dropped and not evaluated would leave their splits recorded without end.
constexpr int kMostSplits = 64;

void forget_splits(nb::list list) {
  const Known before = known;
  array key(before.words.data(), Shape{2}, Dtype::kUint32);  // another thread may come meanwhile
  if (!before.key || !known.is(*before.key) || !known.is(nb::cast<array>(list[0]))) return;
  known = {key, before.words};
  list[0] = key;
}

std::vector<array> split_key(const array& key) {
  array keys = random::split(key, 2);
  return {reshape(slice(keys, {0, 0}, {1, 2}), {2}), reshape(slice(keys, {1, 0}, {2, 2}), {2})};
}

// The state starts from the clock, on first use, so that importing allocates nothing.
nb::list ready_state() {
  nb::list list = nb::borrow<nb::list>(state);
  if (nb::len(list) == 0) {
    auto now = std::chrono::system_clock::now().time_since_epoch();
    start(list, static_cast<uint64_t>(
                    std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
  }
  return list;
}

}  // namespace

array next_random_key() {
  nb::list list = ready_state();
  if (known.splits >= kMostSplits) forget_splits(list);
  array key = nb::cast<array>(list[0]);
  std::vector<array> keys = split_key(key);
  if (known.is(key))
    known = {keys[0], threefry::first_of_split(known.words), known.splits + 1};
  else
    known = {};
  list[0] = keys[0];
  return keys[1];
}

void bind_random(nb::module_& m) {
  nb::module_ sub = nb::hasattr(m, "random") ? nb::borrow<nb::module_>(m.attr("random"))
                                             : m.def_submodule("random");
  nb::list list;
  state = list.ptr();
  Py_INCREF(state);
  sub.def(
      "seed",
      [](uint64_t seed) {
        nb::list s = nb::borrow<nb::list>(state);
        s.clear();
        start(s, seed);
      },
      nb::arg("seed"),
      "Starts the global random state again.\n\n"
      "Args:\n    seed: Any integer of 64 bits.\n\n"
      "Example:\n\n    >>> mx.random.seed(7)\n    >>> a = mx.random.uniform()\n"
      "    >>> mx.random.seed(7)\n    >>> (a == mx.random.uniform()).item()\n    True");
  if (!nb::hasattr(sub, "key"))
    sub.def("key", random::key, nb::arg("seed"), "A key (uint32, two words) made from a seed.");
  sub.def(
      "__getattr__",
      [](const std::string& name) {
        if (name == "state") return ready_state();
        throw nb::attribute_error(
            fmt::format("module 'plimsoll.core.random' has no attribute '{}'", name).c_str());
      },
      nb::arg("name"), nb::sig("def __getattr__(name: str) -> list[array]"),
      "``state``, the list that holds the global key: compiled functions take and return it.");
}

}  // namespace plimsoll::python
