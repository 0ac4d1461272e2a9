"""The rows of `make bench`, written once for each library; a worker process imports one of them.

A row is a function of no arguments that prepares its data and returns a function that runs once and
waits for the result.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

THREADS = 2
Run = Callable[[], object]
N16M = 16 * 1024 * 1024
ROWS = {  # name: goal, as a share of the best peer's time
    "add 64 MB": 0.4,
    "chain of 10, 16 M": 0.4,
    "tanh-GELU, 16 M": 0.4,
    "exp, 16 M": 0.4,
    "sin, 16 M": 0.4,
    "log, 16 M": 0.4,
    "erf, 16 M": 0.4,
    "where, 16 M": 0.4,
    "to bfloat16, 16 M": 0.4,
    "transposed copy 4096": 1.0,
    "sum 4096x8192": 1.0,
    "sum axis 0": 1.0,
    "sum axis 1": 1.0,
    "softmax rows": 0.4,
    "layer_norm rows": 0.4,
    "rms_norm rows": 0.4,
    "argmax rows": 1.0,
    "cumsum rows": 1.0,
    "sort 4 M": 1.0,
    "argsort 4 M": 1.0,
    "take 1 M rows": 1.0,
    "scatter-add 1 M rows": 1.0,
    "matmul 512": 1.0,
    "matmul 1024": 1.0,
    "matmul 2048": 1.0,
    "matmul 4096": 1.0,
    "matmul 2048 bfloat16": 1.0,
    "matmul 2048 float16": 1.0,
    "matmul 64x256": 1.0,
    "matvec 8192": 1.0,
    "conv2d 16x64x64x64": 1.0,
    "GPT step": 1.0,
}
N4M, N1M, WIDTH, BINS = 4 * 1024 * 1024, 1024 * 1024, 64, 100_000
LAYERS, DIM, SEQ, BATCH, HEADS, VOCAB = 4, 256, 256, 8, 8, 128
GELU_A, GELU_B = math.sqrt(2 / math.pi), 0.044715


def host(shape: tuple[int, ...], seed: int = 0) -> Any:
    """Standard normal float32 numbers."""
    import numpy as np

    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def positive(n: int) -> Any:
    """float32 numbers above 0, for logarithms."""
    return abs(host((n,))) + 1e-3


def indices(below: int, seed: int = 0) -> Any:
    """A million random indices, int32."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, below, N1M).astype(np.int32)


