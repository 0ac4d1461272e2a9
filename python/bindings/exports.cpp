#include "bindings/exports.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/shape.h"
#include "graph/node.h"
#include "runtime/context.h"

namespace plimsoll::python {

std::unique_ptr<Export> make_export(const array& a, const char* user) {
  auto out = std::make_unique<Export>();
  out->held = a;
  auto item = static_cast<int64_t>(a.itemsize());
  a.eval();
  graph::Node* node = a.node();
  Strides strides = row_major(a.shape());
  runtime::Context& context = runtime::Context::current();
  // A forked child copies what is in memory, without a lock.
  if (node->is(graph::Node::kConstant) || a.size() == 0 || context.pool().in_forked_child()) {
    out->copy.resize(std::max<size_t>(a.nbytes(), 1));
    a.copy_to(out->copy.data());
    out->data = out->copy.data();
  } else {
    std::string owner =
        fmt::format("buffer of {}{} ({})", name_of(a.dtype()), to_string(a.shape()), user);
    out->pin = context.export_view(*node, std::move(owner));
    const Layout& layout = node->storage->layout;
    strides = layout.strides;
    out->data = out->pin.data() + layout.offset * item;
  }
  for (int64_t d : a.shape()) out->shape.push_back(d);
  for (int64_t s : strides) out->strides.push_back(s * item);
  return out;
}

}  // namespace plimsoll::python
