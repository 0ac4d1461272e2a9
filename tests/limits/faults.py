"""Fault campaigns: the k-th question to the system fails, for k = 1, 2, … until none is asked.

    PLIMSOLL_FAULTS=1 PLIMSOLL_SLAB_THRESHOLD=4KiB PLIMSOLL_EXTENT_BYTES=4KiB \
        python tests/limits/faults.py JOB MOST

Prints a JSON report; test_faults.py runs it. MOST is how many k are tried of each kind of failure
(0: every one); where there are more, they are spread over the whole range.

Every run either gives the bits of a run without faults or raises MemoryError or OSError. Then the
very same arrays are evaluated again without faults, from the frontier that the failure left, and
must give those bits; and when they are gone the ledger is where it was.
"""

import gc
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import plimsoll.optimizers as optim
from plimsoll import _core
from plimsoll.utils import tree_flatten, tree_unflatten

ROOM = 64 * 1024  # for what a failure leaves behind

# Threads come first and never start at first: those that did stay. Address space is asked for once
# a process, long before; the unit tests of the pool refuse it.
SITES = ("thread_start", "reserve", "commit", "file_allocate", "file_write", "file_read")


def digest(arrays: list) -> str:
    total = hashlib.sha256()
    for a in arrays:
        total.update(np.array(a).tobytes())
    return total.hexdigest()


