"""tools/check_layers on small trees: what it must refuse, and what it must let pass."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "check_layers"), "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """One header a layer, under the project's own layers.toml."""
    write(
        tmp_path,
        {
            "layers.toml": (ROOT / "layers.toml").read_text(),
            **{
                f"src/{layer}/part.h": "#pragma once\n"
                for layer in (
                    "base", "core", "opset", "device", "memory", "graph", "ops", "transforms",
                    "io", "plan", "runtime", "backends/cpu", "backends/cuda",
                )
            },
            "include/plimsoll/array.h": "#pragma once\n",
            "include/plimsoll/ops/reduce.h": "#pragma once\n",
            "include/plimsoll/plimsoll.h": "#pragma once\n",
        },
    )  # fmt: skip
    return tmp_path


def test_project_itself_passes() -> None:
    result = check(ROOT)
    assert result.returncode == 0, result.stdout


def test_bare_tree_passes(tree: Path) -> None:
    result = check(tree)
    assert (result.returncode, result.stdout.count("\n")) == (0, 1), result.stdout


@pytest.mark.parametrize(
    ("includer", "included"),
    [
        ("src/base/x.cpp", "core/part.h"),
        ("src/core/x.h", "device/part.h"),
        ("src/opset/x.h", "device/part.h"),
        ("src/memory/x.cpp", "graph/part.h"),
        ("src/graph/x.cpp", "runtime/part.h"),
        ("src/graph/x.cpp", "plan/part.h"),
        ("src/ops/x.cpp", "backends/cpu/part.h"),
        ("src/ops/x.cpp", "plan/part.h"),
        ("src/plan/x.cpp", "ops/part.h"),
        ("src/plan/x.cpp", "backends/cpu/part.h"),
        ("src/plan/x.cpp", "runtime/part.h"),
        ("src/backends/cpu/x.cpp", "memory/part.h"),
        ("src/backends/cpu/x.cpp", "ops/part.h"),
        ("src/backends/cpu/x.cpp", "backends/cuda/part.h"),
        ("src/runtime/executor.cpp", "backends/cpu/part.h"),
        ("src/core/x.cpp", "plimsoll/array.h"),
        ("src/graph/x.cpp", "plimsoll/ops/reduce.h"),
        ("src/graph/x.cpp", "plimsoll/plimsoll.h"),
        ("python/bindings/x.cpp", "backends/cpu/part.h"),
        ("tests/unit/plan/x_test.cpp", "backends/cpu/part.h"),
    ],
)
def test_refuses_forbidden_edge(tree: Path, includer: str, included: str) -> None:
    write(tree, {includer: f'// Why.\n#include "{included}"\n'})
    result = check(tree)
    assert result.returncode == 1
    assert result.stdout.startswith(f"{includer}:2: ")


@pytest.mark.parametrize(
    ("includer", "included"),
    [
        ("src/core/x.cpp", "base/part.h"),
        ("src/device/x.h", "opset/part.h"),
        ("src/ops/x.cpp", "opset/part.h"),
        ("src/ops/x.cpp", "plimsoll/array.h"),
        ("src/runtime/executor.cpp", "plan/part.h"),
        ("src/runtime/context.cpp", "backends/cpu/part.h"),
        ("src/backends/cpu/x.cpp", "device/part.h"),
        ("python/bindings/x.cpp", "runtime/part.h"),
        ("tests/unit/plan/x_test.cpp", "plan/part.h"),
        ("tests/unit/backends/cpu/x_test.cpp", "backends/cpu/part.h"),
    ],
)
def test_allows_edge(tree: Path, includer: str, included: str) -> None:
    write(tree, {includer: f'#include "{included}"\n'})
    result = check(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "code", "message"),
    [
        ("src/core/x.cpp", "#include <hwy/highway.h>", "core may not include <hwy/highway.h>"),
        ("src/core/x.cpp", '#include "hwy/highway.h"', "core may not include <hwy/highway.h>"),
        ("src/ops/x.cpp", '#include "ops/absent.h"', "is no file of the tree"),
        ("src/ops/x.cpp", '#include "absent.h"', "is no file of the tree"),
        ("src/ops/x.cpp", '#include "../core/part.h"', "is relative"),
        ("include/plimsoll/memory.h", '#include "memory/part.h"', "which is not public"),
        ("src/elsewhere/x.cpp", "", "belongs to no layer"),
        ("src/plan/x.cpp", "void f() { resource_->allocate(8); }", "only memory/pool may ask"),
        ("src/runtime/x.cpp", "auto b = backends::cpu::make_backend({});", "only runtime/context"),
        ("src/base/x.cpp", 'void f() { std::printf("x"); }', "never prints"),
    ],
)
def test_refuses_text(tree: Path, file: str, code: str, message: str) -> None:
    write(tree, {file: code + "\n"})
    result = check(tree)
    assert result.returncode == 1
    assert message in result.stdout


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("src/memory/pool.cpp", "void f() { resource_->allocate(8); }"),
        ("src/runtime/context.cpp", "auto b = backends::cpu::make_backend({});"),
        ("src/backends/cpu/x.cpp", "#include <hwy/highway.h>"),
        ("src/backends/cpu/x.cpp", '#include "hwy/foreach_target.h"'),
        ("src/base/x.cpp", '// std::printf("x");\nconst char* k = "abort()";'),
        ("src/base/x.cpp", 'const char* k = R"(std::cout << abort())";'),
    ],
)
def test_allows_text(tree: Path, file: str, code: str) -> None:
    write(tree, {file: code + "\n"})
    result = check(tree)
    assert result.returncode == 0, result.stdout


def test_refuses_unknown_layer_and_mutual_edge(tree: Path) -> None:
    config = (tree / "layers.toml").read_text()
    before = 'paths = ["src/opset"]\nmay_include = ["base", "core"]'
    assert before in config
    after = before.replace('"core"]', '"core", "device", "nowhere"]')
    (tree / "layers.toml").write_text(config.replace(before, after))
    result = check(tree)
    assert result.returncode == 1
    assert "nowhere, which is no layer" in result.stdout
    assert "opset and device may include each other" in result.stdout
