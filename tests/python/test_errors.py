"""The class and the text of each kind of user error: what was expected, what came, what to do."""

import io

import numpy as np
import plimsoll.core as mx
import pytest

ones = mx.ones
INT = ones((2, 3), mx.int32)
KEY = mx.random.key(0)
QKV = ones((1, 1, 2, 4))
REFUSED = {
    "shapes": [
        (lambda: ones((2, 3)) + ones((4,)),
         r"\[add\] expected shapes that broadcast together, got \(2, 3\) and \(4,\)"),
        (lambda: ones((2, 3)) @ ones((4, 5)),
         r"\[matmul\] expected the last axis of a as long as .* \(2, 3\) and \(4, 5\)"),
        (lambda: mx.matmul(mx.array(1.0), ones((2,))), r"\[matmul\] expected at least 1 dimension"),
        (lambda: ones((2, 3, 4)) @ ones((3, 4, 5)),
         r"\[matmul\] expected shapes that broadcast together"),
        (lambda: mx.addmm(ones((7,)), ones((2, 3)), ones((3, 4))),
         r"\[addmm\] .* \(7,\) and \(2, 4\)"),
        (lambda: mx.inner(ones((2, 3)), ones((4,))),
         r"\[inner\] expected last axes of equal length"),
        (lambda: mx.tensordot(ones((2, 3)), ones((4, 5)), 1),
         r"\[tensordot\] expected axes of equal length, got 3 and 4"),
        (lambda: ones((2, 3)).reshape(4, 2),
         r"\[reshape\] expected a shape of 6 elements, got \(4, 2\) for \(2, 3\)"),
        (lambda: ones((2, 3)).reshape(-1, -1), r"\[reshape\] expected at most one -1"),
        (lambda: mx.unflatten(ones((2, 6)), 1, (4, 4)),
         r"\[unflatten\] expected a shape of 6 elements for axis 1"),
        (lambda: mx.broadcast_to(ones((3,)), (2, 4)), r"\[broadcast_to\] expected shapes"),
        (lambda: mx.squeeze(ones((2, 3)), 0), r"\[squeeze\] expected an axis of length 1"),
        (lambda: mx.concatenate([ones((2, 3)), ones((3, 4))]),
         r"\[concatenate\] expected shapes that are equal but for axis 0"),
        (lambda: mx.concatenate([]), r"\[concatenate\] expected arrays, got none"),
        (lambda: mx.stack([ones((2,)), ones((3,))]), r"\[stack\] expected arrays of one shape"),
        (lambda: mx.split(ones((5,)), 2), r"\[split\] .* pass positions for unequal parts"),
        (lambda: mx.where(ones((2,)), ones((3,)), ones((4,))), r"\[where\] expected shapes"),
        (lambda: mx.zeros((-1,)), r"\[zeros\] expected dimensions of at least 0, got \(-1,\)"),
        (lambda: mx.full((2,), ones((3,))), r"\[full\] expected"),
        (lambda: mx.tril(ones((3,))), r"\[tril\] expected at least 2 dimensions"),
        (lambda: mx.max(ones((0,))), r"\[max\] expected at least one element on axis 0"),
        (lambda: mx.argmax(ones((0,))), r"\[argmax\] expected at least one element"),
        (lambda: mx.linalg.eigh(ones((2, 3))),
         r"\[linalg.eigh\] expected square matrices, got shape \(2, 3\)"),
        (lambda: mx.fast.layer_norm(ones((2, 3)), ones((4,)), None, 1e-5),
         r"\[layer_norm\] expected weight and bias of shape \(3,\)"),
        (lambda: mx.fast.scaled_dot_product_attention(QKV[0], QKV[0], QKV[0], scale=1.0),
         r"expected q \[B, Hq, Lq, D\]"),
        (lambda: mx.random.uniform(mx.zeros((3,)), 1, (2,)), r"\[random.uniform\] expected shapes"),
        (lambda: mx.random.uniform(shape=(2,), key=mx.array([1])),
         r"\[random\] expected a key, uint32 of shape \(2,\)"),
        (lambda: ones((2, 3)).item(), "length-1"),
        (lambda: mx.vjp(lambda x: x, [ones((2,))], [ones((3,))]), r"\[vjp\] Output shape \(2,\)"),
        (lambda: mx.vmap(lambda x, y: x + y)(ones((2,)), ones((3,))),
         r"\[vmap\] expected mapped axes of one length"),
        (lambda: mx.grad(lambda x: x)(ones((2,))),
         r"\[grad\] expected a function that returns a scalar"),
    ],
    "dtypes": [
        (lambda: INT @ INT.T,
         r"\[matmul\] expected dtypes that promote to a float, .* cast one with astype"),
        (lambda: -mx.array([True]), r"\[negative\] expected numbers, got bool; use logical_not"),
        (lambda: mx.erf(mx.array([1j])),
         r"\[erf\] expected a real dtype, got complex64; take real or imag first"),
        (lambda: ~ones((2,)), r"\[bitwise_invert\] expected integers or bool, got float32"),
        (lambda: mx.take(ones((2,)), mx.array([0.5])),
         r"\[take\] expected integer indices, got float32"),
        (lambda: mx.arange(0, 5, 1, mx.bool_), r"\[arange\] expected a number dtype"),
        (lambda: mx.random.uniform(dtype=mx.int32),
         r"\[random.uniform\] expected a float dtype, got int32"),
        (lambda: mx.random.randint(0, 5, (2,), mx.float32),
         r"\[random.randint\] expected an integer dtype"),
        (lambda: mx.random.normal((2,), mx.int32),
         r"\[random.normal\] expected a float dtype or complex64"),
        (lambda: mx.random.bernoulli(mx.array([1])),
         r"\[random.bernoulli\] expected a probability of a float"),
        (lambda: mx.linalg.eigh(INT[:, :2]),
         r"\[linalg.eigh\] expected float32, float64 or complex64"),
        (lambda: mx.fast.layer_norm(INT, None, None, 1e-5),
         r"\[layer_norm\] expected float dtypes, got int32"),
        (lambda: mx.array("a"), "Invalid type str"),
        (lambda: mx.array([[1], [1, 2]]), "non-uniform length"),
    ],
    "values": [
        (lambda: mx.transpose(ones((2, 3)), (0, 0)),
         r"\[transpose\] expected distinct axes, got \(0, 0\)"),
        (lambda: mx.sum(ones((2, 3)), axis=(0, 0)), r"\[sum\] expected distinct axes"),
        (lambda: mx.flatten(ones((2, 3)), 1, 0),
         r"\[flatten\] expected start_axis before end_axis"),
        (lambda: mx.pad(ones((2,)), -1), r"\[pad\] expected widths of at least 0, got -1"),
        (lambda: mx.pad(ones((2,)), 1, "what"),
         r'\[pad\] expected mode constant, edge, .* got "what"'),
        (lambda: mx.repeat(ones((2,)), -1), r"\[repeat\] expected at least 0 repeats"),
        (lambda: mx.linspace(0, 1, -2), r"\[linspace\] expected num of at least 0"),
        (lambda: mx.arange(0, 5, 0), r"\[arange\] expected a step that is not 0"),
        (lambda: mx.arange(0, float("nan")), r"\[arange\] expected finite bounds"),
        (lambda: mx.eye(-1), r"\[eye\] expected sizes of at least 0"),
        (lambda: mx.random.categorical(ones((2, 3)), shape=(2,), num_samples=3),
         r"\[random.categorical\] expected shape or num_samples, got both"),
        (lambda: mx.linalg.norm(ones((2, 2, 2)), axis=(0, 1, 2)),
         r"\[linalg.norm\] expected one or two axes, got 3"),
        (lambda: mx.fast.scaled_dot_product_attention(QKV, QKV, QKV, scale=1.0, mask="what"),
         r'expected mask "causal" or an array, got "what"'),
        (lambda: mx.grad(lambda x: x.sum(), argnums=-1)(ones((2,))),
         r"\[grad\] Can't compute the gradient of negative argument index -1"),
        (lambda: ones((2,)) + "a", "Cannot perform addition on an array and str"),
    ],
}  # fmt: skip
AXES = ["sum", "max", "softmax", "cumsum", "sort", "argsort", "logsumexp", "argmax", "mean", "var"]


