"""Runs the examples of the operations' docs and of the package's docstrings."""

import doctest
import importlib
import inspect
import pkgutil

import plimsoll
import plimsoll.core as mx
import plimsoll.nn as nn
import plimsoll.optimizers as optim
import pytest
from plimsoll import _core, utils

NAMES = {"mx": mx, "nn": nn, "optim": optim, "utils": utils}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PLENTY = {"plimsoll._memory.memory_plan": "shows a plan that fits"}
OPS = [op for op in _core._registry() if op["signature"]]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Examples write files."""
    monkeypatch.chdir(tmp_path)


def run(text, name, extra):
    test = doctest.DocTestParser().get_doctest(text, {**NAMES, **extra}, name, name, 0)
    assert test.examples, f"{name} has no example"
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    failures, _ = runner.run(test, out=report.append)
    assert failures == 0, "".join(report)


@pytest.mark.parametrize("op", [pytest.param(op, id=op["name"]) for op in OPS])
def test_examples_of_operations(op):
    run(op["doc"], op["name"], {})


def documented():
    """Docstrings with an example, each once: of modules, functions, classes and their methods."""
    seen = set()
    names = ["plimsoll", *(m.name for m in pkgutil.walk_packages(plimsoll.__path__, "plimsoll."))]
    for name in names:
        if name.endswith("__main__") or "._core." in name:
            continue
        module = importlib.import_module(name)
        holders = [(name, module), *((f"{name}.{k}", v) for k, v in vars(module).items())]
        for path, value in holders:
            members = vars(value).items() if inspect.isclass(value) else ()
            for place, item in [(path, value), *((f"{path}.{k}", v) for k, v in members)]:
                doc = getattr(item, "__doc__", None)
                home = getattr(item, "__module__", name) or ""
                if not isinstance(doc, str) or ">>> " not in doc or doc in seen:
                    continue
                home = item.__name__ if inspect.ismodule(item) else home
                if home.startswith("plimsoll"):
                    seen.add(doc)
                    marks = [pytest.mark.plenty(PLENTY[place])] if place in PLENTY else []
                    yield pytest.param(doc, place, vars(module), id=place, marks=marks)


@pytest.mark.parametrize(("doc", "place", "scope"), list(documented()))
def test_examples_of_the_package(doc, place, scope):
    run(doc, place, scope)


def test_methods_have_their_functions_examples():
    assert ">>> mx.sum" in mx.array.sum.__doc__
