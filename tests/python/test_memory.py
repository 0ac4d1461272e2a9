import json
import os
import signal
import threading
import warnings

import numpy as np
import plimsoll.core as mx
import pytest


@pytest.fixture(autouse=True)
def restored_limit():
    limit, strict = mx.get_memory_limit(), mx.get_memory_strict()
    yield
    mx.set_memory_limit(limit, strict=strict)


def test_setters_return_the_previous_value():
    before = mx.get_memory_limit()
    assert mx.set_memory_limit("1GB") == before
    assert mx.set_memory_limit(before) == 1_000_000_000
    assert mx.get_memory_limit() == before


@pytest.mark.parametrize("limit", [-1, 1.5, None, True])
def test_limits_of_other_types_are_refused(limit):
    with pytest.raises(TypeError, match="set_memory_limit"):
        mx.set_memory_limit(limit)
    with pytest.raises(ValueError, match="much"):
        mx.set_memory_limit("much")


def test_scopes_nest_and_cannot_grow():
    before = mx.get_memory_limit()
    with mx.memory_limit("512MiB"):
        assert mx.get_memory_limit() == 2**29
        assert mx.get_memory_strict()
        with mx.memory_limit("1GiB"):
            assert mx.get_memory_limit() == 2**29
    assert mx.get_memory_limit() == before

    @mx.memory_limit("256MiB")
    def inner():
        return mx.get_memory_limit()

    assert inner() == 2**28


def test_arrays_past_the_limit_are_spilled_and_keep_their_bits():
    expected = [np.array(mx.random.normal((512, 512), key=mx.random.key(i))) for i in range(24)]
    with mx.memory_limit("12MB"):
        arrays = [mx.random.normal((512, 512), key=mx.random.key(i)) for i in range(24)]
        for a in arrays:
            mx.eval(a)
        report = mx.memory_report()
        assert report.used <= 12_000_000
        assert report.spilled > 0
        for a, e in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(np.array(a), e)


def test_strict_limits_refuse_before_anything_runs():
    a = mx.ones((1024, 1024)) * 2.0
    with mx.memory_limit("6MB"), pytest.raises(mx.MemoryLimitError) as caught:
        mx.eval(a @ a)
    error = caught.value
    assert isinstance(error, MemoryError)
    assert error.limit == 6_000_000
    assert error.required > error.limit
    assert "matmul" in error.operation
    assert str(error.required) in str(error)
    assert (a @ a)[0, 0].item() == 4096.0


def test_guideline_limits_warn_once():
    a = mx.ones((1024, 1024)) * 2.0
    mx.set_memory_limit("6MB", strict=False)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(2):
            assert (a @ a)[0, 0].item() == 4096.0
    assert [w.category for w in seen] == [mx.MemoryLimitWarning]


def test_plans_run_nothing_and_draw_themselves(tmp_path):
    x = mx.ones((256, 256)) @ mx.ones((256, 256))
    before = mx.memory_report().active
    plan = mx.memory_plan({"x": [x]})
    assert mx.memory_report().active == before
    assert plan.stage == "fits"
    assert plan.peak >= 256 * 256 * 4
    assert "matmul" in repr(plan)
    plan.save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert any("matmul" in e["name"] for e in events)
    pytest.importorskip("matplotlib")
    plan.plot(tmp_path / "plan.png")
    assert (tmp_path / "plan.png").stat().st_size > 5_000


def test_reports_of_the_last_evaluation():
    mx.eval(mx.ones((100, 100)) + 1)
    report = mx.last_evaluation()
    assert report.actions > 0
    assert report.peak > 0
    assert "EvaluationReport" in repr(report)


def test_ctrl_c_leaves_arrays_whole():
    x = mx.random.normal((1000, 1000))
    mx.eval(x)
    y = x
    for _ in range(300):
        y = (y @ x) * 0.03
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        mx.eval(y)
    timer.join()
    assert np.isfinite((x + 1).sum().item())