@pytest.mark.parametrize(
    ("call", "text"),
    [pytest.param(*c, id=f"{kind}-{c[1][:30]}") for kind, cases in REFUSED.items() for c in cases],
)
def test_wrong_values_are_told(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize("name", AXES)
def test_axes_that_are_not_there_are_index_errors(name):
    text = r"\[\w+\] expected an axis of an array with 1 dimensions, got 3"
    with pytest.raises(IndexError, match=text):
        getattr(mx, name)(ones((2,)), axis=3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mx.expand_dims(ones((2, 3)), 9),
        lambda: mx.swapaxes(ones((2, 3)), 0, 4),
        lambda: mx.moveaxis(ones((2, 3)), 0, 4),
        lambda: mx.squeeze(ones((2, 3)), 5),
        lambda: mx.concatenate([ones((2,)), ones((2,))], axis=4),
        lambda: mx.take(ones((2,)), mx.array([0]), axis=4),
        lambda: mx.random.permutation(ones((2, 3)), axis=4),
    ],
)
def test_axes_of_shapes_are_checked(call):
    with pytest.raises(IndexError, match="expected an axis of an array with"):
        call()


def test_bits_of_floats_are_refused_as_in_mlx():
    with pytest.raises(RuntimeError, match=r"\[bitwise_and\] expected integers or bool"):
        mx.bitwise_and(ones((2,)), ones((2,)))
    for use in (lambda x: x & 1, lambda x: x | x, lambda x: True ^ x, lambda x: x << 1):
        with pytest.raises(ValueError, match=r"expected integers or bool, got .*astype"):
            use(ones((2,)))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: mx.sum(), r"sum\(\): incompatible function arguments"),
        (lambda: mx.sum(ones((2,)), what=1), r"1\. sum\(a: array"),
        (lambda: mx.zeros((2,), "float32"), r"Invoked with types: \(tuple, str\)"),
        (lambda: ones((2,)).astype(3), r"astype\(\): incompatible"),
        (
            lambda: ones((2,)).astype(float),
            r"(?s)\(array, type\).*Dtype such as mx.float32 as dtype",
        ),
        (lambda: mx.zeros(2, dtype="int8"), "Pass a Dtype such as mx.float32 as dtype"),
        (
            lambda: mx.save_safetensors("x", {1: ones(2)}),
            r"^\[save_safetensors\] .* strings, got int",
        ),
        (lambda: float(mx.array(1j)), r"\[float\] expected a real array, got complex64"),
        (lambda: int(mx.array(1j)), r"\[int\] expected a real array"),
        (
            lambda: f"{ones((2,)):.2f}",
            r'\[format\] .* "\.2f", got shape \(2,\); format its elements',
        ),
        (lambda: ones((2,)) < None, "not supported between"),
        (lambda: mx.array(None), "expected a scalar, list, tuple, array or buffer"),
        (lambda: ones((2,)) + None, "unsupported operand"),
        (lambda: mx.set_memory_limit(-1), "bytes that are not negative"),
    ],
)
def test_wrong_types_are_told(call, text):
    with pytest.raises(TypeError, match=text):
        call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: x.sum(dim=0), "Write axis instead of dim"),
        (lambda x: x.sum(0, keepdim=True), "Write keepdims instead of keepdim"),
        (lambda x: mx.random.normal((2,), mean=1.0), "Write loc instead of mean"),
        (lambda x: mx.sort(x, descending=True), "Leave out descending; there is no such parameter"),
        (lambda x: mx.reshape(x, 3, 2), r"Pass one tuple such as \(2, 3\) as shape"),
        (lambda x: mx.stack(x, x), "Pass a list of arrays as arrays"),
        (lambda x: mx.zeros(2, 3), "as dtype; pass a shape as one tuple"),
        (lambda x: mx.zeros(2.5), "Pass integers as shape"),
        (lambda x: mx.mean([1, 2]), r"Pass an array such as mx.array\(\[1, 2\]\) as a"),
        (lambda x: mx.add(x, [1, 2]), "Pass a number or an array as b"),
        (lambda x: mx.random.normal((2,), key=0), r"Pass mx.random.key\(seed\) as key"),
        (lambda x: mx.add(x, 1, stream="cpu"), "such as mx.cpu as stream"),
        (lambda x: mx.where(x > 1), "Pass x, which is missing"),
        (lambda x: mx.sum(x, 0, False, 3), "Pass at most 3 arguments by position"),
        (lambda x: mx.sum(x, 0, axis=0), "Pass axis once"),
        (lambda x: mx.sum(a=x), "Pass a by position, without its name"),
        (lambda x: mx.pad(x, "a"), "Pass integers as pad_width"),
        (lambda x: mx.pad(x, 1, mode=3), "Pass another type than int as mode"),
        (lambda x: mx.fast.rms_norm(x, None, "a"), "Pass a number as eps"),
    ],
)
def test_wrong_arguments_say_what_to_write(call, text):
    with pytest.raises(TypeError, match=rf"(?s)\n\nInvoked with types: .*\n\n.*{text}"):
        call(ones((2, 3)))


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (bool, "ask for any() or all()"), (float, "take one of its elements"),
        (mx.array.item, "or tolist()"),
    ],
)  # fmt: skip
def test_many_elements_are_no_number(use, text):
    with pytest.raises(ValueError, match=r"got shape \(2, 3\); ") as caught:
        use(ones((2, 3)))
    assert text in str(caught.value)


