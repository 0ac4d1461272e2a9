"""Custom rules, checkpoints, dependencies, nested batching, compiled state, drawings: as MLX's."""

import gc
import io
import weakref
from typing import NamedTuple

import numpy as np
import plimsoll.core as mx
import pytest
from plimsoll import _core

peer = pytest.importorskip("mlx.core")
BOTH = pytest.mark.parametrize("m", [mx, peer], ids=["plimsoll", "mlx"])


def custom(m, **rules):
    """sin(x) * y with rules that cannot be mistaken for its own."""

    @m.custom_function
    def f(x, y):
        return m.sin(x) * y

    for name, rule in rules.items():
        f = getattr(f, name)(rule)
    return f


def numbers(tree):
    if isinstance(tree, list | tuple):
        return [numbers(t) for t in tree]
    if isinstance(tree, dict):
        return {k: numbers(v) for k, v in tree.items()}
    return np.round(np.array(tree), 5).tolist()


def vjp_rule(primals, cotangent, output):
    x, _ = primals
    return cotangent * 100 * x, cotangent * 10 * output


def jvp_rule(primals, tangents):
    return sum(t * 7 for t in tangents if t is not None) + primals[0]


def vmap_rule(inputs, axes):
    assert axes in ((0, None), (0, 0))
    return inputs[0] * 5, axes[0]


def cases(m):
    one, two = m.array(1.0), m.array(2.0)
    ones = m.array([1.0, 2.0, 3.0])
    yield lambda f: f(one, two)
    yield lambda f: m.grad(f, argnums=(0, 1))(one, two)
    yield lambda f: m.grad(f)(one, two)
    yield lambda f: m.vjp(f, [one, two], [two])
    yield lambda f: m.jvp(f, [one, two], [one, two])
    yield lambda f: m.jvp(lambda x: f(x, two) * 3, [one], [one])
    yield lambda f: m.vmap(f, in_axes=(0, None))(ones, one)
    yield lambda f: m.vmap(m.grad(f))(ones, ones)
    yield lambda f: m.grad(lambda x: m.vmap(f)(x, ones).sum())(ones)
    yield lambda f: m.grad(m.grad(lambda x: f(x, two)))(one)
    yield lambda f: m.compile(f)(one, two)
    yield lambda f: m.grad(m.compile(lambda x: f(x, two)))(one)
    yield lambda f: m.vmap(lambda x: m.jvp(lambda a: f(a, two), [x], [one])[1][0])(ones)


RULES = {"vjp": vjp_rule, "jvp": jvp_rule, "vmap": vmap_rule}


@pytest.mark.parametrize("names", [(), ("vjp",), ("jvp",), ("vmap",), ("vjp", "jvp", "vmap")])
def test_rules_take_the_place_of_the_functions_own(names):
    rules = {name: RULES[name] for name in names}
    ours, theirs = custom(mx, **rules), custom(peer, **rules)
    for number, (mine, other) in enumerate(zip(cases(mx), cases(peer), strict=True)):
        assert numbers(mine(ours)) == numbers(other(theirs)), number


@BOTH
def test_trees_and_keywords_reach_the_rules(m):
    seen = []

    @m.custom_function
    def f(d, scale=1):
        return {"a": d["x"] * scale, "b": d["y"]}

    @f.vjp
    def rule(primals, cotangents, outputs, scale=1):
        seen.append((sorted(primals), sorted(cotangents), sorted(outputs), scale))
        return {"x": cotangents["a"] * 5, "y": cotangents["b"] * 7}

    d = {"x": m.array(1.0), "y": m.array(2.0)}
    grads = m.grad(lambda d: f(d, scale=3)["a"] + f(d, scale=3)["b"])(d)
    assert numbers(grads) == {"x": 5.0, "y": 7.0}
    assert all(entry == (["x", "y"], ["a", "b"], ["a", "b"], 3) for entry in seen)


@BOTH
def test_captured_arrays_count_as_constant(m):
    def g(x, y):
        @m.custom_function
        def f(x):
            return x * y

        @f.vjp
        def rule(primals, cotangents, outputs):
            raise ValueError("Abort!")

        return f(x)

    x, y = m.array(2.0), m.array(3.0)
    assert g(x, y).item() == 6
    with pytest.raises(ValueError, match="Abort"):
        m.grad(g)(x, y)
    assert m.grad(g, argnums=1)(x, y).item() == 0


def test_a_rule_that_gives_too_few_is_refused():
    f = custom(mx, vjp=lambda p, c, o: c)
    with pytest.raises(ValueError, match="2 gradients"):
        mx.grad(f)(mx.array(1.0), mx.array(2.0))
    with pytest.raises(TypeError, match="Callable"):
        mx.custom_function(3)


def test_a_custom_function_holds_nothing_after_its_call():
    class Token:
        pass

    token = Token()
    watch = weakref.ref(token)
    f = custom(mx, vjp=lambda p, c, o, held=token: (c, c))
    del token
    y = mx.grad(f)(mx.array(1.0), mx.array(2.0))
    del f
    mx.eval(y)
    gc.collect()
    assert watch() is None


