"""tools/side_by_side: how far apart it says that two scripts' numbers are, and what it refuses."""

from math import inf

import pytest


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("side_by_side")


@pytest.mark.parametrize(
    ("ours", "theirs", "apart"),
    [
        (["loss 2.5"], ["loss 2.5"], 0),
        (["step 1 loss 2.0"], ["step 1 loss 2.5"], 0.2),
        (["sizes [100, 1e-3]"], ["sizes [100, 1.1e-3]"], 1e-6),  # of the largest in the list
        (["loss 1.0", "[0, 0.0]"], ["loss 1.0", "[0, 0.0]"], 0),
        (["loss 1.0"], ["lost 1.0"], inf),
        (["loss 1.0"], ["loss 1.0", "loss 1.0"], inf),
        (["rows [1, 2]"], ["rows [1, 2, 3]"], inf),
        (["loss nan"], ["loss 1.0"], inf),
    ],
)
def test_how_far_apart(tool, ours, theirs, apart):
    assert tool.difference(ours, theirs) == pytest.approx(apart, rel=1e-9)


def test_a_run_too_short_for_a_ratio(tool):
    runs = [tool.Run([], seconds, 0) for seconds in (0.5, 0.25, 0.0)]
    assert tool.ratio(runs[0], runs[1]) == "2.00"
    assert tool.ratio(runs[0], runs[2]) == "-"


@pytest.mark.parametrize(
    ("wheel", "free", "limited", "resident", "wrong"),
    [
        ("loss 1.0", "loss 1.00001", "loss 1.00001", 0, []),
        ("loss 1.0", "loss 1.01", "loss 1.01", 0, ["gpt: 9.9e-03 from the wheel"]),
        ("loss 1.0", "loss 1.0", "loss 1.00001", 0, ["gpt: another result under a limit"]),
        ("loss 1.0", "loss 1.0", "loss 1.0", 1, ["gpt: 26,777,217 bytes were resident under"]),
    ],
)
def test_what_is_wrong(tool, monkeypatch, wheel, free, limited, resident, wrong):
    def run(*command):
        if "-c" in command:
            return tool.Run([free], 1.0, 0, peak=8_000_000, besides=6_000_000)
        limit = 6_000_000 + tool.MARGIN + 4_000_000
        if "--memory-limit" in command:
            assert str(limit) in command
            return tool.Run([limited], 1.0, limit + resident)
        return tool.Run([wheel], 1.0, 0)

    monkeypatch.setattr(tool, "run", run)
    found = tool.plain("gpt", "", 0.5)[1]
    assert len(found) == len(wrong)
    assert all(text.startswith(start) for text, start in zip(found, wrong, strict=True))
