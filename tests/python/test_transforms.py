import numpy as np
import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")


def model(m):
    def loss(p, x):
        h = m.tanh(x @ p["w"][0]) * m.exp(-m.abs(p["b"]))
        s = m.softmax(h, axis=-1)
        return (m.log(s + 1) * h).sum() + m.logsumexp(h, axis=0).mean()

    return loss


def inputs(m):
    rng = np.random.default_rng(0)
    w, b, x = (rng.standard_normal(s).astype("float32") for s in ((4, 3), (3,), (5, 4)))
    return {"w": [m.array(w)], "b": m.array(b)}, m.array(x)


def test_gradients_of_trees_agree_with_mlx():
    (value, grads), (their_value, theirs) = (
        m.value_and_grad(model(m))(*inputs(m)) for m in (mx, peer)
    )
    np.testing.assert_allclose(value.item(), their_value.item(), rtol=1e-5)
    np.testing.assert_allclose(np.array(grads["b"]), np.array(theirs["b"]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        np.array(grads["w"][0]), np.array(theirs["w"][0]), rtol=1e-4, atol=1e-6
    )


def test_second_derivatives():
    f = mx.grad(mx.grad(lambda x: mx.sin(x) * x))
    x = 0.7
    np.testing.assert_allclose(f(mx.array(x)).item(), 2 * np.cos(x) - x * np.sin(x), rtol=1e-5)


def test_argnums_and_argnames():
    def f(x, y, *, z):
        return (x * y * z).sum()

    a, b, c = (mx.array([v]) for v in (2.0, 3.0, 5.0))
    assert mx.grad(f)(a, b, z=c).tolist() == [15.0]
    assert [g.tolist() for g in mx.grad(f, argnums=(0, 1))(a, b, z=c)] == [[15.0], [10.0]]
    first, named = mx.grad(f, argnames="z")(a, b, z=c)
    assert first is None
    assert named["z"].tolist() == [6.0]


def test_auxiliary_outputs_are_kept():
    (value, text, twice), grad = mx.value_and_grad(lambda x: (x.sum(), "aux", x * 2))(
        mx.array([1.0, 2.0])
    )
    assert (value.item(), text, twice.tolist(), grad.tolist()) == (3.0, "aux", [2, 4], [1, 1])


@pytest.mark.parametrize(
    ("fun", "argument", "text"),
    [
        (lambda x: x, mx.ones((2,)), "scalar"),
        (lambda x: 1.0, mx.ones((2,)), "float was returned"),
        (lambda x: x.sum(), 1.0, "only arrays"),
    ],
)
def test_functions_that_cannot_be_differentiated(fun, argument, text):
    with pytest.raises(ValueError, match=text):
        mx.grad(fun)(argument)


def test_errors_of_the_function_pass_through():
    with pytest.raises(KeyError, match="gone"):
        mx.grad(lambda x: {}["gone"])(mx.array(1.0))


def test_stop_gradient_stops_it():
    x = mx.array([3.0])
    assert mx.grad(lambda x: (mx.stop_gradient(x) * x).sum())(x).tolist() == [3.0]


def test_vjp_and_jvp_are_transposes():
    rng = np.random.default_rng(1)
    w = mx.array(rng.standard_normal((4, 3)).astype("float32"))
    x, t = (mx.array(rng.standard_normal((2, 4)).astype("float32")) for _ in range(2))
    u = mx.array(rng.standard_normal((2, 3)).astype("float32"))

    def f(x):
        return mx.tanh(x @ w)

    (_,), (g,) = mx.vjp(f, [x], [u])
    (_,), (j,) = mx.jvp(f, [x], [t])
    np.testing.assert_allclose((g * t).sum().item(), (j * u).sum().item(), rtol=1e-4)


def test_vmap_agrees_with_a_loop():
    rng = np.random.default_rng(2)
    a, b = (mx.array(rng.standard_normal((5, 3, 4)).astype("float32")) for _ in range(2))

    def f(x, y):
        return {"p": mx.softmax(x @ y.T, axis=-1), "s": (x * y).sum(axis=0)}

    got = mx.vmap(f)(a, b)
    for i in range(5):
        one = f(a[i], b[i])
        for key in one:
            np.testing.assert_allclose(np.array(got[key][i]), np.array(one[key]), rtol=1e-5)


def test_vmap_axes_and_nesting():
    x = mx.arange(6).reshape(2, 3).astype(mx.float32)
    assert mx.vmap(lambda r: r * 2, in_axes=1)(x).shape == (3, 2)
    assert mx.vmap(lambda r: r, in_axes=1, out_axes=1)(x).tolist() == x.tolist()
    assert mx.vmap(lambda a, b: a + b, in_axes=(0, None))(x, x).shape == (2, 2, 3)
    grads = mx.vmap(mx.grad(lambda r: (r * r).sum()))(x)
    assert grads.tolist() == (2 * x).tolist()


def test_compiled_functions_trace_once_and_give_the_same_bits():
    calls = []

    def f(x, n):
        calls.append(n)
        return {"y": mx.exp(x) * n, "n": n}

    compiled = mx.compile(f)
    for value in (1.0, 2.0):
        x = mx.array([value, 0.5])
        assert compiled(x, 3)["y"].tolist() == f(x, 3)["y"].tolist()
    assert calls.count(3) == 3  # one trace, two direct calls
    assert compiled(mx.ones((3,)), 3)["n"] == 3
    assert calls.count(3) == 4
    assert compiled(mx.ones((3,)), 4)["y"].shape == (3,)


def test_compiled_functions_update_their_state():
    state = {"count": mx.array(0), "x": [mx.array(1.0)]}

    def step(d):
        state["count"] = state["count"] + 1
        state["x"][0] = state["x"][0] * d
        return state["x"][0] + 1

    compiled = mx.compile(step, inputs=state, outputs=state)
    assert [compiled(mx.array(2.0)).item() for _ in range(3)] == [3.0, 5.0, 9.0]
    assert state["count"].item() == 3
    assert state["x"][0].item() == 8.0


def test_checkpoint_changes_no_gradient():
    w = mx.array([[0.5, -1.0], [2.0, 0.25]])

    def f(x):
        return mx.tanh(x @ w) * x

    x = mx.array([[1.0, 2.0]])
    plain = mx.grad(lambda x: f(x).sum())(x)
    kept = mx.grad(lambda x: mx.checkpoint(f)(x).sum())(x)
    assert plain.tolist() == kept.tolist()


def test_evaluation_passes_over_other_leaves():
    x = mx.ones((2,)) + 1
    mx.eval(None, 3, "a", [x, {"b": x}])
    mx.async_eval(x)
    mx.synchronize()
    assert x.tolist() == [2.0, 2.0]


def test_long_chains_do_not_recurse():
    def f(x):
        for _ in range(20_000):
            x = x + 1.0
        return x.sum()

    value, grad = mx.value_and_grad(f)(mx.zeros((2,)))
    assert value.item() == 40_000.0
    assert grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.complex64])
def test_gradients_of_products_with_transposed_matrices_lie_as_the_matrices(dtype):
    x, w = (mx.random.normal(shape).astype(dtype) for shape in [(33, 20), (7, 20)])
    g = mx.random.normal((33, 7)).astype(dtype)
    mx.eval(x, w, g)
    [right] = mx.vjp(lambda v: x @ v.T, [w], [g])[1]
    [left] = mx.vjp(lambda v: v.T @ w, [mx.contiguous(g.T)], [x])[1]
    for found, rows in [(right, "[7, 20]"), (left, "[7, 33]")]:
        assert f"matmul {str(dtype).split('.')[-1]}{rows}" in str(mx.memory_plan(found))
    # The bits of the products as they are written, which come out transposed.
    bar = mx.conj if dtype == mx.complex64 else lambda v: v
    assert bytes(right) == bytes(mx.contiguous((bar(x).T @ g).T))
    assert bytes(left) == bytes(mx.contiguous((x @ bar(w).T).T))
