"""tools/api_parity finds what is missing and what is called otherwise."""

import importlib.machinery
import importlib.util
import types
from pathlib import Path

import pytest

pytest.importorskip("mlx.core")
PATH = Path(__file__).parents[2] / "tools" / "api_parity"


@pytest.fixture(scope="module")
def tool():
    loader = importlib.machinery.SourceFileLoader("api_parity", str(PATH))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("api_parity", loader))
    loader.exec_module(module)
    return module


def test_defaults_are_compared_as_values(tool):
    assert tool.plain("1") == tool.plain("1.0")
    assert tool.plain("[0.9, 0.999]") == tool.plain("(0.9, 0.999)")
    assert tool.plain('"L"') == tool.plain("'L'")
    assert tool.split("a: tuple[int, int] = (1, 2), /, b") == [
        "a: tuple[int, int] = (1, 2)", "/", "b"]  # fmt: skip


def test_parameters_come_from_signatures_and_docs(tool):
    def function(a, b=1, *rest, c=None, stream=None):
        """Text."""

    def documented(*args):
        pass

    documented.__doc__ = "documented(a: array, /, axis: int = -1, *, stream: None = None) -> array"
    holder = types.SimpleNamespace(function=function, documented=documented, number=3)
    assert tool.parameters(holder, "function") == ["a", "b=1.0", "*rest", "c=None"]
    assert tool.parameters(holder, "documented") == ["a", "axis=-1.0"]
    assert tool.parameters(holder, "number") is None


def test_differences_are_found(tool, monkeypatch):
    theirs = types.SimpleNamespace(same=lambda a: a, moved=lambda a, b: a, gone=lambda: None)
    ours = types.SimpleNamespace(same=lambda a: a, moved=lambda a, c: a)
    for function in vars(theirs).values():
        function.__module__ = "mlx.core"
    monkeypatch.setattr(tool, "resolve", lambda package, path: theirs if package == "mlx" else ours)
    monkeypatch.setattr(tool, "MODULES", ("core",))
    assert tool.differences() == {
        "core.gone": "is missing",
        "core.moved": "takes (a, c), not (a, b)",
    }


def test_every_reason_is_still_needed(tool):
    import tomllib

    reasons = tomllib.loads(tool.REASONS.read_text())
    assert set(reasons) <= set(tool.differences())


def test_operations_are_called_as_in_the_wheel(tool):
    """What src/ops registers under MLX's name takes MLX's parameters."""
    found = tool.differences()
    for name in ("einsum", "roll", "quantize", "gather_mm", "unique", "slice", "median", "trace"):
        assert f"core.{name}" not in found
