"""Nearest neighbours in a table of embeddings that is larger than the memory limit.

    python examples/embedding_search.py                            # 512 MB under 96 MB
    python examples/embedding_search.py --rows 20000000 --memory-limit 1GB

Writes a .npy table of unit vectors (in pieces); some are noisy copies of the queries. Under the
limit, all cosines with the queries are one product that streams the table from its file, and the
best rows are found by sorting. The same rows are found by NumPy, piece by piece.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plimsoll.core as mx

PIECE = 1 << 13  # rows that NumPy handles at a time


def show_progress(done: int, total: int, text: str) -> None:
    """Draws the progress bar again; where no one watches, a line now and then."""
    line = f"[{('#' * (24 * done // total)).ljust(24, '.')}] {text}"
    if sys.stderr.isatty():
        print(f"\r{line}\x1b[K", end="" if done < total else "\n", file=sys.stderr, flush=True)
    elif done == total:
        print(line, file=sys.stderr, flush=True)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors, scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_table(path: Path, rows: int, queries: np.ndarray) -> None:
    """A table of random unit vectors; row 1000 i is near query i."""
    random = np.random.default_rng(1)
    with open(path, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, queries.shape[1])}
        np.lib.format.write_array_header_1_0(file, header)
        for begin in range(0, rows, PIECE):
            count = min(PIECE, rows - begin)
            vectors = random.standard_normal((count, queries.shape[1]), dtype=np.float32)
            for i in range(len(queries)):
                if begin <= 1000 * i < begin + count:
                    vectors[1000 * i - begin] = queries[i] * 8 + vectors[1000 * i - begin] * 0.1
            file.write(unit(vectors).data)
            show_progress(begin + count, rows, f"making {path.name}")


def search(table: mx.array, queries: mx.array, count: int) -> tuple[mx.array, mx.array]:
    """Rows of the table with the greatest products, best first, and the products: (queries, count).

    Args:
        table: Unit vectors, (rows, features); may be a lazily loaded file.
        queries: Unit vectors, (queries, features).
        count: How many rows to find.
    """
    scores = queries @ table.T
    best = mx.argsort(-scores, axis=1)[:, :count]
    return best, mx.take_along_axis(scores, best, axis=1)


def pieces(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """The table's pieces with their first rows."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        (rows, features), _, dtype = np.lib.format.read_array_header_1_0(file)
        for begin in range(0, rows, PIECE):
            count = min(PIECE, rows - begin)
            yield begin, np.fromfile(file, dtype, count * features).reshape(count, features)


def check(path: Path, queries: np.ndarray, best: np.ndarray, scores: np.ndarray) -> None:
    """Compares with what NumPy finds."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for begin, vectors in pieces(path):
        products = queries @ vectors.T
        rows = np.argsort(-products, axis=1)[:, : best.shape[1]]
        found.append((rows + begin, np.take_along_axis(products, rows, axis=1)))
    rows, products = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
    order = np.argsort(-products, axis=1)[:, : best.shape[1]]
    want = np.take_along_axis(products, order, axis=1)
    if not np.allclose(scores, want, atol=1e-5):
        raise SystemExit("error: NumPy finds other neighbours")
    same = np.mean(np.take_along_axis(rows, order, axis=1) == best)
    print(f"NumPy finds the same products; {same:.4f} of the rows are in the same order")


def main() -> None:
    """Makes the table, searches it, and checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="vectors in the table")
    parser.add_argument("--features", type=int, default=128, help="numbers a vector")
    parser.add_argument("--queries", type=int, default=4, help="vectors to look for")
    parser.add_argument("--count", type=int, default=5, help="neighbours of each")
    parser.add_argument("--memory-limit", metavar="BYTES", default="96MB", help="0: none")
    parser.add_argument("--folder", help="where the table goes; default: a temporary folder")
    options = parser.parse_args()
    if options.memory_limit != "0":
        mx.set_memory_limit(options.memory_limit, strict=True)
    random = np.random.default_rng(0)
    queries = unit(random.standard_normal((options.queries, options.features), dtype=np.float32))
    folder = Path(tempfile.mkdtemp(prefix="search-", dir=options.folder or "/var/tmp"))
    try:
        path = folder / "table.npy"
        write_table(path, options.rows, queries)
        mx.reset_peak_memory()
        start = time.perf_counter()
        best, scores = search(mx.load(str(path)), mx.array(queries), options.count)
        mx.eval(best, scores)
        seconds = time.perf_counter() - start
        for i, (rows, values) in enumerate(zip(best.tolist(), scores.tolist(), strict=True)):
            found = (f"{row} ({value:.3f})" for row, value in zip(rows, values, strict=True))
            print(f"query {i}: " + ", ".join(found))
        size, limit = path.stat().st_size / 1e6, mx.get_memory_limit() / 1e6
        print(
            f"{size:.0f} MB under {limit:.0f} MB searched in {seconds:.2f} s, "
            f"at most {mx.get_peak_memory() / 1e6:.0f} MB of arrays"
        )
        rows, values = np.array(best), np.array(scores)
        print(f"digest {hashlib.sha256(rows.tobytes() + values.tobytes()).hexdigest()}")
        check(path, queries, rows, values)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
