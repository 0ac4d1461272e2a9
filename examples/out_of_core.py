"""A table larger than memory: standardised, multiplied, softmaxed and saved under a kept limit.

    python examples/out_of_core.py                              # 2 GB under 256 MB
    python examples/out_of_core.py --size 64GB --memory-limit 1GB

Makes a .npy file X of random float32 (in pieces), then, under the memory limit,

    Z = (X - mean(X)) / std(X), by column        Y = softmax(Z @ W), by row        G = X.T @ X

through load, operations and save, and checks Y and G against NumPy reading both files in slices.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plimsoll.core as mx

PIECE = 16 << 20  # bytes that the NumPy parts handle at a time
MARGIN = 16 << 20  # what the process may use besides the engine's bytes: stacks, tables, buffers


# ---- What the operating system counts.


def status_bytes(name: str) -> int:
    """A line of /proc/self/status that is in kB, such as VmRSS."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def restart_peak() -> int:
    """Starts the count of VmHWM again; the bytes that are resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return status_bytes("VmRSS")


def disk_bytes() -> tuple[int, int]:
    """Bytes that this process has read from disks and written to them."""
    try:
        lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    except OSError:
        return 0, 0
    return int(lines["read_bytes"]), int(lines["write_bytes"])


# ---- Progress.


def gigabytes(n: float) -> str:
    """A size as people write it."""
    return f"{n / 1e9:.2f} GB" if n >= 1e9 else f"{n / 1e6:.1f} MB"


class Bar:
    """One line that is drawn over; nothing where the output is no terminal."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, max(total, 1)
        self.start = time.perf_counter()

    def show(self, done: int) -> None:
        """Draws the bar for so many bytes."""
        if not sys.stderr.isatty():
            return
        part = min(done / self.total, 1.0)
        filled = round(30 * part)
        seconds = time.perf_counter() - self.start
        sys.stderr.write(
            f"\r{self.label:<14} [{'█' * filled}{'·' * (30 - filled)}] {part:4.0%} "
            f"{gigabytes(done):>9} {seconds:6.1f} s"
        )
        sys.stderr.flush()

    def close(self) -> None:
        """Clears the line."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")


@dataclass
class Phase:
    """What one part of the work took."""

    name: str
    seconds: float = 0.0
    read: int = 0
    written: int = 0
    unavoidable: int = 0
    engine_peak: int = 0
    process_peak: int = 0
    recomputed: int = 0

    @property
    def ratio(self) -> float:
        """Bytes moved over the unavoidable ones."""
        return (self.read + self.written) / self.unavoidable


@contextmanager
def measured(name: str, unavoidable: int) -> Iterator[Phase]:
    """Measures a part of the work from inside and outside, and draws its progress."""
    phase = Phase(name, unavoidable=unavoidable)
    bar = Bar(name, unavoidable)
    stop = threading.Event()
    mx.clear_cache()
    resident = restart_peak()
    read, written = disk_bytes()

    def draw() -> None:
        while not stop.wait(0.2):
            bar.show(sum(disk_bytes()) - read - written)

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    start = time.perf_counter()
    try:
        yield phase
    finally:
        stop.set()
        thread.join()
        bar.close()
    phase.seconds = time.perf_counter() - start
    now = disk_bytes()
    phase.read, phase.written = now[0] - read, now[1] - written
    report = mx.last_evaluation()
    phase.engine_peak = report.peak
    phase.recomputed = report.recomputed
    phase.process_peak = status_bytes("VmHWM") - resident


# ---- The work.


def make_table(path: Path, rows: int, cols: int) -> None:
    """A .npy file of normal numbers whose columns have offsets and widths of their own."""
    rng = np.random.default_rng(7)
    offset = rng.uniform(-2, 2, cols).astype(np.float32)
    width = rng.uniform(0.5, 2, cols).astype(np.float32)
    step = max(1, PIECE // (4 * cols))
    bar = Bar("making X", 4 * rows * cols)
    with open(path, "wb") as f:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, cols)}
        np.lib.format.write_array_header_1_0(f, header)
        for begin in range(0, rows, step):
            part = rng.standard_normal((min(step, rows - begin), cols), np.float32)
            part *= width
            part += offset
            f.write(part.data)
            f.flush()
            os.fdatasync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            bar.show(4 * begin * cols)
    bar.close()


def standardise(x: mx.array) -> mx.array:
    """Columns of mean 0 and variance 1; both are found in one pass over x."""
    mean = mx.mean(x, axis=0)
    variance = mx.mean(mx.square(x), axis=0) - mx.square(mean)
    return (x - mean) * mx.rsqrt(variance)


def transform(source: Path, weights: mx.array, target: Path) -> None:
    """X is seen twice, the result is written once.

    The standardised table has no name here: an array that is still held when something is computed
    from it keeps its value, which would be written to the spill file.
    """
    mx.save(target, mx.softmax(standardise(mx.load(source)) @ weights, axis=1))


def gram(source: Path) -> mx.array:
    """X.T @ X: a product whose inner axis is the long one."""
    x: mx.array = mx.load(source)
    g = x.T @ x
    mx.eval(g)
    return g


# ---- The check.


def slices(path: Path) -> Iterator[np.ndarray]:
    """A .npy file a few rows at a time."""
    with open(path, "rb") as f:
        np.lib.format.read_magic(f)
        (rows, cols), _, dtype = np.lib.format.read_array_header_1_0(f)
        step = max(1, PIECE // (4 * cols))
        for begin in range(0, rows, step):
            yield np.fromfile(f, dtype, min(step, rows - begin) * cols).reshape(-1, cols)


def check(source: Path, result: Path, weights: np.ndarray, g: np.ndarray) -> tuple[float, float]:
    """Largest differences from NumPy: of Y, relative to its largest; of G, to its diagonal's."""
    rows = 0
    total = squares = np.zeros(1)
    for part in slices(source):
        wide = part.astype(np.float64)
        rows += len(part)
        total = total + wide.sum(axis=0)
        squares = squares + wide.T @ wide
    mean = total / rows
    deviation = np.sqrt(np.diag(squares) / rows - mean**2)
    worst = largest = 0.0
    for part, got in zip(slices(source), slices(result), strict=True):
        y = ((part - mean) / deviation).astype(np.float32) @ weights
        y = np.exp(y - y.max(axis=1, keepdims=True))
        y /= y.sum(axis=1, keepdims=True)
        worst = max(worst, float(np.abs(y - got).max()))
        largest = max(largest, float(y.max()))
    return worst / largest, float(np.abs(g - squares).max() / np.diag(squares).max())


