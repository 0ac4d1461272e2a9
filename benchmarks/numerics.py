"""More rows of `make bench`: transforms, linear algebra, random numbers, attention, small steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from workloads import N4M, N16M, THREADS, Run, host

Rows = dict[str, Callable[[], Run]]
ROWS = {  # name: goal, as a share of the best peer's time
    "conv1d 32x1024x64": 1.0,
    "fft 4 M": 1.0,
    "rfft2 1024": 1.0,
    "normal 16 M": 1.0,
    "uniform 16 M": 1.0,
    "cholesky 1024": 1.0,
    "svd 512": 1.0,
    "eigh 256": 1.0,
    "inv 1024": 1.0,
    "qr 1024": 1.0,
    "solve 1024": 1.0,
    "attention 16x1024x64": 1.0,
    "power 3, 16 M": 0.4,
    "remainder, 16 M": 0.4,
    "integer division, 16 M": 0.4,
    "row products 4096": 1.0,
    "MLP step SGD": 1.0,
    "MLP step Adam": 1.0,
    "CNN step": 1.0,
}
HEADS, LENGTH, WIDTH = 16, 1024, 64
INPUTS, HIDDEN, CLASSES, BATCH = 784, 1024, 10, 256
IMAGES, SIDE, CHANNELS = 64, 28, 16


def symmetric(n: int) -> Any:
    """A symmetric matrix whose eigenvalues are above 1."""
    import numpy as np

    x = host((n, n))
    return (x @ x.T / n + np.eye(n, dtype=np.float32)).astype(np.float32)


def labels(n: int) -> Any:
    """Random classes, int32."""
    import numpy as np

    return np.random.default_rng(1).integers(0, CLASSES, n).astype(np.int32)


def whole() -> Any:
    """Random int32 numbers."""
    import numpy as np

    return np.random.default_rng(0).integers(-(2**30), 2**30, N16M).astype(np.int32)


def _mlx_like(mx: Any, nn: Any, optim: Any) -> Rows:
    def on(make: Callable[[], Any], f: Callable[[Any], Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            x = mx.array(make())
            mx.eval(x)
            return lambda: mx.eval(f(x))

        return prepare

    def pair(a: Any, b: Any, f: Callable[[Any, Any], Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            x, y = mx.array(a()), mx.array(b())
            mx.eval(x, y)
            return lambda: mx.eval(f(x, y))

        return prepare

    def attention() -> Run:
        q, k, v = (mx.array(host((1, HEADS, LENGTH, WIDTH), s)) for s in range(3))
        mx.eval(q, k, v)
        scaled = mx.fast.scaled_dot_product_attention
        return lambda: mx.eval(scaled(q, k, v, scale=1 / math.sqrt(WIDTH), mask="causal"))

    def training(make: Callable[[], Any], x: Any, optimizer: Any) -> Callable[[], Run]:
        def prepare() -> Run:
            model = make()
            mx.eval(model.parameters())
            inputs = mx.array(host(x))
            targets = mx.array(labels(x[0]))
            update = optimizer()
            step = nn.value_and_grad(
                model, lambda a, b: nn.losses.cross_entropy(model(a), b, reduction="mean")
            )

            def run() -> None:
                loss, gradients = step(inputs, targets)
                update.update(model, gradients)
                mx.eval(model.parameters(), update.state, loss)

            return run

        return prepare

    def mlp() -> Any:
        return nn.Sequential(
            nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, CLASSES),
        )  # fmt: skip

    def cnn() -> Any:
        return nn.Sequential(
            nn.Conv2d(1, CHANNELS, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2),
            lambda x: x.reshape(x.shape[0], -1),
            nn.Linear(2 * CHANNELS * (SIDE // 4) ** 2, CLASSES),
        )  # fmt: skip

    def square(n: int) -> Callable[[], Any]:
        return lambda: host((n, n))

    images = (IMAGES, SIDE, SIDE, 1)
    linalg = mx.linalg
    return {
        "conv1d 32x1024x64": pair(
            lambda: host((32, 1024, 64)),
            lambda: host((64, 5, 64)),
            lambda x, w: mx.conv1d(x, w, padding=2),
        ),
        "fft 4 M": on(lambda: host((N4M,)), mx.fft.fft),
        "rfft2 1024": on(square(1024), mx.fft.rfft2),
        "normal 16 M": lambda: lambda: mx.eval(mx.random.normal((N16M,))),
        "uniform 16 M": lambda: lambda: mx.eval(mx.random.uniform(shape=(N16M,))),
        "cholesky 1024": on(lambda: symmetric(1024), lambda x: linalg.cholesky(x, stream=mx.cpu)),
        "svd 512": on(square(512), lambda x: linalg.svd(x, stream=mx.cpu)),
        "eigh 256": on(lambda: symmetric(256), lambda x: linalg.eigh(x, stream=mx.cpu)),
        "inv 1024": on(square(1024), lambda x: linalg.inv(x, stream=mx.cpu)),
        "qr 1024": on(square(1024), lambda x: linalg.qr(x, stream=mx.cpu)),
        "solve 1024": pair(
            square(1024), lambda: host((1024, 8)), lambda a, b: linalg.solve(a, b, stream=mx.cpu)
        ),
        "attention 16x1024x64": attention,
        "power 3, 16 M": on(lambda: host((N16M,)), lambda x: x**3),
        "remainder, 16 M": on(lambda: host((N16M,)), lambda x: x % 0.7),
        "integer division, 16 M": on(whole, lambda x: x // 7),
        "row products 4096": on(square(4096), lambda x: mx.einsum("ij,ij->i", x, x)),
        "MLP step SGD": training(mlp, (BATCH, INPUTS), lambda: optim.SGD(1e-2)),
        "MLP step Adam": training(mlp, (BATCH, INPUTS), lambda: optim.Adam(1e-3)),
        "CNN step": training(cnn, images, lambda: optim.Adam(1e-3)),
    }


def plimsoll() -> Rows:
    """Ours."""
    import plimsoll.core as mx
    import plimsoll.nn as nn
    import plimsoll.optimizers as optim

    return _mlx_like(mx, nn, optim)


def mlx() -> Rows:
    """MLX's wheel."""
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    return _mlx_like(mx, nn, optim)