class Pair(NamedTuple):
    a: object
    b: object


def test_named_tuples_stay_named_tuples():
    @mx.custom_function
    def f(p):
        return Pair(p.a * 2, [p.b, "text"])

    f.vjp(lambda p, c, o: Pair(c.a * p.b, c.b[0]))
    out = f(Pair(mx.array(1.0), mx.array(3.0)))
    assert isinstance(out, Pair)
    assert out.b[1] == "text"
    grads = mx.grad(lambda p: f(p).a)(Pair(mx.array(1.0), mx.array(3.0)))
    assert numbers(grads) == [3.0, 0.0]


# ---- checkpoint, depends.


@BOTH
def test_checkpoint_differentiates_by_its_arguments_only(m):
    two, w = m.array(2.0), m.array(3.0)
    assert m.grad(lambda w: m.checkpoint(lambda x: m.sin(x * w))(two))(w).item() == 0
    assert m.grad(lambda y: m.checkpoint(lambda x, y=None: x * y)(two, y=y))(w).item() == 2
    out = m.checkpoint(lambda d: {"a": d["x"] * 2, "b": (d["x"], 3)})({"x": two, "k": 5})
    assert (out["a"].item(), out["b"][0].item(), out["b"][1]) == (4, 2, 3)


def test_checkpoint_nests_with_other_transforms():
    m = mx  # mlx has no vmap of checkpoints
    f = m.checkpoint(lambda x, y: m.exp(m.sin(x) * y))
    x, y = m.array([0.1, 0.2, 0.3]), m.array([1.0, 2.0, 3.0])

    def plain(x, y):
        return m.exp(m.sin(x) * y)

    for g in (
        lambda f: m.grad(lambda x: f(x, y).sum())(x),
        lambda f: m.vmap(m.grad(f))(x, y),
        lambda f: m.grad(lambda x: m.vmap(f)(x, y).sum())(x),
        lambda f: m.grad(lambda x: m.grad(lambda x: f(x, y).sum())(x).sum())(x),
        lambda f: m.jvp(f, [x, y], [y, x])[1][0],
        lambda f: m.compile(m.grad(lambda x: f(x, y).sum()))(x),
    ):
        np.testing.assert_allclose(np.array(g(f)), np.array(g(plain)), rtol=1e-5)


@BOTH
def test_depends_keeps_values_and_gradients(m):
    a, b = m.array([1.0, 2.0]) * 2, m.array(3.0) * 1
    assert m.depends(a, b).tolist() == [2, 4]
    out = m.depends([a, b], [b])
    assert [o.tolist() for o in out] == [[2, 4], 3]
    grad = m.grad(lambda x: m.depends(x * 2, b).sum())(m.array([1.0, 2.0]))
    assert grad.tolist() == [2, 2]
    if m is mx:  # mlx has no vmap of it
        assert m.vmap(lambda x: m.depends(x, b) * 2)(m.array([1.0, 2.0])).tolist() == [2, 4]


def test_depends_orders_an_evaluation():
    x = mx.ones((256, 256))
    first, second = x @ x, mx.sin(x)
    free = mx.memory_plan(second @ second, first)
    tied = mx.memory_plan(mx.depends(second, first) @ second, first)
    names = [[a.operation.split()[0] for a in p.actions if a.kind == "run"] for p in (free, tied)]
    assert names[1].index("matmul") < len(names[1]) - 1
    assert sorted(names[0]) == sorted(names[1])


# ---- vmap and grad in any order.


def nested(m):
    x = m.arange(6.0).reshape(2, 3)
    v = m.arange(3.0)

    def cube(r):
        return (r * r * r).sum()

    yield lambda: m.vmap(lambda a: a * 2, out_axes=1)(x)
    yield lambda: m.vmap(lambda a: a.sum(), in_axes=1)(x)
    yield lambda: m.vmap(lambda a: a * v[:2], in_axes=-1, out_axes=-1)(x)
    yield lambda: m.vmap(m.vmap(lambda a, b: a * b, in_axes=(0, None)), in_axes=(None, 0))(v, v)
    yield lambda: m.grad(lambda x: m.vmap(lambda r: (r * r).sum())(x).sum())(x)
    yield lambda: m.vmap(m.grad(cube))(x)
    yield lambda: m.vmap(m.grad(cube), in_axes=1, out_axes=1)(x)
    yield lambda: m.vmap(lambda t: m.vjp(m.grad(cube), [v], [t])[1][0])(m.eye(3))
    yield lambda: m.grad(lambda s: m.vmap(m.grad(lambda r: r * r * r * s))(v).sum())(m.array(2.0))
    yield lambda: m.vmap(lambda d: d["a"] + d["b"], in_axes={"a": 0, "b": None})({"a": x, "b": v})
    yield lambda: m.jvp(m.vmap(m.sin), [v], [v])
    yield lambda: m.vmap(lambda a: m.jvp(m.sin, [a], [m.array(1.0)])[1][0])(v)
    yield lambda: m.vmap(lambda a, i: a[i], in_axes=(0, 0))(x, m.array([0, 2]))
    yield lambda: m.vmap(lambda a: m.softmax(a) @ v)(x)
    yield lambda: m.grad(lambda x: m.grad(lambda y: m.vmap(cube)(y).sum())(x).sum())(x)
    yield lambda: m.vmap(lambda r: m.value_and_grad(cube)(r)[1], in_axes=0, out_axes=1)(x)