class Block(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def __call__(self, x):
        b, t, d = x.shape

        def split(z):
            return z.reshape(b, t, self.heads, d // self.heads).transpose(0, 2, 1, 3)

        q, k, v = (split(z) for z in mx.split(self.qkv(self.norm1(x)), 3, axis=-1))
        scale = (d // self.heads) ** -0.5
        a = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal")
        x = x + self.out(a.transpose(0, 2, 1, 3).reshape(b, t, d))
        return x + self.down(nn.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary: int, dim: int, length: int, layers: int):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, dim), nn.Embedding(length, dim)
        self.blocks = [Block(dim, 4) for _ in range(layers)]
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, vocabulary)

    def __call__(self, tokens):
        x = self.tokens(tokens) + self.places(mx.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class TrainingStep:
    """One step of a small GPT under 30 % of its peak: it spills, recomputes and donates."""

    share = 0.3
    width, length, layers, batch = 32, 32, 2, 16

    def __init__(self):
        mx.random.seed(0)
        self.model = GPT(64, self.width, self.length, self.layers)
        self.start = [(k, np.array(v)) for k, v in tree_flatten(self.model.parameters())]
        shape = (2, self.batch, self.length + 1)
        self.text = np.random.default_rng(0).integers(0, 64, shape).astype(np.int32)
        self.gradient = nn.value_and_grad(
            self.model,
            lambda x, y: nn.losses.cross_entropy(self.model(x), y, reduction="mean"),
        )

    def limit(self) -> int:
        plan = mx.memory_plan(self.record())
        return max(plan.floor + ROOM, int(plan.unlimited_peak * self.share))

    def record(self) -> list:
        """The arrays of a step from the same start; nobody else holds the old parameters."""
        self.model.update(tree_unflatten([(k, mx.array(v)) for k, v in self.start]))
        optimizer = optim.AdamW(1e-3)
        x, y = mx.array(self.text[0, :, :-1]), mx.array(self.text[0, :, 1:])
        loss, gradients = self.gradient(x, y)
        optimizer.update(self.model, gradients)
        trees = (self.model.parameters(), optimizer.state)
        return [loss, *(v for _, v in tree_flatten(trees))]

    def run(self, arrays: list) -> None:
        mx.eval(arrays)

    def result(self, arrays: list) -> str:
        return digest(arrays)

    def forget(self) -> None:
        self.model.update(tree_unflatten([(k, mx.array(0.0)) for k, _ in self.start]))
        gc.collect()  # graphs in cycles would count in the next step


class TinyTrainingStep(TrainingStep):
    """So small that every k can be tried."""

    width, length, layers, batch = 32, 16, 1, 10


class OutOfCore:
    """A file several times larger than the limit: loaded, standardised, multiplied, saved."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-faults-")
        self.source = str(Path(self.folder.name) / "in.npy")
        self.target = Path(self.folder.name) / "out.npy"
        rng = np.random.default_rng(1)
        np.save(self.source, rng.standard_normal((8192, 48)).astype(np.float32))
        self.weight = rng.standard_normal((48, 32)).astype(np.float32)

    def limit(self) -> int:
        plans = [mx.memory_plan(a) for a in self.record()]
        return max(plan.floor for plan in plans) + ROOM

    def record(self) -> list:
        x = mx.load(self.source)
        z = (x - x.mean(axis=0)) / mx.sqrt(x.var(axis=0) + 1e-5)
        return [mx.softmax(z @ mx.array(self.weight), axis=-1), x.T @ x]

    def run(self, arrays: list) -> None:
        mx.save(str(self.target), arrays[0])
        mx.eval(arrays[1])

    def result(self, arrays: list) -> str:
        return digest([np.load(self.target), arrays[1], arrays[0]])

    def forget(self) -> None:
        self.target.unlink(missing_ok=True)
        left = [p.name for p in Path(self.folder.name).iterdir()]
        assert left == ["in.npy"], f"files were left behind: {left}"


@dataclass
class Kind:
    asked: int = 0
    tried: int = 0
    injected: int = 0
    survived: int = 0  # the right bits in spite of it
    raised: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def in_use() -> dict[str, int]:
    """What must come back; metadata is kept for reuse and may only stay or shrink."""
    gc.collect()
    mx.clear_cache()
    report = mx.memory_report()
    names = ("active", "workspace", "staging", "spilled", "pinned")
    return {name: getattr(report, name) for name in names}


class Campaign:
    def __init__(self, job):
        self.job = job
        _core._inject_fault(["thread_start"], 1, True)
        arrays = job.record()
        job.run(arrays)
        self.want = job.result(arrays)
        del arrays
        job.forget()
        self.limit = job.limit()
        job.forget()
        self.wanted = ("thread_start",)
        kind = Kind()
        self.once(lambda: _core._inject_fault(["thread_start"], 1, True), kind)
        assert not kind.wrong, kind.wrong
        self.before = in_use()  # without what is made once and stays

    def once(self, arm: Callable[[], None], kind: Kind) -> tuple[int, int]:
        """One run; returns how often the sites were asked and failed."""
        with mx.memory_limit(self.limit, strict=True):
            arrays = self.job.record()
            error = None
            arm()
            try:
                self.job.run(arrays)
            except (MemoryError, OSError) as e:
                error = e
            except Exception as e:
                kind.wrong.append(f"raised {type(e).__name__}: {e}")
            # Reading results starts threads, too, and those that were started stay.
            if self.wanted != ("thread_start",):
                _core._disarm_faults()
            counts = _core._fault_counts()
            asked, injected = (sum(counts[s][i] for s in self.wanted) for i in (0, 1))
            if error is not None:
                name = type(error).__name__
                kind.raised[name] = kind.raised.get(name, 0) + 1
                if injected == 0:
                    kind.wrong.append(f"raised without a fault: {error}")
                try:
                    self.job.run(arrays)
                except Exception as e:
                    kind.wrong.append(f"the retry raised {type(e).__name__}: {e}")
            elif injected:
                kind.survived += 1
        got = self.job.result(arrays)
        if got != self.want:
            kind.wrong.append(f"other bits, {'after a retry' if error else 'at once'}")
        del arrays, error
        self.job.forget()
        return asked, injected

    def of_kind(self, site: str, from_then_on: bool, most: int) -> Kind:
        """Every k, or `most` of them spread evenly: a run asks about as often as one before."""
        self.wanted = (site,)
        kind = Kind()
        if site != "thread_start":
            kind.asked, _ = self.once(lambda: _core._inject_fault([site], 0), kind)
        stride = max(1, -(-kind.asked // most)) if most else 1
        k = 1
        while True:
            found = len(kind.wrong)
            asked, injected = self.once(
                lambda k=k: _core._inject_fault([site], k, from_then_on), kind
            )
            kind.asked = max(kind.asked, asked)
            kind.tried += 1
            kind.injected += injected
            after = in_use()
            if after != self.before:
                kind.wrong.append(f"leaked: {after} after {self.before}")
                self.before = after
            kind.wrong[found:] = [f"k={k}: {w}" for w in kind.wrong[found:]]
            # Threads that the next k would start are there for good.
            last = site == "thread_start" and from_then_on
            if injected == 0 or last or len(kind.wrong) > 8:
                break
            k += stride
        return kind


def main() -> None:
    jobs = {"training": TrainingStep, "tiny_training": TinyTrainingStep, "out_of_core": OutOfCore}
    job = jobs[sys.argv[1]]()
    most = int(sys.argv[2])
    campaign = Campaign(job)
    report = {}
    for site in SITES:
        for from_then_on in (True, False):
            name = f"{site}, {'from then on' if from_then_on else 'once'}"
            report[name] = vars(campaign.of_kind(site, from_then_on, most))
            print(name, report[name], file=sys.stderr, flush=True)
    with mx.memory_limit(campaign.limit, strict=True):
        job.run(job.record())
        done = mx.last_evaluation()
    names = ("stage", "written", "loaded", "recomputed", "tiles", "nodes")
    report["evaluation"] = {name: getattr(done, name) for name in names}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