def tokens(seed: int) -> Any:
    """A batch of random tokens, int32."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, VOCAB, (BATCH, SEQ)).astype(np.int32)


def _mlx_like(mx: Any, nn: Any, optim: Any) -> dict[str, Callable[[], Run]]:
    def run(f: Callable[[], Any]) -> Run:
        return lambda: mx.eval(f())

    def data(*shape: int) -> Any:
        x = mx.array(host(shape))
        mx.eval(x)
        return x

    def chain() -> Run:
        x = data(N16M)

        def f() -> Any:
            y = x
            for _ in range(5):
                y = y * 1.01 + 0.5
            return y

        return run(f)

    def gelu() -> Run:
        x = data(N16M)
        return run(lambda: 0.5 * x * (1 + mx.tanh(GELU_A * (x + GELU_B * x * x * x))))

    def on_matrix(f: Callable[[Any], Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            x = data(4096, 8192)
            return run(lambda: f(x))

        return prepare

    def product(n: int, dtype: Any = None) -> Callable[[], Run]:
        def prepare() -> Run:
            a, b = data(n, n), data(n, n)
            if dtype is not None:
                a, b = a.astype(dtype), b.astype(dtype)
                mx.eval(a, b)
            return run(lambda: a @ b)

        return prepare

    def gpt() -> Run:
        record = gpt_step(mx, nn, optim)
        return lambda: mx.eval(record())

    def add() -> Run:
        a, b = data(N16M), data(N16M)
        return run(lambda: a + b)

    def on_vector(f: Callable[[Any], Any], n: int = N16M) -> Callable[[], Run]:
        def prepare() -> Run:
            x = mx.array(positive(n)) if f is mx.log else data(n)
            mx.eval(x)
            return run(lambda: f(x))

        return prepare

    def where() -> Run:
        a, b = data(N16M), mx.array(host((N16M,), 1))
        c = a > b
        mx.eval(b, c)
        return run(lambda: mx.where(c, a, b))

    def transposed() -> Run:
        x = data(4096, 4096)
        return run(lambda: mx.contiguous(x.T))

    def take() -> Run:
        x, i = data(N1M, WIDTH), mx.array(indices(N1M))
        mx.eval(i)
        return run(lambda: mx.take(x, i, axis=0))

    def scatter_add() -> Run:
        x, i, u = data(BINS, WIDTH), mx.array(indices(BINS)), data(N1M, WIDTH)
        mx.eval(i)
        return run(lambda: x.at[i].add(u))

    def batched() -> Run:
        a, b = data(64, 256, 256), mx.array(host((64, 256, 256), 1))
        mx.eval(b)
        return run(lambda: a @ b)

    def rms_norm() -> Run:
        x, w = data(4096, 8192), data(8192)
        return run(lambda: mx.fast.rms_norm(x, w, 1e-5))

    def matvec() -> Run:
        a, x = data(8192, 8192), data(8192)
        return run(lambda: a @ x)

    def layer_norm() -> Run:
        x, w, b = data(4096, 8192), data(8192), data(8192)
        return run(lambda: mx.fast.layer_norm(x, w, b, 1e-5))

    def conv2d() -> Run:
        x, w = data(16, 64, 64, 64), data(64, 3, 3, 64)
        return run(lambda: mx.conv2d(x, w, padding=1))

    return {
        "add 64 MB": add,
        "chain of 10, 16 M": chain,
        "tanh-GELU, 16 M": gelu,
        "exp, 16 M": on_vector(mx.exp),
        "sin, 16 M": on_vector(mx.sin),
        "log, 16 M": on_vector(mx.log),
        "erf, 16 M": on_vector(mx.erf),
        "where, 16 M": where,
        "to bfloat16, 16 M": on_vector(lambda x: x.astype(mx.bfloat16)),
        "transposed copy 4096": transposed,
        "sum 4096x8192": on_matrix(lambda x: x.sum()),
        "sum axis 0": on_matrix(lambda x: x.sum(axis=0)),
        "sum axis 1": on_matrix(lambda x: x.sum(axis=1)),
        "softmax rows": on_matrix(lambda x: mx.softmax(x, axis=-1)),
        "layer_norm rows": layer_norm,
        "rms_norm rows": rms_norm,
        "argmax rows": on_matrix(lambda x: mx.argmax(x, axis=1)),
        "cumsum rows": on_matrix(lambda x: mx.cumsum(x, axis=1)),
        "sort 4 M": on_vector(mx.sort, N4M),
        "argsort 4 M": on_vector(mx.argsort, N4M),
        "take 1 M rows": take,
        "scatter-add 1 M rows": scatter_add,
        "matmul 512": product(512),
        "matmul 1024": product(1024),
        "matmul 2048": product(2048),
        "matmul 4096": product(4096),
        "matmul 2048 bfloat16": product(2048, mx.bfloat16),
        "matmul 2048 float16": product(2048, mx.float16),
        "matmul 64x256": batched,
        "matvec 8192": matvec,
        "conv2d 16x64x64x64": conv2d,
        "GPT step": gpt,
    }


def gpt_step(mx: Any, nn: Any, optim: Any) -> Callable[[], Any]:
    """Records a training step of a small GPT and returns all that is to be evaluated."""

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
            self.qkv, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
            self.up, self.down = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

        def __call__(self, x: Any) -> Any:
            def heads(z: Any) -> Any:
                return z.reshape(BATCH, SEQ, HEADS, DIM // HEADS).transpose(0, 2, 1, 3)

            q, k, v = mx.split(self.qkv(self.ln1(x)), 3, axis=-1)
            a = mx.fast.scaled_dot_product_attention(
                heads(q), heads(k), heads(v), scale=(DIM // HEADS) ** -0.5, mask="causal"
            )
            x = x + self.out(a.transpose(0, 2, 1, 3).reshape(BATCH, SEQ, DIM))
            return x + self.down(nn.gelu(self.up(self.ln2(x))))

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.position = nn.Embedding(VOCAB, DIM), nn.Embedding(SEQ, DIM)
            self.blocks = [Block() for _ in range(LAYERS)]
            self.norm, self.head = nn.LayerNorm(DIM), nn.Linear(DIM, VOCAB)

        def __call__(self, ids: Any) -> Any:
            x = self.token(ids) + self.position(mx.arange(SEQ))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    model = Model()
    optimizer = optim.AdamW(1e-3)
    x, y = mx.array(tokens(1)), mx.array(tokens(2))
    step = nn.value_and_grad(
        model, lambda a, b: nn.losses.cross_entropy(model(a), b, reduction="mean")
    )
    mx.eval(model.parameters())

    def record() -> Any:
        loss, grads = step(x, y)
        optimizer.update(model, grads)
        return model.parameters(), optimizer.state, loss

    return record


def plimsoll() -> dict[str, Callable[[], Run]]:
    """Ours."""
    import plimsoll.core as mx
    import plimsoll.nn as nn
    import plimsoll.optimizers as optim

    return _mlx_like(mx, nn, optim)


def mlx() -> dict[str, Callable[[], Run]]:
    """MLX's wheel; its large products take up to half a minute and are left out."""
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    rows = _mlx_like(mx, nn, optim)
    for slow in ("", " bfloat16", " float16"):
        del rows["matmul 2048" + slow]
    del rows["matmul 4096"]
    return rows


