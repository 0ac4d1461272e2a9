"""The tables of docs/first-hour.md are what happens."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import plimsoll.core as mx
import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "first-hour.md").read_text("utf-8")
SECTION = re.compile(r"^## (.*)$", re.M)
SETUP = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
CODE = re.compile(r"`([^`]*)`")
ERROR = re.compile(r"(\w+(?:Error|Warning)): (.*)", re.S)


def sections():
    """Name, setup and rows of each table."""
    parts = SECTION.split(PAGE)[1:]
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        cells = [re.split(r"(?<!\\)\|", row.replace("`\\|", "`|"))[1:-1] for row in rows]
        yield name, SETUP.search(text)[1], [[c.replace("\\|", "|") for c in row] for row in cells]


SECTIONS = list(sections())


def test_each_person_tries_twenty_things():
    assert [len(rows) for _, _, rows in SECTIONS[:3]] == [20, 20, 20]


LIMIT, STRICT = mx.get_memory_limit(), mx.get_memory_strict()


@pytest.fixture(autouse=True)
def own_folder_and_limit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    mx.set_memory_limit(LIMIT, strict=STRICT)


def told(text, pattern):
    """Whether the pieces of a pattern, between …, are in the text in their order."""
    pieces = [re.escape(" ".join(piece.split())) for piece in pattern.split("…")]
    return re.search(".*".join(pieces), " ".join(text.split()))


def result(code, scope):
    """What a prompt would show of the last statement."""
    *before, last = code.split("; ")
    exec("; ".join(before), scope)
    try:
        compile(last, "<cell>", "eval")
    except SyntaxError:
        exec(last, scope)
        return ""
    return repr(eval(last, scope))


def outcome(code, scope):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            shown = result(code, scope)
        except Exception as error:
            names = [cls.__name__ for cls in type(error).__mro__]
            return names, str(error)
    for warning in seen:
        return [warning.category.__name__], str(warning.message)
    return None, shown


def run(command):
    """What `plimsoll …` prints."""
    Path("script.py").write_text(
        "import mlx.core as mx\n"
        "svd = mx.linalg.svd(mx.random.normal((1200, 1200)))\n"
        "mx.eval(svd)\nprint('done')\n"
    )
    environment = {"PYTHONPATH": ":".join(str(Path(p).resolve()) for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], capture_output=True, text=True, check=False,
        env={**environment, "HOME": os.environ.get("HOME", "/tmp")},
    )  # fmt: skip
    return done.stdout + done.stderr


OWN_LIMIT = pytest.mark.plenty("says what happens without another limit")
ROWS = [
    pytest.param(setup, *row, id=f"{name}-{i}", marks=[OWN_LIMIT] if "limit" in name else [])
    for name, setup, rows in SECTIONS
    for i, row in enumerate(rows)
]


@pytest.mark.parametrize(("setup", "tried", "happens", "instead"), ROWS)
def test_rows_are_what_happens(setup, tried, happens, instead):
    code, expected = CODE.findall(tried)[0], CODE.findall(happens)[0]
    if expected.startswith("plimsoll run"):  # what it does is another row
        return
    if code.startswith("plimsoll"):
        assert told(run(code), expected)
        return
    scope = {}
    exec(setup, scope)
    names, text = outcome(code, scope)
    if error := ERROR.fullmatch(expected):
        assert names, f"{text} was no error"
        assert error[1] in names
        assert told(text, error[2]), text
    else:
        assert not names, text
        assert text == expected
    mx.set_memory_limit(LIMIT, strict=STRICT)
    for other in CODE.findall(instead):
        scope = {}
        exec(setup, scope)
        result(other, scope)
