// Writing elements that integer arrays name. One record for each of three forms and five modes.
#include "plimsoll/ops/scatter.h"

#include <algorithm>
#include <array>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/scatter.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constexpr const char* kModes[] = {"set", "add", "max", "min", "prod"};

int mode_index(const std::string& mode) {
  for (int i = 0; i < 5; ++i)
    if (mode == kModes[i]) return i;
  throw ValueError(
      fmt::format("[scatter] expected mode set, add, max, min or prod, got \"{}\"", mode));
}

// What the modes' gradients need of a form: scatter and its counterpart over the same indices.
struct Form {
  virtual ~Form() = default;
  virtual array write(const array& base, const array& updates, const char* mode) const = 0;
  virtual array read(const array& from) const = 0;
};

std::vector<array> mode_vjp(const VjpArgs& v, ScatterMode mode, const Form& form) {
  const array &g = v.cotangents[0], &base = v.inputs[0], &updates = v.inputs.back();
  const array& y = v.outputs[0];
  std::vector<array> out(v.inputs.size());
  bool to_base = v.needed[0], to_updates = v.needed[v.inputs.size() - 1];
  array none = constant_like(0, g);
  switch (mode) {
    case ScatterMode::kSet:
      if (to_base) out[0] = form.write(g, zeros(updates.shape(), g.dtype()), "set");
      if (to_updates) out.back() = form.read(g);
      break;
    case ScatterMode::kAdd:
      if (to_base) out[0] = g;
      if (to_updates) out.back() = form.read(g);
      break;
    case ScatterMode::kMax:
    case ScatterMode::kMin:
      if (to_base) out[0] = where(equal(base, y), g, none);
      if (to_updates) out.back() = where(equal(updates, form.read(y)), form.read(g), none);
      break;
    case ScatterMode::kProd:
      if (to_base)
        out[0] = g * conj_if_complex(form.write(ones(base.shape(), base.dtype()), updates, "prod"));
      if (to_updates) out.back() = form.read(g) * conj_if_complex(form.read(y) / updates);
      break;
  }
  return out;
}

struct AxisForm : Form {
  array indices;
  int axis;
  AxisForm(array i, int k) : indices(std::move(i)), axis(k) {}
  array write(const array& base, const array& updates, const char* mode) const override {
    return scatter(base, indices, updates, axis, mode);
  }
  array read(const array& from) const override { return take(from, indices, axis); }
};

struct AlongForm : Form {
  array indices;
  int axis;
  AlongForm(array i, int k) : indices(std::move(i)), axis(k) {}
  array write(const array& base, const array& updates, const char* mode) const override {
    return scatter_along_axis(base, indices, updates, axis, mode);
  }
  array read(const array& from) const override { return take_along_axis(from, indices, axis); }
};

struct NdForm : Form {
  std::vector<array> indices;
  Dims axes;
  NdForm(std::vector<array> i, Dims k) : indices(std::move(i)), axes(std::move(k)) {}
  array write(const array& base, const array& updates, const char* mode) const override {
    return scatter_nd(base, indices, updates, axes, mode);
  }
  array read(const array& from) const override { return gather(from, indices, axes); }
};

template <ScatterMode M>
std::vector<array> axis_vjp(const VjpArgs& v) {
  return mode_vjp(v, M, AxisForm(v.inputs[1], attrs_as<ScatterAttrs>(v.attrs).axis));
}

template <ScatterMode M>
std::vector<array> along_vjp(const VjpArgs& v) {
  return mode_vjp(v, M, AlongForm(v.inputs[1], attrs_as<ScatterAttrs>(v.attrs).axis));
}

template <ScatterMode M>
std::vector<array> nd_vjp(const VjpArgs& v) {
  std::vector<array> indices(v.inputs.begin() + 1, v.inputs.end() - 1);
  return mode_vjp(v, M, NdForm(indices, attrs_as<ScatterNdAttrs>(v.attrs).axes));
}

array nd_over_batch(const VmapArgs& v, std::span<const array> indices, std::span<const int> axes,
                    const array& updates, Dims over, const char* mode) {
  for (int64_t& axis : over) ++axis;
  over.insert(over.begin(), 0);
  return scatter_nd(batch_or_repeat(v.inputs[0], v.axes[0], v.batch),
                    batched_indices(indices, axes, v.batch, true), updates, over, mode);
}

