"""Random cases for some time: `python tests/fuzz/run.py NAME --seconds 60 [--seed 0 [--case 7]]`.

A case is decided by the seed and its number. The number is written to build/fuzz/NAME before the
case runs, so that it is known of a crash too.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import plimsoll.core as mx

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).parent.parent))
from fuzz import einsum, files, functions, indexing, made

ROOT = Path(__file__).parent.parent.parent
FUZZERS: dict[str, Callable[[random.Random, Path], bool]] = {
    "indexing": indexing.run,
    "einsum": einsum.run,
    **{kind: files.runner(kind) for kind in made.KINDS},
    "export": functions.run,
}
MEMORY = 1 << 30  # that arrays may take; with all else, and the sanitizers' own, three times that
HANGS = 120.0  # seconds


def one(name: str, seed: int, case: int, folder: Path) -> bool:
    """Runs a case; True where it was accepted."""
    return FUZZERS[name](random.Random(f"{seed}.{case}"), folder)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(name: str, seed: int, seconds: float) -> str:
    """Runs cases until the time is over; what it did."""
    (ROOT / "build/fuzz").mkdir(parents=True, exist_ok=True)
    note = os.open(ROOT / "build/fuzz" / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    begin = time.monotonic()
    watched = begin - HANGS
    case = accepted = 0
    with tempfile.TemporaryDirectory() as folder:
        while (now := time.monotonic()) < begin + seconds:
            if now > watched + HANGS / 4:
                faulthandler.dump_traceback_later(HANGS, exit=True)
                watched = now
                assert peak() < 3 * MEMORY, f"{peak()} bytes resident"
            os.pwrite(note, f"--seed {seed} --case {case}\n".encode(), 0)
            accepted += one(name, seed, case, Path(folder))
            case += 1
    faulthandler.cancel_dump_traceback_later()
    return (
        f"{name}: seed {seed}, {case} cases, {accepted} accepted, {seconds:.0f} s, "
        f"{peak() >> 20} MiB resident at most, no finding"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=FUZZERS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--case", type=int, help="run only this one")
    args = parser.parse_args()
    mx.set_memory_limit(MEMORY, strict=True)
    if args.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            print("accepted" if one(args.name, args.seed, args.case, Path(folder)) else "refused")
    else:
        print(fuzz(args.name, args.seed, args.seconds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
