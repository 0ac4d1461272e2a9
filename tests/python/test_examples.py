"""The examples, as a user runs them, in sizes of a second."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RUN = ("-m", "plimsoll", "run")
TINY = ["--steps", "5", "--batch", "4", "--seq", "32", "--dim", "32", "--layers", "2",
        "--heads", "2"]  # fmt: skip
STEPS = "1" if os.environ.get("PLIMSOLL_PRESSURE") else "3"  # of thousands of small extents then
SMALL = ["--steps", STEPS, "--batch", "16", "--seq", "128", "--dim", "128", "--layers", "3",
         "--heads", "4"]  # fmt: skip
MARGIN = 16 * 2**20  # of a process limit
# For the runs that others are compared with, where the tests run under pressure.
FREE = {name: value for name, value in os.environ.items() if not name.startswith("PLIMSOLL_")}


def train(folder, settings, *before, env=None):
    """What char_lm.py reports of a run."""
    report = folder / "report.json"
    result = subprocess.run(
        [sys.executable, *before, str(EXAMPLES / "char_lm.py"), *settings,
         "--report", str(report)],
        capture_output=True, text=True, timeout=300, check=False, env=env,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    measured = json.loads(report.read_text())
    assert f"digest  {measured['digest']}" in result.stdout
    assert f"step {settings[1]:>3}/{settings[1]}" in result.stderr
    return measured


def values(report, what):
    return [step[what] for step in report["steps"]]


@pytest.mark.plenty("an example in its smallest tiles takes minutes", "smallest-tiles")
def test_char_lm_learns_on_plimsoll_as_on_mlx(tmp_path):
    pytest.importorskip("mlx.core")
    ours = values(train(tmp_path, TINY, *RUN), "loss")
    theirs = values(train(tmp_path, TINY), "loss")
    assert len(ours) == 5
    assert ours[-1] < ours[0]
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """A run without a limit."""
    report = train(tmp_path_factory.mktemp("free"), SMALL, *RUN, env=FREE)
    assert set(values(report, "stage")) == {"fits"}
    for what in ("spilled", "reloaded", "recomputed"):
        assert set(values(report, what)) == {0}
    return report


@pytest.mark.plenty("a step in its smallest tiles takes minutes", "tiny-limit", "smallest-tiles")
@pytest.mark.parametrize("share", [0.5, 0.25])
def test_char_lm_gives_the_same_weights_under_any_process_limit(tmp_path, free, share):
    peak = max(values(free, "planned_peak"))
    limit = max(values(free, "besides")) + MARGIN + int(share * peak)
    limited = train(tmp_path, SMALL, *RUN, "--memory-limit", str(limit))
    assert limited["digest"] == free["digest"]
    assert values(limited, "loss") == values(free, "loss")
    assert sum(values(limited, "spilled")) + sum(values(limited, "recomputed")) > 0
    assert limited["resident_peak"] <= limit
    for step in limited["steps"]:
        assert step["peak"] <= step["limit"] < (share + 0.1) * peak


def example(name, *settings, env=None):
    """The lines that an example prints."""
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *settings],
        capture_output=True, text=True, timeout=300, check=False, env=env,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "[########################]" in result.stderr
    return result.stdout.splitlines()


@pytest.mark.plenty("an example in its smallest tiles takes minutes", "smallest-tiles")
@pytest.mark.parametrize(("model", "limit"), [("mlp", "2.2MB"), ("cnn", "5MB")])
def test_digits_learns_the_same_under_a_limit(model, limit):
    pytest.importorskip("sklearn")
    settings = ["--model", model, "--epochs", "4"]
    digest, free = example("digits.py", *settings, env=FREE)
    same, limited = example("digits.py", *settings, "--memory-limit", limit)
    assert same == digest
    assert float(free.split()[2]) > 0.9
    peaks = [float(line.split()[-4]) for line in (limited, free)]
    assert peaks[0] <= float(limit.removesuffix("MB")) < peaks[1]


@pytest.mark.plenty("an example in its smallest tiles takes minutes", "smallest-tiles")
def test_pca_and_k_means_find_what_is_hidden(tmp_path):
    settings = ["--size", "32MB", "--memory-limit", "16MB", "--folder", str(tmp_path)]
    components, _, clusters, cost = example("pca_kmeans.py", *settings)
    assert float(components.split()[3]) > 0.8
    assert float(clusters.split()[2]) > 0.99
    assert cost.startswith("32 MB under 16 MB")
    assert float(cost.split()[-4]) <= 16
    assert list(tmp_path.iterdir()) == []


def test_embedding_search_finds_the_near_ones(tmp_path):
    settings = ["--rows", "60000", "--memory-limit", "12MB", "--folder", str(tmp_path)]
    *queries, cost, _, same = example("embedding_search.py", *settings)
    assert [line.split()[2] for line in queries] == ["0", "1000", "2000", "3000"]
    assert cost.startswith("31 MB under 12 MB")
    assert same.startswith("NumPy finds the same products")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.plenty("runs without these settings")
def test_plain_mlx_scripts_and_examples_give_the_same_in_less_memory():
    pytest.importorskip("mlx.core")
    pytest.importorskip("sklearn")
    tool = EXAMPLES.parent / "tools" / "side_by_side"
    result = subprocess.run(
        [sys.executable, str(tool), "--small"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "checked: the wheel's numbers to rounding" in result.stdout
    measured = {line.split()[0] for line in result.stdout.splitlines() if line}
    assert {script.stem for script in EXAMPLES.glob("plain_mlx/*.py")} <= measured