def numpy() -> dict[str, Callable[[], Run]]:
    """NumPy, as one would write it."""
    import numpy as np

    def on_matrix(f: Callable[[Any], Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            x = host((4096, 8192))
            return lambda: f(x)

        return prepare

    def softmax(x: Any) -> Any:
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def layer_norm(x: Any) -> Any:
        z = x - x.mean(axis=-1, keepdims=True)
        return z / np.sqrt((z * z).mean(axis=-1, keepdims=True) + 1e-5)

    def product(n: int) -> Callable[[], Run]:
        def prepare() -> Run:
            a, b = host((n, n)), host((n, n), 1)
            return lambda: a @ b

        return prepare

    def pair(f: Callable[[Any, Any], Any], *shapes: tuple[int, ...]) -> Callable[[], Run]:
        def prepare() -> Run:
            a, b = (host(shape) for shape in shapes)
            return lambda: f(a, b)

        return prepare

    def one(f: Callable[[Any], Any], n: int = N16M) -> Callable[[], Run]:
        def prepare() -> Run:
            x = positive(n) if f is np.log else host((n,))
            return lambda: f(x)

        return prepare

    def rms_norm(x: Any) -> Any:
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5)

    def where() -> Run:
        a, b = host((N16M,)), host((N16M,), 1)
        c = a > b
        return lambda: np.where(c, a, b)

    def take() -> Run:
        x, i = host((N1M, WIDTH)), indices(N1M)
        return lambda: np.take(x, i, axis=0)

    def scatter_add() -> Run:
        x, i, u = host((BINS, WIDTH)), indices(BINS), host((N1M, WIDTH))

        def f() -> Any:
            y = x.copy()
            np.add.at(y, i, u)
            return y

        return f

    def transposed() -> Run:
        x = host((4096, 4096))
        return lambda: np.ascontiguousarray(x.T)

    def chain(x: Any) -> Any:
        for _ in range(5):
            x = x * np.float32(1.01) + np.float32(0.5)
        return x

    def gelu(x: Any) -> Any:
        a, b = np.float32(GELU_A), np.float32(GELU_B)
        return np.float32(0.5) * x * (1 + np.tanh(a * (x + b * x * x * x)))

    return {
        "add 64 MB": pair(lambda a, b: a + b, (N16M,), (N16M,)),
        "chain of 10, 16 M": one(chain),
        "tanh-GELU, 16 M": one(gelu),
        "exp, 16 M": one(np.exp),
        "sin, 16 M": one(np.sin),
        "log, 16 M": one(np.log),
        "where, 16 M": where,
        "transposed copy 4096": transposed,
        "sum 4096x8192": on_matrix(lambda x: x.sum()),
        "sum axis 0": on_matrix(lambda x: x.sum(axis=0)),
        "sum axis 1": on_matrix(lambda x: x.sum(axis=1)),
        "softmax rows": on_matrix(softmax),
        "layer_norm rows": on_matrix(layer_norm),
        "rms_norm rows": on_matrix(rms_norm),
        "argmax rows": on_matrix(lambda x: x.argmax(axis=1)),
        "cumsum rows": on_matrix(lambda x: x.cumsum(axis=1)),
        "sort 4 M": one(np.sort, N4M),
        "argsort 4 M": one(np.argsort, N4M),
        "take 1 M rows": take,
        "scatter-add 1 M rows": scatter_add,
        **{f"matmul {n}": product(n) for n in (512, 1024, 2048, 4096)},
        "matmul 64x256": pair(lambda a, b: a @ b, (64, 256, 256), (64, 256, 256)),
        "matvec 8192": pair(lambda a, b: a @ b, (8192, 8192), (8192,)),
    }


def torch() -> dict[str, Callable[[], Run]]:
    """PyTorch: the faster of eager and compiled where compiling can help."""
    import torch as t
    import torch.nn.functional as functional

    t.set_num_threads(THREADS)

    def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
        return t.compile(f) if os.environ.get("BENCH_COMPILE") == "1" else f

    def on(shape: tuple[int, ...], f: Callable[..., Any]) -> Callable[[], Run]:
        def prepare() -> Run:
            x = t.from_numpy(host(shape))
            g = compiled(f)
            return lambda: g(x)

        return prepare

    def chain(x: Any) -> Any:
        for _ in range(5):
            x = x * 1.01 + 0.5
        return x

    def product(n: int, dtype: Any = t.float32) -> Callable[[], Run]:
        def prepare() -> Run:
            a, b = t.from_numpy(host((n, n))).to(dtype), t.from_numpy(host((n, n), 1)).to(dtype)
            return lambda: a @ b

        return prepare

    def pair(f: Callable[[Any, Any], Any], *shapes: tuple[int, ...]) -> Callable[[], Run]:
        def prepare() -> Run:
            a, b = (t.from_numpy(host(shape)) for shape in shapes)
            g = compiled(f)
            return lambda: g(a, b)

        return prepare

    def layer_norm() -> Run:
        x, w, b = (t.from_numpy(host(s)) for s in ((4096, 8192), (8192,), (8192,)))
        g = compiled(lambda x: functional.layer_norm(x, (8192,), w, b))
        return lambda: g(x)

    def conv2d() -> Run:  # channels last in memory, as the others have them
        x, w = (
            t.from_numpy(host(s)).permute(0, 3, 1, 2) for s in ((16, 64, 64, 64), (64, 3, 3, 64))
        )
        g = compiled(lambda x: functional.conv2d(x, w, padding=1))
        return lambda: g(x)

    def rms_norm() -> Run:
        x, w = t.from_numpy(host(matrix)), t.from_numpy(host((8192,)))
        g = compiled(lambda x: functional.rms_norm(x, (8192,), w, 1e-5))
        return lambda: g(x)

    def log() -> Run:
        x = t.from_numpy(positive(N16M))
        g = compiled(t.log)
        return lambda: g(x)

    def where() -> Run:
        a, b = t.from_numpy(host((N16M,))), t.from_numpy(host((N16M,), 1))
        c = a > b
        g = compiled(t.where)
        return lambda: g(c, a, b)

    def take() -> Run:
        x, i = t.from_numpy(host((N1M, WIDTH))), t.from_numpy(indices(N1M))
        g = compiled(lambda x, i: t.index_select(x, 0, i))
        return lambda: g(x, i)

    def scatter_add() -> Run:
        x, i, u = (
            t.from_numpy(a) for a in (host((BINS, WIDTH)), indices(BINS), host((N1M, WIDTH)))
        )
        g = compiled(lambda x, i, u: t.index_add(x, 0, i, u))
        return lambda: g(x, i, u)

    matrix = (4096, 8192)
    return {
        "add 64 MB": pair(lambda a, b: a + b, (N16M,), (N16M,)),
        "chain of 10, 16 M": on((N16M,), chain),
        "tanh-GELU, 16 M": on((N16M,), lambda x: functional.gelu(x, approximate="tanh")),
        "exp, 16 M": on((N16M,), t.exp),
        "sin, 16 M": on((N16M,), t.sin),
        "log, 16 M": log,
        "erf, 16 M": on((N16M,), t.erf),
        "where, 16 M": where,
        "to bfloat16, 16 M": on((N16M,), lambda x: x.to(t.bfloat16)),
        "transposed copy 4096": on((4096, 4096), lambda x: x.t().contiguous()),
        "sum 4096x8192": on(matrix, lambda x: x.sum()),
        "sum axis 0": on(matrix, lambda x: x.sum(0)),
        "sum axis 1": on(matrix, lambda x: x.sum(1)),
        "softmax rows": on(matrix, lambda x: t.softmax(x, -1)),
        "layer_norm rows": layer_norm,
        "rms_norm rows": rms_norm,
        "argmax rows": on(matrix, lambda x: x.argmax(1)),
        "cumsum rows": on(matrix, lambda x: x.cumsum(1)),
        "sort 4 M": on((N4M,), lambda x: t.sort(x).values),
        "argsort 4 M": on((N4M,), t.argsort),
        "take 1 M rows": take,
        "scatter-add 1 M rows": scatter_add,
        **{f"matmul {n}": product(n) for n in (512, 1024, 2048, 4096)},
        "matmul 2048 bfloat16": product(2048, t.bfloat16),
        "matmul 2048 float16": product(2048, t.float16),
        "matmul 64x256": pair(lambda a, b: a @ b, (64, 256, 256), (64, 256, 256)),
        "matvec 8192": pair(lambda a, b: a @ b, (8192, 8192), (8192,)),
        "conv2d 16x64x64x64": conv2d,
        "GPT step": lambda: _torch_gpt(t, functional, compiled),
    }


def _torch_gpt(t: Any, functional: Any, compiled: Callable[..., Any]) -> Run:
    class Block(t.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.ln2 = t.nn.LayerNorm(DIM), t.nn.LayerNorm(DIM)
            self.qkv, self.out = t.nn.Linear(DIM, 3 * DIM), t.nn.Linear(DIM, DIM)
            self.up, self.down = t.nn.Linear(DIM, 4 * DIM), t.nn.Linear(4 * DIM, DIM)

        def forward(self, x: Any) -> Any:
            def heads(z: Any) -> Any:
                return z.view(BATCH, SEQ, HEADS, DIM // HEADS).transpose(1, 2)

            q, k, v = self.qkv(self.ln1(x)).chunk(3, -1)
            a = functional.scaled_dot_product_attention(
                heads(q), heads(k), heads(v), is_causal=True
            )
            x = x + self.out(a.transpose(1, 2).reshape(BATCH, SEQ, DIM))
            return x + self.down(functional.gelu(self.up(self.ln2(x))))

    class Model(t.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.position = t.nn.Embedding(VOCAB, DIM), t.nn.Embedding(SEQ, DIM)
            self.blocks = t.nn.ModuleList([Block() for _ in range(LAYERS)])
            self.norm, self.head = t.nn.LayerNorm(DIM), t.nn.Linear(DIM, VOCAB)

        def forward(self, ids: Any, targets: Any) -> Any:
            x = self.token(ids) + self.position(t.arange(SEQ))
            for block in self.blocks:
                x = block(x)
            logits = self.head(self.norm(x)).view(-1, VOCAB)
            return functional.cross_entropy(logits, targets.view(-1))

    model = Model()
    optimizer = t.optim.AdamW(model.parameters(), 1e-3)
    x, y = t.from_numpy(tokens(1)).long(), t.from_numpy(tokens(2)).long()
    forward = compiled(model)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        forward(x, y).backward()
        optimizer.step()

    return run


def torch_compiled() -> dict[str, Callable[[], Run]]:
    """PyTorch through torch.compile, for the rows that it can change."""
    os.environ["BENCH_COMPILE"] = "1"
    same = ("matmul", "matvec", "sum", "sort", "argsort")
    return {name: f for name, f in torch().items() if not name.startswith(same)}


def jax() -> dict[str, Callable[[], Run]]:
    """JAX, jitted."""
    import jax as j
    import jax.numpy as jnp

    def wait(f: Callable[..., Any], *args: Any) -> Run:
        g = j.jit(f)
        return lambda: j.block_until_ready(g(*args))

    def on(shape: tuple[int, ...], f: Callable[..., Any]) -> Callable[[], Run]:
        return lambda: wait(f, jnp.asarray(host(shape)))

    def chain(x: Any) -> Any:
        for _ in range(5):
            x = x * 1.01 + 0.5
        return x

    def norm(x: Any, w: Any, b: Any) -> Any:
        z = x - x.mean(-1, keepdims=True)
        return z * j.lax.rsqrt((z * z).mean(-1, keepdims=True) + 1e-5) * w + b

    def rms_norm(x: Any, w: Any) -> Any:
        return x * j.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w

    def where() -> Run:
        a, b = jnp.asarray(host((N16M,))), jnp.asarray(host((N16M,), 1))
        return wait(jnp.where, a > b, a, b)

    def product(n: int, dtype: Any = None) -> Callable[[], Run]:
        def prepare() -> Run:
            a, b = (jnp.asarray(host((n, n), s), dtype) for s in (0, 1))
            return wait(lambda a, b: a @ b, a, b)

        return prepare

    matrix = (4096, 8192)
    return {
        "add 64 MB": lambda: wait(
            lambda a, b: a + b, jnp.asarray(host((N16M,))), jnp.asarray(host((N16M,), 1))
        ),
        "chain of 10, 16 M": on((N16M,), chain),
        "tanh-GELU, 16 M": on((N16M,), lambda x: j.nn.gelu(x, approximate=True)),
        "exp, 16 M": on((N16M,), jnp.exp),
        "sin, 16 M": on((N16M,), jnp.sin),
        "log, 16 M": lambda: wait(jnp.log, jnp.asarray(positive(N16M))),
        "erf, 16 M": on((N16M,), j.scipy.special.erf),
        "where, 16 M": where,
        "to bfloat16, 16 M": on((N16M,), lambda x: x.astype(jnp.bfloat16)),
        "transposed copy 4096": on((4096, 4096), lambda x: x.T),
        "sum 4096x8192": on(matrix, lambda x: x.sum()),
        "sum axis 0": on(matrix, lambda x: x.sum(0)),
        "sum axis 1": on(matrix, lambda x: x.sum(1)),
        "softmax rows": on(matrix, lambda x: j.nn.softmax(x, -1)),
        "layer_norm rows": lambda: wait(
            norm, *(jnp.asarray(host(s)) for s in (matrix, (8192,), (8192,)))
        ),
        "rms_norm rows": lambda: wait(
            rms_norm, jnp.asarray(host(matrix)), jnp.asarray(host((8192,)))
        ),
        "argmax rows": on(matrix, lambda x: x.argmax(1)),
        "cumsum rows": on(matrix, lambda x: x.cumsum(1)),
        "sort 4 M": on((N4M,), jnp.sort),
        "argsort 4 M": on((N4M,), jnp.argsort),
        "take 1 M rows": lambda: wait(
            lambda x, i: jnp.take(x, i, axis=0),
            jnp.asarray(host((N1M, WIDTH))),
            jnp.asarray(indices(N1M)),
        ),
        "scatter-add 1 M rows": lambda: wait(
            lambda x, i, u: x.at[i].add(u),
            jnp.asarray(host((BINS, WIDTH))),
            jnp.asarray(indices(BINS)),
            jnp.asarray(host((N1M, WIDTH))),
        ),
        **{f"matmul {n}": product(n) for n in (512, 1024, 2048, 4096)},
        "matmul 2048 bfloat16": product(2048, jnp.bfloat16),
        "matmul 2048 float16": product(2048, jnp.float16),
        "matmul 64x256": lambda: wait(
            lambda a, b: a @ b,
            jnp.asarray(host((64, 256, 256))),
            jnp.asarray(host((64, 256, 256), 1)),
        ),
        "matvec 8192": lambda: wait(
            lambda a, x: a @ x, jnp.asarray(host((8192, 8192))), jnp.asarray(host((8192,)))
        ),
        "GPT step": lambda: _jax_gpt(j, jnp, norm),
    }


def _jax_gpt(j: Any, jnp: Any, norm: Callable[..., Any]) -> Run:
    def linear(i: int, o: int, seed: int) -> dict[str, Any]:
        return {"w": jnp.asarray(host((i, o), seed) * i**-0.5), "b": jnp.zeros(o)}

    def ln() -> dict[str, Any]:
        return {"w": jnp.ones(DIM), "b": jnp.zeros(DIM)}

    params = {
        "token": jnp.asarray(host((VOCAB, DIM))),
        "position": jnp.asarray(host((SEQ, DIM), 1)),
        "blocks": [
            {
                "ln1": ln(),
                "ln2": ln(),
                "qkv": linear(DIM, 3 * DIM, 2),
                "out": linear(DIM, DIM, 3),
                "up": linear(DIM, 4 * DIM, 4),
                "down": linear(4 * DIM, DIM, 5),
            }
            for _ in range(LAYERS)
        ],
        "norm": ln(),
        "head": linear(DIM, VOCAB, 6),
    }

    def apply(p: Any, x: Any) -> Any:
        return x @ p["w"] + p["b"]

    def heads(z: Any) -> Any:
        return z.reshape(BATCH, SEQ, HEADS, DIM // HEADS).transpose(0, 2, 1, 3)

    mask = jnp.tril(jnp.ones((SEQ, SEQ), bool))

    def loss(p: Any, ids: Any, targets: Any) -> Any:
        x = p["token"][ids] + p["position"]
        for b in p["blocks"]:
            q, k, v = (heads(z) for z in jnp.split(apply(b["qkv"], norm(x, **b["ln1"])), 3, -1))
            scores = (q @ k.swapaxes(-1, -2)) * (DIM // HEADS) ** -0.5
            a = j.nn.softmax(jnp.where(mask, scores, -jnp.inf), -1) @ v
            x = x + apply(b["out"], a.transpose(0, 2, 1, 3).reshape(BATCH, SEQ, DIM))
            x = x + apply(
                b["down"], j.nn.gelu(apply(b["up"], norm(x, **b["ln2"])), approximate=False)
            )
        logits = apply(p["head"], norm(x, **p["norm"]))
        picked = jnp.take_along_axis(j.nn.log_softmax(logits), targets[..., None], -1)
        return -picked.mean()

    def update(p: Any, m: Any, v: Any, ids: Any, targets: Any) -> Any:
        g = j.grad(loss)(p, ids, targets)
        tree = j.tree.map
        m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        p = tree(lambda p, m, v: p * (1 - 1e-5) - 1e-3 * m / (jnp.sqrt(v) + 1e-8), p, m, v)
        return p, m, v

    step = j.jit(update, donate_argnums=(0, 1, 2))
    state = [params, j.tree.map(jnp.zeros_like, params), j.tree.map(jnp.zeros_like, params)]
    x, y = jnp.asarray(tokens(1)), jnp.asarray(tokens(2))

    def run() -> None:
        state[:] = step(*state, x, y)
        j.block_until_ready(state[0]["head"]["w"])

    return run


LIBRARIES = {
    "plimsoll": plimsoll,
    "mlx": mlx,
    "numpy": numpy,
    "torch": torch,
    "torch_compiled": torch_compiled,
    "jax": jax,
}