def test_an_index_outside_says_what_fits():
    with pytest.raises(IndexError, match=r"\[take\] expected an index in \[-2, 2\) for axis 0"):
        mx.eval(mx.take(ones((2,)), mx.array([7])))
    text = r"\[index\] index 5 is out of bounds for axis 0 with size 2; pass one in \[-2, 2\)"
    with pytest.raises(IndexError, match=text):
        ones((2,))[5]


@pytest.mark.parametrize(
    "value",
    [{}, set(), range(3), object(), b"ab", "a", iter(()), int, [{}], [object()],
     np.datetime64("2020-01-01"), [np.datetime64("2020-01-01")], np.timedelta64(1, "D")],
)  # fmt: skip
def test_what_is_no_number_is_refused(value):
    text = r"\[array\] Invalid type .* received in array initialization; pass"
    with pytest.raises(ValueError, match=text):
        mx.array(value)


@pytest.mark.parametrize("other", ["a", [1], (), {}, {1}])
def test_arrays_are_not_compared_with_containers(other):
    for use in (
        lambda x: x < other,
        lambda x: other <= x,
        lambda x: x > other,
        lambda x: x + other,
    ):
        with pytest.raises(
            ValueError, match=r"Cannot perform .* on an array and .* make it an array"
        ):
            use(ones((2,)))
    assert (ones((2,)) == other) is False
    assert (ones((2,)) != other) is True


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: mx.vmap(abs, in_axes=3)(ones((2,))),
         r"\[vmap\] expected in_axes in \[-1, 1\) for an array of shape \(2,\), got 3"),
        (lambda: mx.vmap(abs, in_axes=-3)(ones((2,))), "in_axes .* got -3"),
        (lambda: mx.vmap(abs)(mx.array(1.0)), "in_axes .* got 0"),
        (lambda: mx.vmap(abs, out_axes=3)(ones((2,))), "out_axes .* got 3"),
        (lambda: mx.vmap(abs, out_axes=-3)(ones((2,))), "out_axes .* got -3"),
    ],
)  # fmt: skip
def test_axes_of_vmap_are_checked(call, text):
    with pytest.raises(IndexError, match=text):
        call()


def test_files_are_named():
    with pytest.raises(ValueError, match=r'expected format .* got "" for notes; pass format'):
        mx.load("notes")
    with pytest.raises(ValueError, match='got "txt" for a stream'):
        mx.load(io.BytesIO(), format="txt")