// With batched indices the batch position is one more index, and the updates' index axes come
// first, as scatter_nd has them.
template <ScatterMode M>
VmapResult axis_vmap(const VmapArgs& v) {
  const char* mode = kModes[static_cast<int>(M)];
  int axis = attrs_as<ScatterAttrs>(v.attrs).axis;
  array updates = batch_or_repeat(v.inputs[2], v.axes[2], v.batch);
  if (v.axes[1] < 0)
    return {{scatter(batch_or_repeat(v.inputs[0], v.axes[0], v.batch), v.inputs[1], updates,
                     axis + 1, mode)},
            {0}};
  int ni = v.inputs[1].ndim() - 1;
  Dims order{0};
  for (int i = 0; i < ni; ++i) order.push_back(1 + axis + i);
  for (int i = 0; i < axis; ++i) order.push_back(1 + i);
  for (int i = 1 + axis + ni; i < updates.ndim(); ++i) order.push_back(i);
  return {{nd_over_batch(v, v.inputs.subspan(1, 1), v.axes.subspan(1, 1), transpose(updates, order),
                         {axis}, mode)},
          {0}};
}

template <ScatterMode M>
VmapResult along_vmap(const VmapArgs& v) {
  return {
      {scatter_along_axis(batch_or_repeat(v.inputs[0], v.axes[0], v.batch),
                          batch_or_repeat(v.inputs[1], v.axes[1], v.batch),
                          batch_or_repeat(v.inputs[2], v.axes[2], v.batch),
                          attrs_as<ScatterAttrs>(v.attrs).axis + 1, kModes[static_cast<int>(M)])},
      {0}};
}

template <ScatterMode M>
VmapResult nd_vmap(const VmapArgs& v) {
  size_t n = v.inputs.size() - 2;
  return {{nd_over_batch(v, v.inputs.subspan(1, n), v.axes.subspan(1, n),
                         batch_or_repeat(v.inputs.back(), v.axes.back(), v.batch),
                         attrs_as<ScatterNdAttrs>(v.attrs).axes, kModes[static_cast<int>(M)])},
          {0}};
}

void infer_base(const OpInstance& op, std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); }

double one_an_update(const OpInstance& op) {
  return static_cast<double>(num_elements(op.inputs.back().shape));
}

constexpr OpDef scatter_def(const char* name, graph::Vjp vjp, graph::Vmap vmap,
                            Tiling (*tiling)(const OpInstance&), const AttrsType* attrs,
                            void (*check)(const OpInstance&), const char* doc) {
  return {.name = name,
          .kind = Kind::kScatter,
          .attrs = attrs,
          .check = check,
          .infer = infer_base,
          .vjp = vjp,
          .vmap = vmap,
          .tiling = tiling,
          .flops = one_an_update,
          .doc = doc};
}

using Mode = ScatterMode;
constexpr const char* kAxisDoc =
    "A copy of input 0 with updates written to the slices that the indices name along an axis; the "
    "counterpart of take.";
constexpr const char* kAlongDoc =
    "A copy of input 0 with updates written to the elements that the indices name along an axis; "
    "the counterpart of take_along_axis.";
constexpr const char* kNdDoc =
    "A copy of input 0 with updates written where several index arrays say; the counterpart of "
    "gather, and what assignment to an indexed array records.";

template <Mode M>
constexpr OpDef axis_def(const char* name) {
  return scatter_def(name, axis_vjp<M>, axis_vmap<M>, scatter_tiling, &kAttrsOf<ScatterAttrs>,
                     contract::scatter, kAxisDoc);
}
template <Mode M>
constexpr OpDef along_def(const char* name) {
  return scatter_def(name, along_vjp<M>, along_vmap<M>, scatter_along_tiling,
                     &kAttrsOf<ScatterAttrs>, contract::scatter_along, kAlongDoc);
}
template <Mode M>
constexpr OpDef nd_def(const char* name) {
  return scatter_def(name, nd_vjp<M>, nd_vmap<M>, scatter_nd_tiling, &kAttrsOf<ScatterNdAttrs>,
                     contract::scatter_nd, kNdDoc);
}

constinit const OpDef kScatter[] = {
    axis_def<Mode::kSet>("scatter_set"), axis_def<Mode::kAdd>("scatter_add"),
    axis_def<Mode::kMax>("scatter_max"), axis_def<Mode::kMin>("scatter_min"),
    axis_def<Mode::kProd>("scatter_prod")};
constinit const OpDef kAlong[] = {
    along_def<Mode::kSet>("scatter_along_set"), along_def<Mode::kAdd>("scatter_along_add"),
    along_def<Mode::kMax>("scatter_along_max"), along_def<Mode::kMin>("scatter_along_min"),
    along_def<Mode::kProd>("scatter_along_prod")};
