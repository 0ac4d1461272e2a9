// The same bytes read in another way.
#include "plimsoll/ops/reinterpret.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/reinterpret.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_view(const OpInstance& op, std::vector<TensorSpec>& out) {
  const auto& attrs = attrs_as<BitViewAttrs>(op.attrs);
  Shape shape = op.inputs[0].shape;
  auto to = static_cast<int64_t>(size_of(attrs.dtype));
  if (to != attrs.from) shape.back() = shape.back() * attrs.from / to;
  out.push_back({attrs.dtype, std::move(shape)});
}

// False where neighbours of the last axis are not neighbours in memory, or an element of the output
// would start in the middle of one.
bool view_layout(const graph::ViewArgs& v, Layout& out) {
  const auto& attrs = attrs_as<BitViewAttrs>(v.attrs);
  auto to = static_cast<int64_t>(size_of(attrs.dtype));
  if (num_elements(v.out_shape) == 0) {  // strides of no element need not be multiples
    out = {0, row_major(v.out_shape)};
    return true;
  }
  out = v.in_layout;
  if (to == attrs.from) return true;
  auto scaled = [&](int64_t elements, int64_t& result) {
    result = elements * attrs.from / to;
    return elements * attrs.from % to == 0;
  };
  if (v.in_shape.back() > 1 && v.in_layout.strides.back() != 1) return false;
  if (!scaled(v.in_layout.offset, out.offset)) return false;
  for (size_t i = 0; i + 1 < v.in_shape.size(); ++i)
    if (!scaled(v.in_layout.strides[i], out.strides[i])) return false;
  out.strides.back() = 1;
  return true;
}

constinit const OpDef kView{
    .name = "view",
    .kind = Kind::kView,
    .attrs = &kAttrsOf<BitViewAttrs>,
    .check = contract::bit_view,
    .infer = infer_view,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      return {{view(batch_first(v.inputs[0], v.axes[0]), attrs_as<BitViewAttrs>(v.attrs).dtype)},
              {0}};
    },
    .differentiable = false,
    .view = view_layout,
    .entry = boxed<&view>::call,
    .signature =
        "view(a: scalar | array, dtype: Dtype, stream: None | Stream | Device = None) -> array",
    .doc = R"(The bytes of the elements read as another dtype.

Where the sizes differ the last axis has more or fewer elements. Bytes are shared where the layout
allows it. Read as bool, every element that is not 0 is True. A constant to differentiation. Raises
ValueError where the last axis holds no whole number of elements, and for a 0-d array and a dtype of
another size.

Example:
    >>> mx.view(mx.array([1.0, 2.0]), mx.int32)
    array([1065353216, 1073741824], dtype=int32)
)"};

// Positions in the flat array of the elements of a strided one.
array positions(const AsStridedAttrs& attrs, int64_t size) {
  Dtype t = size <= INT32_MAX ? Dtype::kInt32 : Dtype::kInt64;
  array out = cast(array(attrs.offset), t);
  for (size_t i = 0; i < attrs.shape.size(); ++i) {
    array along = arange(int64_t{0}, attrs.shape[i], int64_t{1}, t);
    Shape shape(attrs.shape.size(), 1);
    shape[i] = attrs.shape[i];
    out = out + reshape(along, shape) * array(attrs.strides[i], t);
  }
  return flatten(out);
}

std::vector<array> as_strided_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const auto& attrs = attrs_as<AsStridedAttrs>(v.attrs);
  const array& g = v.cotangents[0];
  const Shape& in = v.inputs[0].shape();
  array at = positions(attrs, in.back());
  Shape flat(in.begin(), in.end() - 1);
  flat.push_back(at.size());
  return {scatter(zeros(in, g.dtype()), at, reshape(g, flat), -1, "add")};
}

const OpDef& as_strided_def();

