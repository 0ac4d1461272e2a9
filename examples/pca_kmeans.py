"""Principal components and k-means of a matrix that is larger than the memory limit.

    python examples/pca_kmeans.py                                 # 1 GB under 128 MB
    python examples/pca_kmeans.py --size 20GB --memory-limit 512MB

Writes a .npy file X of noisy points around hidden centres (in pieces). Under the limit it then
finds the components as eigenvectors of Xᵀ X / n - mean meanᵀ, projects X on the first of them into
a second file, and clusters the projections with Lloyd's algorithm. Every pass streams from file.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import plimsoll.core as mx

PIECE = 4 << 20  # bytes that NumPy handles at a time
COLUMNS = 128


def show_progress(done: int, total: int, text: str) -> None:
    """Draws the progress bar again; where no one watches, a line now and then."""
    line = f"[{('#' * (24 * done // total)).ljust(24, '.')}] {text}"
    if sys.stderr.isatty():
        print(f"\r{line}\x1b[K", end="" if done < total else "\n", file=sys.stderr, flush=True)
    elif done == total or done % max(1, total // 4) == 0:
        print(line, file=sys.stderr, flush=True)


def write_points(path: Path, rows: int, centres: np.ndarray) -> None:
    """A file of `rows` points, each of a centre that is drawn at random, with noise around it."""
    random = np.random.default_rng(1)
    step = PIECE // (4 * COLUMNS)
    with open(path, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, COLUMNS)}
        np.lib.format.write_array_header_1_0(file, header)
        for begin in range(0, rows, step):
            count = min(step, rows - begin)
            which = random.integers(0, len(centres), count)
            noise = random.standard_normal((count, COLUMNS), dtype=np.float32)
            file.write((centres[which] + noise).data)
            show_progress(begin + count, rows, f"making {path.name}")


def principal_components(x: mx.array, count: int) -> tuple[mx.array, mx.array, mx.array]:
    """The mean, the first components as columns, and the share of variance of each."""
    rows = x.shape[0]
    mean = x.mean(axis=0)
    covariance = (x.T @ x) / rows - mx.outer(mean, mean)
    mx.eval(mean, covariance)
    variances, vectors = mx.linalg.eigh(covariance)
    order = mx.arange(COLUMNS - 1, COLUMNS - 1 - count, -1)
    return mean, vectors[:, order], variances[order] / variances.sum()


def farthest_points(z: mx.array, count: int) -> mx.array:
    """Starting centres: each is the point farthest from those before it."""
    centres = [z[0]]
    for _ in range(count - 1):
        nearest = distances(z, mx.stack(centres)).min(axis=1)
        centres.append(z[mx.argmax(nearest)])
        mx.eval(centres)
    return mx.stack(centres)


def distances(z: mx.array, centres: mx.array) -> mx.array:
    """Squared distances of points (n, d) to centres (k, d), of (n, k)."""
    squares = (z * z).sum(axis=1, keepdims=True)
    return squares - 2 * (z @ centres.T) + (centres * centres).sum(axis=1)


def k_means(z: mx.array, count: int, rounds: int) -> tuple[mx.array, mx.array]:
    """Lloyd's algorithm: the centres, and each point's."""
    centres = farthest_points(z, count)
    for round_ in range(1, rounds + 1):
        labels = mx.argmin(distances(z, centres), axis=1)
        chosen = (labels[:, None] == mx.arange(count)).astype(mx.float32)
        sizes = chosen.sum(axis=0)
        means = (chosen.T @ z) / mx.maximum(sizes, 1)[:, None]
        centres = mx.where(sizes[:, None] > 0, means, centres)  # an empty cluster stays
        mx.eval(centres, labels)
        show_progress(round_, rounds, f"k-means {round_}/{rounds}")
    return centres, labels


def purity(labels: np.ndarray, centres: np.ndarray, rows: int) -> float:
    """The share of points that lie in the cluster which holds most of their hidden centre."""
    random = np.random.default_rng(1)
    counts = np.zeros((len(centres), len(centres)))
    step = PIECE // (4 * COLUMNS)
    for begin in range(0, rows, step):
        count = min(step, rows - begin)
        which = random.integers(0, len(centres), count)
        random.standard_normal((count, COLUMNS), dtype=np.float32)
        np.add.at(counts, (which, labels[begin : begin + count]), 1)
    return float(counts.max(axis=1).sum() / rows)


def digest(arrays: list[np.ndarray]) -> str:
    """SHA-256 of all numbers."""
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def parse_size(text: str) -> int:
    """Bytes of "2GB", "512MB" or "1000"."""
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
    number, unit = (text[:-2], units[text[-2:]]) if text[-2:] in units else (text, 1)
    return int(float(number) * unit)


def main() -> None:
    """Makes the matrix, finds components and clusters, and says what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=parse_size, default="1GB", help="bytes of the matrix")
    parser.add_argument("--memory-limit", metavar="BYTES", default="128MB", help="0: none")
    parser.add_argument("--components", type=int, default=8, help="components to project on")
    parser.add_argument("--clusters", type=int, default=6, help="hidden centres, and clusters")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of k-means")
    parser.add_argument("--folder", help="where the files go; default: a temporary one")
    options = parser.parse_args()
    rows = options.size // (4 * COLUMNS)
    if options.memory_limit != "0":
        mx.set_memory_limit(options.memory_limit, strict=True)
    folder = Path(tempfile.mkdtemp(prefix="pca-", dir=options.folder or "/var/tmp"))
    try:
        centres = 4 * np.random.default_rng(0).standard_normal((options.clusters, COLUMNS))
        write_points(folder / "x.npy", rows, centres.astype(np.float32))
        run(folder, rows, centres, options)
    finally:
        shutil.rmtree(folder)


def run(folder: Path, rows: int, centres: np.ndarray, options: argparse.Namespace) -> None:
    """The two analyses, timed."""
    mx.reset_peak_memory()
    start = time.perf_counter()
    x = mx.load(str(folder / "x.npy"))
    mean, components, shares = principal_components(x, options.components)
    mx.save(str(folder / "z.npy"), (x - mean) @ components)
    print(f"{options.components} components hold {shares.sum().item():.3f} of the variance")
    middle = time.perf_counter()
    z = mx.load(str(folder / "z.npy"))
    means, labels = k_means(z, options.clusters, options.rounds)
    end = time.perf_counter()
    found = np.array(labels)
    print(f"digest {digest([np.array(components), np.array(means), found])}")
    score = purity(found, centres, rows)
    print(f"k-means finds {score:.4f} of the points with their centre's others")
    size, limit = rows * 4 * COLUMNS / 1e6, mx.get_memory_limit() / 1e6
    print(
        f"{size:.0f} MB under {limit:.0f} MB: components {middle - start:.1f} s, "
        f"clusters {end - middle:.1f} s, at most {mx.get_peak_memory() / 1e6:.0f} MB of arrays"
    )


if __name__ == "__main__":
    main()
