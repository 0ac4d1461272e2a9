"""What tools/clients counts as an error, by what mlx's wheel and Plimsoll say."""

import pytest

RUNS, DIFFERS, FAILS = {"tokens": [1, 2]}, {"tokens": [1, 3]}, {"error": "RuntimeError: no"}


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("clients")


@pytest.mark.parametrize(
    ("name", "precision", "wheel", "ours", "errors"),
    [
        ("llama", "float32", RUNS, RUNS, 0),
        ("llama", "float32", RUNS, DIFFERS, 1),
        ("llama", "float32", RUNS, FAILS, 1),
        ("llama", "bfloat16", FAILS, RUNS, 0),
        ("llama", "bfloat16", FAILS, FAILS, 1),
        ("llama", "4bit", FAILS, FAILS, 1),
        ("mamba", "4bit", FAILS, FAILS, 0),
        ("mamba", "4bit", RUNS, FAILS, 1),
        ("mamba", "float32", FAILS, FAILS, 1),
    ],
)
def test_what_counts(tool, monkeypatch, name, precision, wheel, ours, errors):
    monkeypatch.setattr(tool, "run", lambda here, *_: {name: ours if here else wheel})
    assert tool.compare(name, precision) == errors
