"""tools/check_layout on small trees."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def check(root: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "check_layout"), "--root", str(root), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write(root: Path, name: str, text: str = "int f() { return 1; }\n") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_project_itself_passes() -> None:
    result = check(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", ["src/plan/big.cpp", "tests/python/test_big.py", "tools/big"])
def test_fails_past_800_lines(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "\n" * 800)
    assert check(tmp_path).returncode == 0
    write(tmp_path, name, "\n" * 801)
    result = check(tmp_path)
    assert result.returncode == 1
    assert f"{name}: 801 lines" in result.stdout


def test_reports_past_400_lines(tmp_path: Path) -> None:
    write(tmp_path, "src/plan/long.h", "\n" * 401)
    assert "note: src/plan/long.h: 401 lines" in check(tmp_path).stdout
    write(tmp_path, "src/plan/long.h", "\n" * 400)
    assert "long.h" not in check(tmp_path).stdout


def test_reports_source_without_test(tmp_path: Path) -> None:
    write(tmp_path, "src/memory/ledger.cpp")
    assert "src/memory/ledger: no test" in check(tmp_path).stdout
    assert check(tmp_path, "--strict").returncode == 1
    write(tmp_path, "tests/unit/memory/ledger_test.cpp")
    assert check(tmp_path, "--strict").returncode == 0


@pytest.mark.parametrize(
    ("source", "test", "covered"),
    [
        ("src/backends/cpu/kernels/reduce_sum.cpp", "backends/cpu/reduce", True),
        ("src/backends/cpu/gemm-inl.h", "backends/cpu/gemm", True),
        ("src/backends/cuda/gemm.cpp", "backends/cpu/gemm", False),
        ("src/memory/pooling.cpp", "memory/pool", False),
        ("src/plan/pool.cpp", "memory/pool", False),
    ],
)
def test_family_test_covers_its_layer(
    tmp_path: Path, source: str, test: str, covered: bool
) -> None:
    write(tmp_path, source)
    write(tmp_path, f"tests/unit/{test}_test.cpp")
    assert check(tmp_path, "--strict").returncode == (0 if covered else 1)


def test_header_without_code_needs_no_test(tmp_path: Path) -> None:
    write(tmp_path, "src/plan/plan.h", "struct Plan;\n")
    assert check(tmp_path, "--strict").returncode == 0
    write(tmp_path, "src/plan/plan.h")
    assert check(tmp_path, "--strict").returncode == 1


def test_case_table_covers_op_and_kernel(tmp_path: Path) -> None:
    write(tmp_path, "src/ops/sort.cpp")
    write(tmp_path, "src/backends/cpu/kernels/sort.cpp")
    assert check(tmp_path, "--strict").stdout.count("no test") == 2
    write(tmp_path, "tests/ops/sort.py", "")
    assert check(tmp_path, "--strict").returncode == 0


def test_reports_test_without_source(tmp_path: Path) -> None:
    write(tmp_path, "tests/unit/memory/gone_test.cpp")
    assert "tests/unit/memory/gone_test.cpp: mirrors no source" in check(tmp_path).stdout


def test_reports_header_without_family(tmp_path: Path) -> None:
    write(tmp_path, "include/plimsoll/ops/sort.h")
    assert "include/plimsoll/ops/sort.h: no src/ops file" in check(tmp_path).stdout
    write(tmp_path, "src/ops/sort.cpp")
    assert "no src/ops file" not in check(tmp_path).stdout
