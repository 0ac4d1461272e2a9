import os
import re
import subprocess
import sys

import pytest


def run(*args, cwd=None, **environment):
    paths = [os.path.abspath(path) for path in sys.path if path]
    return subprocess.run(
        [sys.executable, "-m", "plimsoll", *args],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
    )


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(
        "import sys\n"
        "import mlx.core as mx\n"
        "import mlx.nn as nn\n"
        "import mlx.optimizers\n"
        "from mlx.utils import tree_map\n"
        "from helper import value\n"
        "print(mx.__name__, nn.Linear(2, 2).weight.shape, sys.argv[1:], value)\n"
        "print(mx.get_memory_limit(), mx.get_memory_strict(), __name__)\n"
    )
    (tmp_path / "helper.py").write_text("value = 42\n")
    return path


def test_scripts_that_import_mlx_run_on_plimsoll(script):
    result = run("run", str(script), "--flag", "1")
    assert result.returncode == 0, result.stderr
    assert "plimsoll.core (2, 2) ['--flag', '1'] 42" in result.stdout
    assert "__main__" in result.stdout


def test_the_limit_of_the_command_line_is_a_strict_process_limit(script):
    result = run("run", "--memory-limit", "1GB", str(script))
    assert result.returncode == 0, result.stderr
    limit, strict, _ = result.stdout.splitlines()[-1].split()
    assert int(limit) < 1_000_000_000
    assert strict == "True"


def test_the_guideline_warns_instead(script):
    result = run("run", "--memory-limit", "1GB", "--guideline", str(script))
    assert result.stdout.splitlines()[-1].split()[1] == "False"


def test_info_says_where_the_limit_comes_from():
    result = run("info", PLIMSOLL_MEMORY_LIMIT="")
    assert result.returncode == 0, result.stderr
    assert re.search(r"^limit +\S+ GB  guideline limit, from 0.8 . ", result.stdout, re.M)
    result = run("info", PLIMSOLL_MEMORY_LIMIT="1GB")
    assert "limit, from PLIMSOLL_MEMORY_LIMIT\n" in result.stdout


def test_version_and_help():
    assert re.fullmatch(r"plimsoll \d\S*\n", run("--version").stdout)
    result = run()
    assert result.returncode == 2
    assert "usage: plimsoll" in result.stderr
    assert "run a script" in result.stderr


def test_modules_run_with_m(tmp_path):
    package = tmp_path / "thing"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "part.py").write_text("import mlx.core as mx\nvalue = mx.ones(2).tolist()\n")
    (package / "__main__.py").write_text("from .part import value\nprint(value, __package__)\n")
    result = run("run", "-m", "thing", cwd=tmp_path)
    assert result.stdout == "[1.0, 1.0] thing\n", result.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.py"], "no such file: none.py"),
        (["."], ". is a folder without a __main__.py"),
        (["-m", "none"], "no module named none"),
        (["-m", "none.at.all"], "no module named none.at.all"),
        (
            ["--memory-limit", "12XB", "none.py"],
            '--memory-limit: expected a size such as 4GB, 512MiB or 1000000, got "12XB": the unit '
            "is none of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB",
        ),
        (
            ["--memory-limit=-1", "none.py"],
            '--memory-limit: expected a size such as 4GB, 512MiB or 1000000, got "-1": it does '
            "not start with a number",
        ),
        (
            ["--spill-limit", "much", "none.py"],
            '--spill-limit: expected a size such as 4GB, 512MiB or 1000000, got "much": it does '
            "not start with a number",
        ),
        ([], "the following arguments are required: SCRIPT"),
        (["--memory-limit"], "argument --memory-limit: expected one argument"),
    ],
)
def test_mistakes_on_the_command_line_are_one_clear_line(tmp_path, arguments, error):
    result = run("run", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    if lines[0].startswith("usage: "):
        lines.pop(0)
    assert lines == [f"plimsoll run: error: {error}"]


def test_a_limit_below_what_the_process_has_is_one_line(script):
    result = run("run", "--memory-limit", "10MB", str(script))
    assert result.returncode == 2
    assert re.fullmatch(
        r"plimsoll run: error: --memory-limit: expected more than \S+ MB, which the process has in "
        r"use already, got 10.0 MB\n",
        result.stderr,
    )


def test_a_wrong_setting_in_the_environment_is_named(script):
    result = run("run", str(script), PLIMSOLL_MEMORY_LIMIT="lots")
    assert result.returncode == 2
    assert result.stderr.startswith("plimsoll run: error: [PLIMSOLL_MEMORY_LIMIT] expected a size")
    assert run("info", PLIMSOLL_MEMORY_LIMIT="lots").stderr.count("\n") == 1


def write(folder, text):
    path = folder / "script.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "status"),
    [("", 0), ("raise SystemExit(3)", 3), ("import sys; sys.exit('so')", 1), ("1 / 0", 1),
     ("raise KeyboardInterrupt", 130)],
)  # fmt: skip
def test_the_exit_status_is_the_scripts(tmp_path, text, status):
    assert run("run", write(tmp_path, text)).returncode == status


def test_tracebacks_begin_in_the_script(tmp_path):
    path = write(tmp_path, "def f():\n    raise ValueError('boom')\nf()\n")
    lines = run("run", path).stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{path}", line 3, in <module>'
    assert lines[-1] == "ValueError: boom"
    lines = run("run", write(tmp_path, "def f(:\n")).stderr.splitlines()
    assert lines[0] == f'  File "{path}", line 1'
    assert lines[-1] == "SyntaxError: invalid syntax"


def test_a_refusal_reads_as_the_engine_wrote_it(tmp_path):
    path = write(
        tmp_path, "import mlx.core as mx\nmx.eval(mx.linalg.eigh(mx.ones((4000, 4000)))[0])\n"
    )
    result = run("run", "--memory-limit", "150MB", path)
    assert result.returncode == 1
    assert "MemoryLimitError: this evaluation needs" in result.stderr
    assert "The smallest limit that works is" in result.stderr


def test_scripts_see_what_python_would_show_them(tmp_path):
    text = (
        "import os, pickle, sys, __main__\n"
        "class Thing: pass\n"
        "print(__name__, os.path.isabs(__file__), sys.argv, sys.path[0])\n"
        "print(type(pickle.loads(pickle.dumps(Thing()))).__name__, __main__.Thing is Thing)\n"
    )
    write(tmp_path, text)
    arguments = ("script.py", "-m", "--memory-limit", "x")
    ours = run("run", *arguments, cwd=tmp_path)
    python = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert ours.stdout == python.stdout, ours.stderr
    assert "Thing True" in ours.stdout
