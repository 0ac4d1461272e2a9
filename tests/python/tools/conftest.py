"""Scripts of tools/, which have no suffix, as modules."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture(scope="session")
def load_tool() -> Callable[[str], ModuleType]:
    """A module of its own for each call."""

    def load(name: str) -> ModuleType:
        path = Path(__file__).resolve().parents[3] / "tools" / name
        loader = SourceFileLoader(f"plimsoll_tools_{name}", str(path))
        spec = spec_from_loader(loader.name, loader)
        assert spec
        module = module_from_spec(spec)
        loader.exec_module(module)
        return module

    return load
