"""Times Plimsoll against MLX's wheel, NumPy, PyTorch and JAX in one run, two threads each.

Usage: python benchmarks/run.py [--rows TEXT] [--skip TEXT] [--rounds N] [--peers NAMES]
                                [--json FILE]

Every library has a process of its own; rounds go through the libraries in turn, so that a machine
whose speed drifts is unfair to none. The table gives medians in ms and the ratio of ours to the
best peer's; a row's goal is 0.4 or 1.0. A peer that cannot be imported is left out and named.
Peers run with build/bench-venv's interpreter (tools/setup bench makes it) where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import numerics
import workloads

ROOT = Path(__file__).resolve().parent.parent
LEAST_SECONDS = 0.15  # of one library's turn
MOST_RUNS = 40
GOALS = workloads.ROWS | numerics.ROWS
PEERS_PYTHON = ROOT / "build" / "bench-venv" / "bin" / "python"


def serve(library: str) -> None:
    """A worker: prepares rows and times them as the driver asks, a line of JSON each."""
    try:
        rows = workloads.LIBRARIES[library]()
        rows |= numerics.LIBRARIES.get(library, dict)()
    except Exception as e:  # a peer that is not installed, or does not load
        print(json.dumps({"error": f"{type(e).__name__}: {e}"}), flush=True)
        return
    print(json.dumps({"rows": list(rows)}), flush=True)
    name, run = "", None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if order["row"] != name:
                name, run = order["row"], None  # the last row's data goes first
                run = rows[name]()
                run()
                run()
            times: list[float] = []
            assert run is not None
            while len(times) < MOST_RUNS and (not times or sum(times) < LEAST_SECONDS):
                begin = time.perf_counter()
                run()
                times.append(time.perf_counter() - begin)
            print(json.dumps({"ms": [t * 1e3 for t in times]}), flush=True)
        except Exception as e:
            print(json.dumps({"error": f"{type(e).__name__}: {e}"}), flush=True)


class Worker:
    """A library's process."""

    def __init__(self, library: str) -> None:
        self.library = library
        # OpenBLAS is told a slower kernel on some virtual machines; peers get their own choice.
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        threads = str(workloads.THREADS)
        for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            env[key] = threads
        own = library == "plimsoll" or not PEERS_PYTHON.exists()
        self._process = subprocess.Popen(
            [sys.executable if own else str(PEERS_PYTHON), __file__, "--serve", library],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=env, text=True,
        )  # fmt: skip
        first = self._read()
        self.rows: list[str] = first.get("rows", [])
        self.error: str | None = first.get("error")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        return answer

    def time(self, row: str) -> dict[str, Any]:
        """Runs the row a few times."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"row": row}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def measure(row: str, workers: list[Worker], rounds: int) -> dict[str, float]:
    """Median ms of each library over interleaved rounds."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for worker in workers:
            if row not in worker.rows:
                continue
            answer = worker.time(row)
            if "error" in answer:
                worker.rows.remove(row)
                print(f"  {worker.library}: {row}: {answer['error'][:100]}")
                continue
            times.setdefault(worker.library, []).extend(answer["ms"])
            time.sleep(0.02)  # threads that spin for more work come to rest
    return {library: statistics.median(t) for library, t in times.items()}


def header() -> list[str]:
    """The machine, the load and the commit."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((s.split(":")[1].strip() for s in info if s.startswith("model name")), "?")
    flags = next((s for s in info if s.startswith("flags")), "") + " "
    simd = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {f} " in flags]
    git = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    load = Path("/proc/loadavg").read_text(encoding="utf-8").split()[0]
    return [
        f"{platform.machine()} {cpu}, {os.cpu_count()} cores, {' '.join(simd)}",
        f"commit {git}, load {load} at the start, {workloads.THREADS} threads each",
    ]


def table(results: dict[str, dict[str, float]], libraries: list[str]) -> list[str]:
    """A line a row: ours, the peers, the ratio to the best of them and the goal."""
    lines = [
        f"{'ms':22}" + "".join(f"{name:>15}" for name in libraries) + f"{'ratio':>8}{'goal':>6}"
    ]
    for row, times in results.items():
        line = f"{row:22}"
        for name in libraries:
            line += f"{times[name]:15.2f}" if name in times else f"{'-':>15}"
        peers = [t for name, t in times.items() if name != "plimsoll"]
        if "plimsoll" in times and peers:
            ratio = times["plimsoll"] / min(peers)
            goal = GOALS[row]
            line += f"{ratio:8.2f}{goal:6.1f}{'' if ratio <= goal else '  above'}"
        lines.append(line)
    return lines


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--skip", help="no rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="mlx,numpy,torch,torch_compiled,jax")
    parser.add_argument("--json", default=str(ROOT / "build" / "bench.json"))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    head = header()
    print("\n".join(head), flush=True)
    workers = []
    for name in ["plimsoll", *options.peers.split(",")]:
        worker = Worker(name)
        if worker.error:
            print(f"left out: {name} ({worker.error[:120]})")
        else:
            workers.append(worker)
    results = {}
    libraries = [w.library for w in workers]
    for row in GOALS:
        if options.rows in row and not (options.skip and options.skip in row):
            results[row] = measure(row, workers, options.rounds)
            print(table({row: results[row]}, libraries)[1], flush=True)
    for worker in workers:
        worker.close()
    print("\n".join(table(results, libraries)))
    Path(options.json).parent.mkdir(parents=True, exist_ok=True)
    Path(options.json).write_text(
        json.dumps({"header": head, "ms": results}, indent=1), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
