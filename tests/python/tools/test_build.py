"""tools/build: what it shows of a build, and when it builds again."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def build(load_tool: Callable[[str], ModuleType], tmp_path: Path) -> ModuleType:
    """The script as a module, working on an empty tree."""
    module = load_tool("build")
    module.ROOT = tmp_path
    return module


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_failure_is_one_line_with_first_error_and_log(
    build: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "print('[1/9] Building x'); print('x.cpp:3:1: error: no y'); print('z error: 2'); exit(1)"
    )
    with pytest.raises(SystemExit) as failure:
        build.run_logged(python(code), "building", tmp_path / "build/log/b.log")
    assert failure.value.code == "error: x.cpp:3:1: error: no y; see build/log/b.log"
    assert "[1/9] Building x" in (tmp_path / "build/log/b.log").read_text()
    assert capsys.readouterr().out == "building: failed in 0 s\n"


def test_cmake_failure_has_its_text(build: ModuleType, tmp_path: Path) -> None:
    code = "print('  CMake Error at a.cmake:7 (f):\\n    fmt is missing\\n\\n  more'); exit(1)"
    with pytest.raises(SystemExit) as failure:
        build.run_logged(python(code), "building", tmp_path / "b.log")
    assert failure.value.code == "error: CMake Error at a.cmake:7 (f): fmt is missing; see b.log"


def test_failure_without_a_message_gives_the_status(build: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as failure:
        build.run_logged(python("exit(7)"), "building", tmp_path / "b.log")
    assert failure.value.code == "error: exit status 7; see b.log"


def test_progress_is_sparse_off_a_terminal(
    build: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "[print(f'  [{i}/50] Building') for i in range(50)]"
    build.run_logged(python(code), "building", tmp_path / "b.log")
    assert capsys.readouterr().out == "building: done in 0 s\n"
    build.SPARSE_SECONDS = 0.0
    build.run_logged(python(code), "building", tmp_path / "b.log")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 51
    assert lines[49] == "[49/50] building, 0 s"


def test_progress_rewrites_one_line_on_a_terminal(
    build: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    build.run_logged(python("print('[1/2] a'); print('[2/2] b')"), "building", tmp_path / "b.log")
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "\r[1/2] building, 0 s\x1b[K\r[2/2] building" in out


def test_digest_follows_content_and_names_only(build: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "src" / "a.cpp"
    source.parent.mkdir()
    source.write_text("int a;")
    before = build.digest(("src",))
    source.touch()
    (tmp_path / "src" / "a.pyc").write_text("left behind")
    assert build.digest(("src",)) == before
    source.write_text("int b;")
    changed = build.digest(("src",))
    assert changed != before
    source.rename(source.with_name("b.cpp"))
    assert build.digest(("src",)) not in (before, changed)
