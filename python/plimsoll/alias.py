"""Lets scripts that say ``import mlx.core as mx`` run on Plimsoll."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence

_PREFIX = "mlx"


def _ours(fullname: str) -> str:
    return "plimsoll" + fullname[len(_PREFIX) :]


class _AliasLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = importlib.import_module(_ours(spec.name))
        self._spec = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        module.__spec__ = self._spec  # the import system set the alias's; the module keeps its own


class _AliasFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _PREFIX and not fullname.startswith(_PREFIX + "."):
            return None
        ours = _ours(fullname)
        if ours not in sys.modules and importlib.util.find_spec(ours) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, _AliasLoader(), is_package=True)


_finder = _AliasFinder()


def install() -> None:
    """Makes ``mlx`` and its submodules resolve to Plimsoll's.

    Raises:
        RuntimeError: where another ``mlx`` was imported already.
    """
    present = sys.modules.get(_PREFIX)
    if present is not None and present.__name__ != "plimsoll":
        raise RuntimeError("[alias] mlx was imported already; install the alias before it")
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undoes install for modules that are imported later."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for name in [n for n in sys.modules if n == _PREFIX or n.startswith(_PREFIX + ".")]:
        del sys.modules[name]
