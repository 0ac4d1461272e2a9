"""What `pip install .` leaves behind."""

import importlib.metadata
import re
import sys
import sysconfig
from pathlib import Path

import plimsoll

ROOT = Path(__file__).resolve().parents[2]


def test_version_is_that_of_cmake() -> None:
    stated = re.search(
        r"project\(plimsoll VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()
    )
    assert stated
    assert importlib.metadata.version("plimsoll-array") == stated[1]


def test_package_is_typed_and_has_a_stub_that_compiles() -> None:
    package = Path(plimsoll.__file__).parent
    assert (package / "py.typed").exists()
    stubs = [*package.glob("_core.pyi"), *package.glob("_core/__init__.pyi")]
    assert len(stubs) == 1
    compile(stubs[0].read_text(), str(stubs[0]), "exec")


def test_command_is_installed() -> None:
    [command] = importlib.metadata.entry_points(group="console_scripts", name="plimsoll")
    assert command.value == "plimsoll.cli:main"
    assert (Path(sysconfig.get_path("scripts")) / "plimsoll").exists(), sys.prefix


def test_matplotlib_is_optional() -> None:
    needs = importlib.metadata.requires("plimsoll-array") or []
    [matplotlib] = [need for need in needs if need.startswith("matplotlib")]
    assert 'extra == "plot"' in matplotlib.replace("'", '"')