# ---- The report.


def table(phases: list[Phase], limit: int | None) -> str:
    """The phases, a line each."""
    head = (
        "part", "seconds", "read", "written", "unavoidable", "ratio", "peak", "peak outside",
        "recomputed",
    )  # fmt: skip
    rows = [
        (
            p.name, f"{p.seconds:.1f}", gigabytes(p.read), gigabytes(p.written),
            gigabytes(p.unavoidable), f"{p.ratio:.2f}", gigabytes(p.engine_peak),
            gigabytes(p.process_peak), gigabytes(p.recomputed),
        )
        for p in phases
    ]  # fmt: skip
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) for r in [head, *rows]]
    total = sum(p.seconds for p in phases)
    return "\n".join([*lines, f"limit {gigabytes(limit) if limit else 'none'}, {total:.1f} s"])


def digest(result: Path, g: np.ndarray) -> str:
    """SHA-256 of Y's file and of G."""
    total = hashlib.sha256(g.tobytes())
    with open(result, "rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()


def verdict(phases: list[Phase], limit: int | None, wrong: tuple[float, float] | None) -> list[str]:
    """What is not as promised."""
    failures = []
    for p in phases:
        if limit and p.engine_peak > limit:
            failures.append(f"{p.name}: the engine's peak passed the limit")
        if limit and p.process_peak > limit + MARGIN:
            failures.append(f"{p.name}: the process's peak passed the limit")
        if p.ratio > 1.3:
            failures.append(f"{p.name}: {p.ratio:.2f} times the unavoidable bytes were moved")
    if wrong and wrong[0] > 1e-4:
        failures.append(f"Y differs from NumPy's by {wrong[0]:.1e} of its largest element")
    if wrong and wrong[1] > 1e-5:
        failures.append(f"X.T @ X differs from NumPy's by {wrong[1]:.1e} of its diagonal")
    return failures


def parse_size(text: str) -> int:
    """Bytes of "2GB", "512MiB" or "1000"."""
    units = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    units |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
    number = text.rstrip("BKMGTIbkmgti")
    try:
        return int(float(number) * units[text[len(number) :].upper()])
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f'expected a size such as "2GB", got {text!r}') from None


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=parse_size, default="2GB", help="of X (default: 2GB)")
    parser.add_argument("--cols", type=int, default=512, help="of X (default: 512)")
    parser.add_argument("--rows", type=int, help="of X, in place of --size")
    parser.add_argument(
        "--memory-limit", type=parse_size, default="256MB", help="0: none (default: 256MB)"
    )
    parser.add_argument("--folder", type=Path, help="for the files (default: in /var/tmp)")
    parser.add_argument("--keep", action="store_true", help="leave the files there")
    parser.add_argument("--no-check", action="store_true", help="do not compare with NumPy")
    return parser.parse_args()


def run(args: argparse.Namespace, folder: Path) -> int:
    """The whole of it; the exit code."""
    limit: int | None = args.memory_limit or None
    rows = args.rows or max(1, args.size // (4 * args.cols))
    size = 4 * rows * args.cols
    source, target = folder / "x.npy", folder / "y.npy"
    print(f"X: float32[{rows}, {args.cols}], {gigabytes(size)}; limit {gigabytes(limit or 0)}")
    make_table(source, rows, args.cols)
    rng = np.random.default_rng(8)
    w = (rng.standard_normal((args.cols, args.cols)) / args.cols**0.5).astype(np.float32)
    weights = mx.array(w)
    mx.eval(weights @ weights)  # threads and libraries start before the baseline is taken
    # The second time round, what the limit holds of X need not be read again.
    again = max(0, size - (limit or size))
    phases = []
    with mx.memory_limit(limit or mx.get_memory_limit()):
        with measured("transform", size + again + size) as phase:
            transform(source, weights, target)
        phases.append(phase)
        with measured("X.T @ X", size) as phase:
            g = gram(source)
        phases.append(phase)
    print(table(phases, limit))
    wrong = None
    print("digest", digest(target, np.array(g)))
    if not args.no_check:
        wrong = check(source, target, w, np.array(g))
        print(f"largest difference from NumPy: Y {wrong[0]:.1e}, X.T @ X {wrong[1]:.1e}")
    failures = verdict(phases, limit, wrong)
    for failure in failures:
        print("error:", failure, file=sys.stderr)
    return 1 if failures else 0


def main() -> int:
    """Runs in a folder of its own."""
    args = parse()
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-", dir=args.folder or "/var/tmp"))
    try:
        return run(args, folder)
    finally:
        if args.keep:
            print("files in", folder)
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
