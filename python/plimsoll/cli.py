"""The command line: ``plimsoll run`` and ``plimsoll info``."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="plimsoll", description="Arrays with MLX's API, and a memory limit that is kept."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", help="run a script, in which mlx means plimsoll, under a memory limit"
    )
    run.add_argument(
        "--memory-limit",
        metavar="SIZE",
        help="limit of the whole process, such as 4GB or 512MiB; what cannot fit is refused",
    )
    run.add_argument("--spill-dir", metavar="DIR", help="folder of the spill file")
    run.add_argument("--spill-limit", metavar="SIZE", help="most bytes that may be spilled")
    run.add_argument(
        "--guideline", action="store_true", help="warn instead of refusing what cannot fit"
    )
    run.add_argument("-m", dest="module", action="store_true", help="SCRIPT is a module's name")
    run.add_argument("script", metavar="SCRIPT", help="a Python file, or a module with -m")
    run.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")
    commands.add_parser("info", help="show devices, limits and where they come from")
    return parser


def _set_environment(options: argparse.Namespace) -> None:
    if options.memory_limit is not None:
        os.environ["PLIMSOLL_MEMORY_LIMIT"] = options.memory_limit
        os.environ["PLIMSOLL_MEMORY_STRICT"] = "0" if options.guideline else "1"
    if options.spill_dir is not None:
        os.environ["PLIMSOLL_SPILL_DIR"] = options.spill_dir
    if options.spill_limit is not None:
        os.environ["PLIMSOLL_SPILL_LIMIT"] = options.spill_limit


def _run(options: argparse.Namespace) -> int:
    # The engine reads its settings when it is imported, so this comes first.
    _set_environment(options)
    from plimsoll import alias

    alias.install()
    sys.argv = [options.script, *options.args]
    if options.module:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
        return 0
    if not os.path.exists(options.script):
        print(f"plimsoll run: no such file: {options.script}", file=sys.stderr)
        return 2
    sys.path.insert(0, os.path.dirname(os.path.abspath(options.script)))
    runpy.run_path(options.script, run_name="__main__")
    return 0


def _info() -> int:
    import plimsoll
    import plimsoll.core as mx

    print(f"plimsoll {plimsoll.__version__}")
    for name, value in mx.device_info().items():
        print(f"{name:14} {value}")
    print(mx.memory_report())
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point.

    Args:
        argv: Arguments. Default: those of the process.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(argv)
    return _run(options) if options.command == "run" else _info()


if __name__ == "__main__":
    sys.exit(main())