constinit const OpDef kAsStrided{
    .name = "as_strided",
    .kind = Kind::kView,
    .attrs = &kAttrsOf<AsStridedAttrs>,
    .check = contract::as_strided,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          Shape shape(op.inputs[0].shape.begin(), op.inputs[0].shape.end() - 1);
          for (int64_t d : attrs_as<AsStridedAttrs>(op.attrs).shape) shape.push_back(d);
          out.push_back({op.inputs[0].dtype, std::move(shape)});
        },
    .vjp = as_strided_vjp,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      array a = batch_first(v.inputs[0], v.axes[0]);
      return {{record(as_strided_def(), {a}, same_attrs(v.attrs))}, {0}};
    },
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          const auto& attrs = attrs_as<AsStridedAttrs>(v.attrs);
          int64_t step = v.in_layout.strides.back();
          out = v.in_layout;
          out.strides.resize(v.in_shape.size() - 1);
          if (num_elements(v.out_shape) > 0) out.offset += attrs.offset * step;
          for (int64_t s : attrs.strides) out.strides.push_back(s * step);
          return true;
        },
    .entry = boxed<&as_strided>::call,
    .signature =
        "as_strided(a: array, /, shape: Sequence[int] | None = None, strides: Sequence[int] | None "
        "= None, offset: int = 0, *, stream: None | Stream | Device = None) -> array",
    .doc =
        R"(Element (i, j, ...) is element offset + i * strides[0] + j * strides[1] + ... of ``a``.

``a`` is taken as flat, in row-major order. ``shape`` is that of ``a`` for None, ``strides`` (in
elements) are those of a row-major array of ``shape``. A view, of a copy where ``a`` does not lie so
in memory. Raises ValueError where an element would be outside of ``a`` or the lengths differ.

Example:
    >>> mx.as_strided(mx.array([1, 2, 3, 4]), (3, 2), (1, 1))
    array([[1, 2],
           [2, 3],
           [3, 4]], dtype=int32)
)"};

const OpDef& as_strided_def() { return kAsStrided; }

}  // namespace

OpList reinterpret_ops() {
  static constexpr const OpDef* kOps[] = {&kView, &kAsStrided};
  return kOps;
}

}  // namespace ops

array view(const array& a, Dtype dtype) {
  using namespace ops;
  array x = cast(a, a.dtype());
  if (x.dtype() == dtype) return x;
  auto from = static_cast<int64_t>(x.itemsize()), to = static_cast<int64_t>(size_of(dtype));
  PLIMSOLL_CHECK(from == to || x.ndim() > 0, ValueError,
                 "[view] expected a dtype of {} bytes for a 0-d array, got {}", from,
                 name_of(dtype));
  PLIMSOLL_CHECK(from >= to || x.shape(-1) * from % to == 0, ValueError,
                 "[view] expected a last axis of a multiple of {} bytes for {}, got shape {} of {}",
                 to, name_of(dtype), to_string(x.shape()), name_of(x.dtype()));
  // A byte that is neither 0 nor 1 is no bool.
  if (dtype == Dtype::kBool)
    return not_equal(view(x, Dtype::kUint8), array(int64_t{0}, Dtype::kUint8));
  if (x.node()->is(graph::Node::kConstant)) x = reshape(full({1}, x), {});
  return record(kView, {x}, make_attrs(BitViewAttrs(dtype, from)));
}

array as_strided(const array& a, const std::optional<Dims>& shape,
                 const std::optional<Dims>& strides, int64_t offset) {
  using namespace ops;
  const Shape& to = shape ? *shape : a.shape();
  check_shape(to, "as_strided");
  Strides by = strides ? *strides : row_major(to);
  PLIMSOLL_CHECK(by.size() == to.size(), ValueError,
                 "[as_strided] expected as many strides as dimensions, got {} and {}",
                 to_string(by), to_string(to));
  if (num_elements(to) > 0) {
    ElementSpan span = element_span(to, {offset, by});
    PLIMSOLL_CHECK(span.first >= 0 && span.last < a.size(), ValueError,
                   "[as_strided] expected elements 0 to {} of the array, got {} to {}",
                   a.size() - 1, span.first, span.last);
  }
  return record(kAsStrided, {flatten(a)}, make_attrs(AsStridedAttrs(to, by, offset)));
}

}  // namespace plimsoll
