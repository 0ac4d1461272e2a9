"""tools/setup on a machine that lacks everything, played by stand-ins for the system's commands."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with tools/setup, and a bin/ that comes first in PATH."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup", tmp_path / "tools" / "setup")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "bin").mkdir()
    return tmp_path


def command(tree: Path, name: str, script: str) -> None:
    path = tree / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(tree: Path, what: str = "demo") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(tree / "tools" / "setup"), what],
        env={**os.environ, "PATH": f"{tree / 'bin'}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_names_missing_packages_in_one_line_without_root(tree: Path) -> None:
    command(tree, "dpkg-query", 'case "$*" in *libfmt-dev*|*" g++"*) exit 1;; esac; echo installed')
    command(tree, "id", "echo 1000")
    command(tree, "sudo", "exit 1")
    result = setup(tree)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error: neither root nor sudo; ask your administrator for: apt-get install g++ libfmt-dev\n"
    )


def test_installs_only_what_is_missing(tree: Path) -> None:
    command(tree, "dpkg-query", 'case "$*" in *libfmt-dev*) exit 1;; esac; echo installed')
    command(tree, "id", "echo 0")
    command(tree, "apt-get", f'echo "$*" >>{tree}/calls')
    command(tree, "python3", "exit 1")
    setup(tree)
    install = "install -y -q --no-install-recommends libfmt-dev"
    assert (tree / "calls").read_text().splitlines() == ["update -q", install]


def test_failed_install_is_one_line_with_the_log(tree: Path) -> None:
    command(tree, "dpkg-query", 'case "$*" in *libfmt-dev*) exit 1;; esac; echo installed')
    command(tree, "id", "echo 0")
    command(tree, "apt-get", '[ "$1" = update ]')
    result = setup(tree)
    assert result.returncode == 1
    message = "error: apt-get install libfmt-dev failed; see build/log/apt.log\n"
    assert result.stderr == message


def test_second_run_starts_no_installer(tree: Path) -> None:
    command(tree, "dpkg-query", "echo installed")
    calls = tree / "calls"
    made = f'mkdir -p {tree}/.venv/bin; cp "$0" {tree}/.venv/bin/python'
    script = f'echo "$*" >>{calls}; case "$*" in -V) echo Python 3.11;; *venv*) {made};; esac'
    command(tree, "python3", script)
    assert setup(tree).returncode == 0
    assert "-r requirements/demo.txt" in calls.read_text()
    calls.unlink()
    assert setup(tree).returncode == 0
    assert calls.read_text().splitlines() == ["-V"]
    (tree / "requirements" / "demo.txt").write_text("numpy\n")
    assert setup(tree).returncode == 0
    assert "-r requirements/demo.txt" in calls.read_text()


def test_another_version_of_mlx_lm_is_installed_anew(tree: Path) -> None:
    command(tree, "dpkg-query", "echo installed")
    calls, alone = tree / "calls", tree / "requirements" / "clients-alone.txt"
    made = f'mkdir -p {tree}/$at/bin; cp "$0" {tree}/$at/bin/python'
    script = (
        "at=.venv; "
        'case "$*" in *client-venv*) at=build/client-venv;; esac; '
        f'echo "$*" >>{calls}; case "$*" in -V) echo Python 3.11;; *-m\\ venv*) {made};; esac'
    )
    command(tree, "python3", script)
    assert setup(tree, "clients").returncode == 0
    assert "--no-deps -r requirements/clients-alone.txt" in calls.read_text()
    calls.unlink()
    assert setup(tree, "clients").returncode == 0
    assert "pip install" not in calls.read_text()
    alone.write_text("mlx-lm==0.32.3\n")
    assert setup(tree, "clients").returncode == 0
    assert "--no-deps -r requirements/clients-alone.txt" in calls.read_text()