def test_batching_and_gradients_nest_in_any_order():
    for number, (ours, theirs) in enumerate(zip(nested(mx), nested(peer), strict=True)):
        assert numbers(ours()) == numbers(theirs()), number


@BOTH
def test_an_axis_that_is_not_there_is_refused(m):
    with pytest.raises(IndexError):
        m.vmap(lambda a: a, in_axes=5)(m.ones((2, 3)))
    with pytest.raises(ValueError, match="vmap"):
        m.vmap(lambda a, b: a + b)(m.ones((2, 3)), m.ones((3,)))


# ---- compile.


@BOTH
def test_compiled_functions_capture_state(m):
    state = {"w": [m.array(1.0)]}

    def step(x):
        state["w"][0] = state["w"][0] + x
        return state["w"][0] * 2

    run = m.compile(step, inputs=state, outputs=state)
    assert [run(m.array(2.0)).item(), run(m.array(2.0)).item()] == [6, 10]
    assert state["w"][0].item() == 5


@BOTH
def test_compiled_functions_capture_the_random_state(m):
    m.random.seed(3)

    def draw(x):
        return m.random.uniform(shape=(2,)) * x

    run = m.compile(draw, inputs=m.random.state, outputs=m.random.state)
    got = [run(m.array(1.0)).tolist() for _ in range(2)]
    m.random.seed(3)
    assert got == [draw(m.array(1.0)).tolist() for _ in range(2)]
    fixed = m.compile(draw)
    assert fixed(m.array(1.0)).tolist() == fixed(m.array(1.0)).tolist()


def test_random_state_is_one_list():
    assert mx.random.state is mx.random.state
    mx.random.seed(3)
    assert mx.random.state[0].tolist() == peer.random.key(3).tolist()
    with pytest.raises(AttributeError):
        mx.random.nothing  # noqa: B018


def test_a_compiled_step_with_an_optimizer_is_the_plain_one():
    import plimsoll.nn as nn
    import plimsoll.optimizers as optim

    def train(compiled):
        mx.random.seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        adam = optim.Adam(learning_rate=0.1)
        state = [model.state, adam.state, mx.random.state]
        mx.eval(state)

        def step(x):
            loss, grads = nn.value_and_grad(model, lambda x: model(x).square().mean())(x)
            adam.update(model, grads)
            return loss

        run = mx.compile(step, inputs=state, outputs=state) if compiled else step
        x = mx.random.normal((8, 3))
        return [run(x).item() for _ in range(5)]

    assert train(True) == train(False)


@pytest.mark.parametrize("shapeless", [False, True])
def test_no_result_depends_on_earlier_shapes(shapeless):
    run = mx.compile(lambda x: x.reshape(x.shape[0] * 2, -1).sum() / x.size, shapeless=shapeless)
    for shape in ((2, 4), (4, 4), (2, 8), (6, 2)):
        assert run(mx.ones(shape)).item() == 1


def test_traces_are_bounded():
    traces = []

    def f(x, k):
        traces.append(k)
        return x * k

    run, x = mx.compile(f), mx.array([2.0])
    for k in range(100):
        assert run(x, k).item() == 2 * k
    assert len(traces) == 100
    run(x, 99), run(x, 80), run(x, 40)
    assert len(traces) == 100  # the last 64 are there
    run(x, 0)
    assert len(traces) == 101  # the first is not


@BOTH
def test_evaluating_inside_a_trace_is_refused(m):
    with pytest.raises(ValueError, match="eval"):
        m.compile(lambda x: (x * 2).item())(m.array(1.0))
    with pytest.raises(ValueError, match="eval"):
        m.vmap(lambda x: m.array(x.item()))(m.ones((3,)))


# ---- export_to_dot.


def test_a_drawing_names_operations_and_arrays(tmp_path):
    x, y = mx.array([1.0]), mx.array([2.0])
    path = tmp_path / "graph.dot"
    mx.export_to_dot(str(path), (x + y) * x, x=x, y=y)
    text = path.read_text()
    assert text.startswith("digraph {\n")
    assert text.count("shape=rectangle") == 2
    assert 'label="add"' in text
    assert 'rank=source; "x"' in text
    out = io.StringIO()
    mx.export_to_dot(out, {"a": [x * y]}, x=x, y=y)
    assert 'label="multiply"' in out.getvalue()


def test_a_drawing_of_a_long_chain_needs_no_recursion():
    y = mx.array([1.0])
    for _ in range(20_000):
        y = y + 1.0
    out = io.StringIO()
    mx.export_to_dot(out, y)
    assert out.getvalue().count('label="add"') == 20_000
    assert len(_core._graph([mx.array([1.0])])) == 1