def numpy() -> Rows:
    """NumPy, as one would write it."""
    import numpy as np

    def on(x: Any, f: Callable[[Any], Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            a = x()
            return lambda: f(a)

        return prepare

    def square(n: int) -> Callable[[], Any]:
        return lambda: host((n, n))

    def solve() -> Run:
        a, b = host((1024, 1024)), host((1024, 8))
        return lambda: np.linalg.solve(a, b)

    rng = np.random.default_rng(0)
    return {
        "fft 4 M": on(lambda: host((N4M,)), np.fft.fft),
        "rfft2 1024": on(square(1024), np.fft.rfft2),
        "normal 16 M": lambda: lambda: rng.standard_normal(N16M, dtype=np.float32),
        "uniform 16 M": lambda: lambda: rng.random(N16M, dtype=np.float32),
        "cholesky 1024": on(lambda: symmetric(1024), np.linalg.cholesky),
        "svd 512": on(square(512), np.linalg.svd),
        "eigh 256": on(lambda: symmetric(256), np.linalg.eigh),
        "inv 1024": on(square(1024), np.linalg.inv),
        "qr 1024": on(square(1024), np.linalg.qr),
        "solve 1024": solve,
        "power 3, 16 M": on(lambda: host((N16M,)), lambda x: x**3),
        "remainder, 16 M": on(lambda: host((N16M,)), lambda x: x % np.float32(0.7)),
        "integer division, 16 M": on(whole, lambda x: x // 7),
        "row products 4096": on(square(4096), lambda x: np.einsum("ij,ij->i", x, x)),
    }


def torch() -> Rows:
    """PyTorch, eager."""
    import torch as t
    import torch.nn.functional as functional

    t.set_num_threads(THREADS)

    def on(x: Callable[[], Any], f: Callable[[Any], Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            a = t.from_numpy(x())
            return lambda: f(a)

        return prepare

    def square(n: int) -> Callable[[], Any]:
        return lambda: host((n, n))

    def conv1d() -> Run:
        x, w = (t.from_numpy(host(s)) for s in ((32, 64, 1024), (64, 64, 5)))  # its own layout
        return lambda: functional.conv1d(x, w, padding=2)

    def solve() -> Run:
        a, b = t.from_numpy(host((1024, 1024))), t.from_numpy(host((1024, 8)))
        return lambda: t.linalg.solve(a, b)

    def attention() -> Run:
        q, k, v = (t.from_numpy(host((1, HEADS, LENGTH, WIDTH), s)) for s in range(3))
        return lambda: functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    def training(make: Callable[[], Any], x: Any, optimizer: Any) -> Callable[[], Run]:
        def prepare() -> Run:
            model = make()
            update = optimizer(model.parameters())
            inputs, targets = t.from_numpy(host(x)), t.from_numpy(labels(x[0])).long()

            def run() -> None:
                update.zero_grad(set_to_none=True)
                functional.cross_entropy(model(inputs), targets).backward()
                update.step()

            return run

        return prepare

    def mlp() -> Any:
        return t.nn.Sequential(
            t.nn.Linear(INPUTS, HIDDEN), t.nn.ReLU(), t.nn.Linear(HIDDEN, HIDDEN), t.nn.ReLU(),
            t.nn.Linear(HIDDEN, CLASSES),
        )  # fmt: skip

    def cnn() -> Any:
        return t.nn.Sequential(
            t.nn.Conv2d(1, CHANNELS, 3, padding=1), t.nn.ReLU(), t.nn.MaxPool2d(2),
            t.nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1), t.nn.ReLU(), t.nn.MaxPool2d(2),
            t.nn.Flatten(), t.nn.Linear(2 * CHANNELS * (SIDE // 4) ** 2, CLASSES),
        )  # fmt: skip

    images = (IMAGES, 1, SIDE, SIDE)
    return {
        "conv1d 32x1024x64": conv1d,
        "fft 4 M": on(lambda: host((N4M,)), lambda x: t.fft.fft(x)),
        "rfft2 1024": on(square(1024), lambda x: t.fft.rfft2(x)),
        "normal 16 M": lambda: lambda: t.randn(N16M),
        "uniform 16 M": lambda: lambda: t.rand(N16M),
        "cholesky 1024": on(lambda: symmetric(1024), t.linalg.cholesky),
        "svd 512": on(square(512), t.linalg.svd),
        "eigh 256": on(lambda: symmetric(256), t.linalg.eigh),
        "inv 1024": on(square(1024), t.linalg.inv),
        "qr 1024": on(square(1024), t.linalg.qr),
        "solve 1024": solve,
        "attention 16x1024x64": attention,
        "power 3, 16 M": on(lambda: host((N16M,)), lambda x: x**3),
        "remainder, 16 M": on(lambda: host((N16M,)), lambda x: x % 0.7),
        "integer division, 16 M": on(whole, lambda x: x // 7),
        "row products 4096": on(square(4096), lambda x: t.einsum("ij,ij->i", x, x)),
        "MLP step SGD": training(mlp, (BATCH, INPUTS), lambda p: t.optim.SGD(p, 1e-2)),
        "MLP step Adam": training(mlp, (BATCH, INPUTS), lambda p: t.optim.Adam(p, 1e-3)),
        "CNN step": training(cnn, images, lambda p: t.optim.Adam(p, 1e-3)),
    }


def jax() -> Rows:
    """JAX, jitted."""
    import jax as j
    import jax.numpy as jnp

    def on(x: Callable[[], Any], f: Callable[[Any], Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            a, g = jnp.asarray(x()), j.jit(f)
            return lambda: j.block_until_ready(g(a))

        return prepare

    def square(n: int) -> Callable[[], Any]:
        return lambda: host((n, n))

    def drawn(f: Callable[[Any], Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            g, keys = j.jit(f), iter(j.random.split(j.random.key(0), 4096))
            return lambda: j.block_until_ready(g(next(keys)))

        return prepare

    def solve() -> Run:
        a, b = jnp.asarray(host((1024, 1024))), jnp.asarray(host((1024, 8)))
        g = j.jit(jnp.linalg.solve)
        return lambda: j.block_until_ready(g(a, b))

    def attention() -> Run:
        q, k, v = (jnp.asarray(host((1, LENGTH, HEADS, WIDTH), s)) for s in range(3))
        g = j.jit(lambda q, k, v: j.nn.dot_product_attention(q, k, v, is_causal=True))
        return lambda: j.block_until_ready(g(q, k, v))

    return {
        "fft 4 M": on(lambda: host((N4M,)), jnp.fft.fft),
        "rfft2 1024": on(square(1024), jnp.fft.rfft2),
        "normal 16 M": drawn(lambda k: j.random.normal(k, (N16M,))),
        "uniform 16 M": drawn(lambda k: j.random.uniform(k, (N16M,))),
        "cholesky 1024": on(
            lambda: symmetric(1024), lambda x: jnp.linalg.cholesky(x, symmetrize_input=False)
        ),
        "svd 512": on(square(512), jnp.linalg.svd),
        "eigh 256": on(
            lambda: symmetric(256), lambda x: jnp.linalg.eigh(x, symmetrize_input=False)
        ),
        "inv 1024": on(square(1024), jnp.linalg.inv),
        "qr 1024": on(square(1024), jnp.linalg.qr),
        "solve 1024": solve,
        "attention 16x1024x64": attention,
        "power 3, 16 M": on(lambda: host((N16M,)), lambda x: x**3),
        "remainder, 16 M": on(lambda: host((N16M,)), lambda x: x % 0.7),
        "integer division, 16 M": on(whole, lambda x: x // 7),
        "row products 4096": on(square(4096), lambda x: jnp.einsum("ij,ij->i", x, x)),
    }


LIBRARIES = {"plimsoll": plimsoll, "mlx": mlx, "numpy": numpy, "torch": torch, "jax": jax}
