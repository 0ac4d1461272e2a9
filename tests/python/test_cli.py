import os
import subprocess
import sys

import pytest


def run(*args, **environment):
    return subprocess.run(
        [sys.executable, "-m", "plimsoll", *args],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
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
    result = run("info")
    assert result.returncode == 0, result.stderr
    assert "limit" in result.stdout
    assert "plimsoll" in result.stdout


def test_a_missing_script_is_one_line(tmp_path):
    result = run("run", str(tmp_path / "none.py"))
    assert result.returncode == 2
    assert "no such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_modules_run_with_m(tmp_path):
    (tmp_path / "thing.py").write_text("import mlx.core as mx\nprint(mx.ones(2).tolist())\n")
    result = subprocess.run(
        [sys.executable, "-m", "plimsoll", "run", "-m", "thing"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
    )
    assert result.stdout == "[1.0, 1.0]\n", result.stderr
