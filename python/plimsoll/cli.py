"""The command line: ``plimsoll run`` and ``plimsoll info``."""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import runpy
import signal
import sys
import types
from collections.abc import Sequence

# Options of `run` and the settings of the engine that they stand for.
_SETTINGS = {
    "memory_limit": "PLIMSOLL_MEMORY_LIMIT",
    "spill_dir": "PLIMSOLL_SPILL_DIR",
    "spill_limit": "PLIMSOLL_SPILL_LIMIT",
}


# What the process of an evaluation may hold past the engine's limit, by VmHWM: libraries take
# buffers when they are first used. Measured: 4.3 MB where LAPACK's code and OpenBLAS's buffers come
# in, else 1.3 MB; tests/limits/test_witness.py keeps it so.
OUTSIDE = 6 << 20


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="plimsoll", description="Arrays with MLX's API, and a memory limit that is kept."
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a script, in which mlx means plimsoll, under a memory limit",
        usage="plimsoll run [options] SCRIPT [its arguments]",
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
    rest = run.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")
    rest.required = False
    commands.add_parser("info", help="show devices, limits and where they come from")
    return parser


def _fail(command: str, text: object) -> int:
    print(f"plimsoll {command}: error: {text}", file=sys.stderr)
    return 2


def _set_environment(options: argparse.Namespace) -> None:
    for name, setting in _SETTINGS.items():
        if getattr(options, name) is not None:
            os.environ[setting] = getattr(options, name)
    if options.memory_limit is not None:
        os.environ["PLIMSOLL_MEMORY_STRICT"] = "1"
    if options.guideline:
        os.environ["PLIMSOLL_MEMORY_STRICT"] = "0"


def _as_options(text: str, options: argparse.Namespace) -> str:
    """An error of the engine's, with the options that were given in place of their settings."""
    for name, setting in _SETTINGS.items():
        if getattr(options, name) is not None:
            text = text.replace(f"[{setting}]", f"--{name.replace('_', '-')}:")
    return text


def _missing(options: argparse.Namespace) -> str:
    """What is wrong with the script's name; empty where it exists."""
    name = options.script
    if not options.module:
        if not os.path.exists(name):
            return f"no such file: {name}"
        if os.path.isdir(name) and not os.path.exists(os.path.join(name, "__main__.py")):
            return f"{name} is a folder without a __main__.py"
        return ""
    try:
        found = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        found = None
    return "" if found else f"no module named {name}"


def _run_file(path: str) -> None:
    """Runs a script as ``python path`` does."""
    if os.path.isdir(path) or not path.endswith(".py"):
        runpy.run_path(path, run_name="__main__")  # folders, archives, compiled files
        return
    module = types.ModuleType("__main__")
    module.__file__ = os.path.abspath(path)
    module.__dict__["__builtins__"] = __builtins__
    with io.open_code(module.__file__) as file:
        code = compile(file.read(), module.__file__, "exec")
    sys.modules["__main__"] = module  # for pickle, atexit and processes that are spawned
    exec(code, module.__dict__)


def _show(error: BaseException) -> None:
    """Prints a traceback that begins in the script."""
    ours = (__file__, runpy.__file__, "<frozen runpy>")
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _run(options: argparse.Namespace) -> int:
    # The engine reads its settings when it is imported, so this comes first.
    _set_environment(options)
    try:
        from plimsoll import alias, core
    except ImportError as e:  # what the engine says of a setting
        return _fail("run", _as_options(str(e), options))
    assert core
    alias.install()
    folder = os.getcwd() if options.module else os.path.dirname(os.path.realpath(options.script))
    if not sys.flags.safe_path:
        sys.path[0] = folder  # what Python puts there, in place of our own
    if wrong := _missing(options):
        return _fail("run", wrong)
    sys.argv = [options.script, *options.args]
    try:
        if options.module:
            runpy.run_module(options.script, run_name="__main__", alter_sys=True)
        else:
            _run_file(options.script)
    except KeyboardInterrupt as e:
        _show(e)
        return 128 + signal.SIGINT
    except Exception as e:
        _show(e)
        return 1
    return 0


def _info() -> int:
    import plimsoll

    try:
        import plimsoll.core as mx
    except ImportError as e:
        return _fail("info", e)
    device = mx.device_info()
    print(f"plimsoll    {plimsoll.__version__}, {os.path.dirname(plimsoll.__file__)}")
    print(f"device      {device['device_name']}, {len(os.sched_getaffinity(0))} threads")
    print(f"memory      {int(device['memory_size']) / 1e9:8.1f} GB")
    print(mx.memory_report(), end="")
    print(f"outside {OUTSIDE / 1e6:10.1f} MB  the most that an evaluation holds past its limit")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point.

    Args:
        argv: Arguments. Default: those of the process.

    Returns:
        The exit status.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if options.version:
        import plimsoll

        print(f"plimsoll {plimsoll.__version__}")
        return 0
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    return _run(options) if options.command == "run" else _info()


if __name__ == "__main__":
    sys.exit(main())