constinit const OpDef kNd[] = {
    nd_def<Mode::kSet>("scatter_nd_set"), nd_def<Mode::kAdd>("scatter_nd_add"),
    nd_def<Mode::kMax>("scatter_nd_max"), nd_def<Mode::kMin>("scatter_nd_min"),
    nd_def<Mode::kProd>("scatter_nd_prod")};

constinit const OpDef kPutAlongAxis{
    .name = "put_along_axis",
    .kind = Kind::kComposite,
    .entry = boxed<&put_along_axis>::call,
    .signature =
        "put_along_axis(a: array, /, indices: array, values: array, axis: int | None = "
        "None, *, stream: None | Stream | Device = None) -> array",
    .doc =
        R"(A copy of ``a`` with the elements that ``indices`` names along ``axis`` replaced by ``values``.

``indices`` broadcasts to ``a`` on the other axes, ``values`` to ``indices``. None takes ``a`` as
flat. The result has the dtype and shape of ``a``. Raises ValueError for indices that are no
integers, IndexError for an axis that is not there and, on evaluation, for an index outside.

Example:
    >>> mx.put_along_axis(mx.array([[1, 2], [3, 4]]), mx.array([[1], [0]]), mx.array(9), axis=1)
    array([[1, 9],
           [9, 4]], dtype=int32)
)"};

}  // namespace

OpList scatter_ops() {
  static constexpr auto kOps = [] {
    std::array<const OpDef*, 16> list{};
    for (int i = 0; i < 5; ++i) {
      list[i] = &kScatter[i];
      list[5 + i] = &kAlong[i];
      list[10 + i] = &kNd[i];
    }
    list[15] = &kPutAlongAxis;
    return list;
  }();
  return kOps;
}

}  // namespace ops

array scatter(const array& a, const array& indices, const array& updates, int64_t axis,
              const std::string& mode) {
  using namespace ops;
  const OpDef& def = kScatter[mode_index(mode)];
  array at = checked_indices(indices, def.name);
  int k = checked_axis(axis, a.ndim(), def.name);
  Shape shape(a.shape().begin(), a.shape().begin() + k);
  for (int64_t d : at.shape()) shape.push_back(d);
  for (int i = k + 1; i < a.ndim(); ++i) shape.push_back(a.shape()[i]);
  return record(def, {a, at, broadcast_to(cast(updates, a.dtype()), shape)},
                make_attrs(ScatterAttrs(k)));
}

array scatter_along_axis(const array& a, const array& indices, const array& updates, int64_t axis,
                         const std::string& mode) {
  using namespace ops;
  const OpDef& def = kAlong[mode_index(mode)];
  array at = checked_indices(indices, def.name);
  int k = checked_axis(axis, a.ndim(), def.name);
  PLIMSOLL_CHECK(a.ndim() == at.ndim(), ShapeError,
                 "[{}] expected indices of {} dimensions, got shape {}", def.name, a.ndim(),
                 to_string(at.shape()));
  Shape shape = a.shape();
  shape[k] = at.shape()[k];
  at = broadcast_to(at, shape);
  return record(def, {a, at, broadcast_to(cast(updates, a.dtype()), shape)},
                make_attrs(ScatterAttrs(k)));
}

array scatter_nd(const array& a, const std::vector<array>& indices, const array& updates,
                 const Dims& axes, const std::string& mode) {
  using namespace ops;
  const OpDef& def = kNd[mode_index(mode)];
  PLIMSOLL_CHECK(!indices.empty() && indices.size() == axes.size(), ValueError,
                 "[{}] expected one index array an axis, got {} for {} axes", def.name,
                 indices.size(), axes.size());
  PLIMSOLL_CHECK(checked_axes(axes, a.ndim(), def.name) == axes, ValueError,
                 "[{}] expected ascending axes, got {}", def.name, to_string(axes));
  std::vector<array> in{a};
  for (const array& i : indices) in.push_back(checked_indices(i, def.name));
  Shape shape;
  for (size_t i = 1; i < in.size(); ++i) shape = broadcast_shapes(shape, in[i].shape(), def.name);
  for (size_t i = 1; i < in.size(); ++i) in[i] = broadcast_to(in[i], shape);
  for (int i = 0; i < a.ndim(); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) shape.push_back(a.shape()[i]);
  in.push_back(broadcast_to(cast(updates, a.dtype()), shape));
  return record(def, in, make_attrs(ScatterNdAttrs(axes)));
}

array put_along_axis(const array& a, const array& indices, const array& values,
                     std::optional<int64_t> axis) {
  if (axis) return scatter_along_axis(a, indices, values, *axis, "set");
  return reshape(scatter_along_axis(flatten(a), flatten(indices), values, 0, "set"), a.shape());
}

}  // namespace plimsoll
