"""Work that does not fit: what the limit costs, against the same work without one.

    PYTHONPATH=build/release/python python benchmarks/limits/workloads.py [NAME …]

Each function takes a scale (1: as printed; tests/limits/test_workloads.py takes less), runs its
work under a kept limit, and returns what was measured. `same` says that the bits are those without
a limit. Ratios of times are under the limit : without.
"""

import gc
import hashlib
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import plimsoll.optimizers as optim

MB = 1 << 20


def digest(arrays: list) -> str:
    total = hashlib.sha256()
    for a in arrays:
        total.update(np.array(a).tobytes())
    return total.hexdigest()


def timed(arrays: list) -> float:
    start = time.perf_counter()
    mx.eval(arrays)
    return time.perf_counter() - start


def normal(shape: tuple, key: int, scale: float = 1.0) -> mx.array:
    a = mx.random.normal(shape, key=mx.random.key(key)) * scale
    mx.eval(a)
    return a


def under(limit: int, make: Callable[[], list], rounds: int = 3) -> dict:
    """Evaluates make() without a limit and under it in turn; the ratio is the rounds' median.

    The limit is the least that works where that is more than what was asked for.
    """
    floor = mx.memory_plan(make()).floor
    limit = max(limit, floor + MB // 2)
    want, ratios, same = "", [], True
    for turn in range(rounds + 1):  # the first warms up
        gc.collect()
        arrays = make()
        free = timed(arrays)
        want = want or digest(arrays)
        del arrays
        gc.collect()
        with mx.memory_limit(limit, strict=True):
            arrays = make()
            seconds = timed(arrays)
            done = mx.last_evaluation()
        same &= digest(arrays) == want
        del arrays
        if turn:
            ratios.append(seconds / free)
    return {
        "stage": done.stage,
        "time ratio": statistics.median(ratios),
        "loaded": done.loaded,
        "written": done.written,
        "recomputed": done.recomputed,
        "peak": done.peak,
        "limit": limit,
        "same": same,
    }


def layers(scale: float) -> list[mx.array]:
    n = int(1024 * scale)
    return [normal((n, n), k, n**-0.5) for k in range(20)]


def one_pass(x: mx.array, weights: list[mx.array]) -> mx.array:
    for w in weights:
        x = mx.tanh(x @ w)
    return x


def passes_in_one(scale: float = 1.0) -> dict:
    """20 passes over weights under a limit of 90 % of them, in one evaluation."""
    weights, passes = layers(scale), 20
    size = sum(w.nbytes for w in weights)
    x = normal((1, weights[0].shape[0]), 99)

    def make() -> list:
        y = x
        for _ in range(passes):
            y = one_pass(y, weights)
        return [y]

    found = under(int(0.9 * size), make, rounds=1)
    # LRU misses always where the passes go round in more than it holds.
    return {**found, "LRU : loaded": passes * size / max(1, found["loaded"])}


def passes_in_many(scale: float = 1.0) -> dict:
    """The same, an evaluation a pass."""
    weights, passes = layers(scale), 20
    size = sum(w.nbytes for w in weights)
    x = normal((1, weights[0].shape[0]), 99)
    loaded = 0
    with mx.memory_limit(int(0.9 * size), strict=True):
        for _ in range(passes):
            x = one_pass(x, weights)
            mx.eval(x)
            loaded += mx.last_evaluation().loaded
    return {"loaded": loaded, "LRU : loaded": passes * size / max(1, loaded)}


def matmul(scale: float = 1.0) -> dict:
    """A product whose operands are four times the limit."""
    n = int(4096 * scale)
    a, b = normal((n, n), 1), normal((n, n), 2)
    return under(2 * n * n * 4 // 4, lambda: [a @ b])


def gram(scale: float = 1.0) -> dict:
    """XᵀX of a tall matrix eight times the limit."""
    x = normal((int(131072 * scale), 128), 1)
    return under(x.nbytes // 8, lambda: [x.T @ x])


def short_axes(scale: float = 1.0, names: list[str] | None = None) -> dict:
    """cumsum, mean, var and argsort along a short axis of an array twice the limit."""
    x = normal((int(131072 * scale), 64), 1)
    ops = {
        "cumsum": lambda: [mx.sum(mx.cumsum(x, axis=1), axis=0)],
        "mean": lambda: [mx.mean(x, axis=1)],
        "var": lambda: [mx.var(x, axis=1)],
        "argsort": lambda: [mx.sum(mx.argsort(x, axis=1), axis=0)],
    }
    return {name: under(x.nbytes // 2, ops[name]) for name in names or ops}


def long_sorts(scale: float = 1.0, rounds: int = 3) -> dict:
    """sort and argsort of arrays four times the limit: selected tile by tile, in many passes."""
    x = normal((int(16 * MB * scale),), 1, 1000)
    found = {}
    for dtype in (mx.float32, mx.int32, mx.bfloat16):
        a = mx.array(x).astype(dtype)
        mx.eval(a)
        for op in (mx.sort, mx.argsort):
            name = f"{op.__name__} {str(dtype).rpartition('.')[2]}"
            found[name] = under(a.nbytes // 4, lambda a=a, op=op: [op(a).view(mx.uint8)], rounds)
        del a
    found["of a product"] = under(
        x.nbytes // 4, lambda: [mx.argsort(x * 3), mx.exp(mx.sort(x * -0.001))], rounds
    )
    return found


def cross_entropy(scale: float = 1.0) -> dict:
    """Cross-entropy and its gradient where the logits alone are twice the limit."""
    n, d, v = int(1024 * scale), 64, int(16384 * scale)
    h, w = normal((n, d), 1), normal((v, d), 2, 0.05)
    y = mx.random.randint(0, v, (n,), key=mx.random.key(3))
    mx.eval(y)
    f = mx.value_and_grad(
        lambda h, w: nn.losses.cross_entropy(h @ w.T, y, reduction="mean"), argnums=(0, 1)
    )

    def make() -> list:
        loss, grads = f(h, w)
        return [loss, *grads]

    return under(n * v * 4 // 2, make)


def many_casts(scale: float = 1.0) -> dict:
    """1000 casts of one array, summed."""
    x = normal((int(262144 * scale),), 1)

    def make() -> list:
        total = x
        for k in range(1000):
            total = total + (x + k).astype(mx.float16).astype(mx.float32)
        return [total]

    return under(8 * x.nbytes + 8 * MB, make)


def cast_chain(scale: float = 1.0) -> dict:
    """A chain of 400 casts."""
    x = normal((int(1048576 * scale),), 1)

    def make() -> list:
        a = x
        for k in range(400):
            a = (a * 1.01).astype(mx.float16 if k % 2 == 0 else mx.float32)
        return [a]

    return under(4 * x.nbytes + 8 * MB, make)


def random_sum(scale: float = 1.0) -> dict:
    """64 random arrays summed in a few arrays' room."""
    n = int(1048576 * scale)

    def make() -> list:
        parts = [mx.random.normal((n,), key=mx.random.key(k)) for k in range(64)]
        return [sum(parts[1:], parts[0])]

    plan = mx.memory_plan(make())
    found = under(4 * n * 4 + 4 * MB, make)
    return {**found, "unlimited peak : array": plan.unlimited_peak / (4 * n)}


def many_outputs(scale: float = 1.0) -> dict:
    """200 outputs that together are four times the limit, read one by one."""
    x = normal((int(131072 * scale),), 1)
    want = [digest([x * k]) for k in range(200)]
    limit = 200 * x.nbytes // 4
    with mx.memory_limit(limit, strict=True):
        outputs = [x * k for k in range(200)]
        mx.eval(outputs)
        done = mx.last_evaluation()
        got = [digest([a]) for a in outputs]
    return {"same": got == want, "peak": done.peak, "limit": limit, "written": done.written}


class Training:
    """Steps of an MLP, from the same start each time."""

    def __init__(self, scale: float):
        self.batch, self.dim = int(1024 * scale), 256
        self.x, self.y = normal((self.batch, self.dim), 1), normal((self.batch, self.dim), 2)

    def make(self) -> list:
        mx.random.seed(0)
        layers = [nn.Linear(self.dim, 4 * self.dim), nn.Linear(4 * self.dim, self.dim)]
        layers += [nn.Linear(self.dim, 4 * self.dim), nn.Linear(4 * self.dim, self.dim)]
        model = nn.Module()
        model.layers = layers
        mx.eval(model.parameters())

        def loss(x, y):
            for k, layer in enumerate(model.layers):
                x = layer(nn.gelu(x) if k % 2 else x)
            return mx.mean((x - y) ** 2)

        optimizer = optim.AdamW(1e-3)
        value, grads = nn.value_and_grad(model, loss)(self.x, self.y)
        optimizer.update(model, grads)
        return [value, *(p for layer in model.layers for p in layer.parameters().values())]


def training(scale: float = 1.0) -> dict:
    """A step of an MLP at shares of its own unlimited peak."""
    job = Training(scale)
    peak = mx.memory_plan(job.make()).unlimited_peak
    return {f"{share} %": under(peak * share // 100, job.make) for share in (75, 50, 25, 15)}


def just_enough(scale: float = 1.0, rounds: int = 21) -> dict:
    """A limit that just suffices against none: paired, the median of the ratios."""
    job = Training(scale)
    peak = mx.memory_plan(job.make()).unlimited_peak + 2 * MB
    ratios = []
    for _ in range(rounds):
        gc.collect()  # modules and closures are cycles
        free = timed(job.make())
        gc.collect()
        with mx.memory_limit(peak, strict=True):
            arrays = job.make()
            seconds = timed(arrays)
            stage = mx.last_evaluation().stage
            assert stage == "fits", stage
        del arrays
        ratios.append(seconds / free)
    return {"time ratio": statistics.median(ratios[1:]), "rounds": rounds}


ALL = {
    f.__name__: f
    for f in (
        passes_in_one, passes_in_many, matmul, gram, short_axes, long_sorts, cross_entropy,
        many_casts, cast_chain, random_sum, many_outputs, training, just_enough,
    )
}  # fmt: skip


def show(name: str, found: dict, indent: str = "") -> None:
    inner = {k: v for k, v in found.items() if isinstance(v, dict)}
    cells = []
    for key, value in found.items():
        if key in inner:
            continue
        if isinstance(value, float):
            value = f"{value:.3g}"
        elif isinstance(value, int) and not isinstance(value, bool) and value > 9999:
            value = f"{value / 1e6:.1f} MB"
        cells.append(f"{key} {value}")
    print(f"{indent}{name:16} {', '.join(cells)}", flush=True)
    for key, value in inner.items():
        show(key, value, indent + "  ")


def main() -> None:
    for name in sys.argv[1:] or ALL:
        gc.collect()
        show(name, ALL[name]())


if __name__ == "__main__":
    main()
