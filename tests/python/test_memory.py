import gc
import json
import os
import pickle
import signal
import subprocess
import sys
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


@pytest.mark.plenty("tiles of one element of a megabyte", "smallest-tiles")
def test_recording_makes_room_for_its_nodes():
    with mx.memory_limit("24MB"):
        arrays = [mx.random.normal((512, 512), key=mx.random.key(i)) for i in range(24)]
        for a in arrays:
            mx.eval(a)
        chain = arrays[0]
        for _ in range(20_000):
            chain = chain + 0.0
        assert mx.memory_report().used <= 24_000_000
        np.testing.assert_array_equal(np.array(chain), np.array(arrays[0]))


@pytest.mark.plenty("tiles of one element of a megabyte", "smallest-tiles")
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


MAKERS = {
    "numpy": mx.array,
    "transposed": lambda x: mx.array(np.asfortranarray(x)),
    "converted": lambda x: mx.array(x.astype(np.float64)),
    "complex": lambda x: mx.array(x.astype(np.complex128), mx.float32),
    "list": lambda x: mx.array(x.tolist()),
    "dlpack": mx.from_dlpack,
    "memoryview": lambda x: mx.array(memoryview(x)),
    "pickle": lambda x: pickle.loads(pickle.dumps(mx.array(x))),
}


@pytest.mark.plenty("tiles of megabytes in blocks of 4 KiB", "tiny-limit", "smallest-tiles")
@pytest.mark.parametrize("maker", MAKERS)
def test_arrays_larger_than_the_limit_are_made_in_pieces(maker):
    x = np.random.default_rng(0).normal(size=(2000, 1000)).astype(np.float32)
    want = np.array(mx.array(x).sum(axis=1) + 1)
    gc.collect()
    mx.clear_cache()
    with mx.memory_limit("5MB"):
        before = mx.memory_report()
        a = MAKERS[maker](x)
        report = mx.memory_report()
        assert report.used <= report.limit
        assert report.spilled - before.spilled >= x.nbytes
        np.testing.assert_array_equal(np.array(a), x)
        np.testing.assert_array_equal(np.array(a.sum(axis=1) + 1), want)
        assert mx.last_evaluation().peak <= report.limit
        del a
        assert mx.memory_report().spilled == before.spilled


@pytest.mark.plenty("tiles of megabytes in blocks of 4 KiB", "tiny-limit", "smallest-tiles")
def test_evaluations_wait_for_copies_of_other_threads():
    x = mx.random.normal((800, 800))
    y = mx.random.normal((1000, 1000))
    mx.eval(x, y)
    done, copies = threading.Event(), []

    def copy():
        while not done.is_set():
            copies.append(np.array(y)[0, 0])

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        with mx.memory_limit("8MB", strict=True):  # x, its square and what the product packs
            for _ in range(20):
                mx.eval(x @ x)
    finally:
        done.set()
        thread.join()
    assert copies


@pytest.mark.plenty("in blocks of 4 KiB there is a plan")
def test_strict_limits_refuse_before_anything_runs():
    a = mx.ones((1024, 1024)) * 2.0
    with mx.memory_limit("3MB"), pytest.raises(mx.MemoryLimitError) as caught:
        mx.eval(a @ a)
    error = caught.value
    assert isinstance(error, MemoryError)
    assert error.limit == 3_000_000
    assert error.required > error.limit
    assert "matmul" in error.operation
    assert f"{error.required:,} bytes" in str(error)
    assert (a @ a)[0, 0].item() == 4096.0


@pytest.mark.plenty("a product of 1024 rows at its floor, in blocks of 4 KiB, takes a minute")
def test_guideline_limits_warn_once():
    a = mx.ones((1024, 1024)) * 2.0
    mx.set_memory_limit("3MB", strict=False)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(2):
            assert (a @ a)[0, 0].item() == 4096.0
    assert [w.category for w in seen] == [mx.MemoryLimitWarning]


@pytest.mark.plenty("looks at a plan that fits")
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


@pytest.mark.plenty("compares with a plan that fits")
def test_plans_under_a_limit_say_what_is_moved(tmp_path):
    x = mx.random.normal((512, 512))
    mx.eval(x)
    kept = [mx.exp(x + float(i)) @ x for i in range(16)]
    total = sum(k.sum() for k in kept)
    free = mx.memory_plan(total, *kept)
    plan = mx.memory_plan(total, *kept, limit=max(free.floor, free.peak // 3))
    assert plan.peak <= plan.limit
    assert plan.unlimited_peak == free.peak
    assert plan.bytes_written == sum(a.bytes for a in plan.actions if a.kind == "write") > 0
    first, second, third, head = repr(plan).splitlines()[:4]
    assert first.startswith(f"stage {plan.stage} · peak ")
    assert second.startswith("predicted ")
    assert f"{plan.slowdown:.2f} × unlimited" in second  # noqa: RUF001
    assert third == f"peak set by {plan.peak_operation}"
    assert head.split() == ["action", "operation", "bytes", "in", "use"]
    plan.save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    lanes = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert all(lanes[e["tid"]] == "write" for e in events if e.get("cat") == "write")
    assert max(e["args"]["bytes"] for e in events if e["ph"] == "C") <= plan.limit
    pytest.importorskip("matplotlib")
    plan.plot(tmp_path / "plan.svg")
    drawn = (tmp_path / "plan.svg").read_text()
    assert f"limit {plan.limit / 1e6:,.1f} MB" in drawn
    assert "peak without a limit" in drawn


def test_refused_plans_print_and_draw_the_refusal(tmp_path):
    x = mx.ones((1024, 1024)) * 2.0
    plan = mx.memory_plan(mx.linalg.eigh(x)[0], limit="2MB")
    assert plan.stage == "refused"
    assert plan.refusal in repr(plan)
    assert f"({plan.floor:,} bytes)" in plan.refusal
    pytest.importorskip("matplotlib")
    plan.plot(tmp_path / "plan.svg")
    assert f"the smallest limit that works is {plan.floor:,}" in (tmp_path / "plan.svg").read_text()


def test_the_wired_limit_is_bounded_by_physical_memory():
    assert mx.set_wired_limit(1 << 20) == 0
    assert mx.set_wired_limit(0) == 1 << 20
    with pytest.raises(ValueError, match=r"expected at most the .* of physical memory, got 1.1"):
        mx.set_wired_limit(10**18 + 10**17)


def test_reports_of_the_last_evaluation():
    mx.eval(mx.ones((100, 100)) + 1)
    report = mx.last_evaluation()
    assert report.actions > 0
    assert report.peak > 0
    assert "EvaluationReport" in repr(report)


@pytest.fixture
def interruptible():
    """A shell that runs this in the background has it ignore the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
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


def test_passing_a_guideline_warns_where_nobody_asked_for_warnings():
    code = (
        "import plimsoll.core as mx; mx.set_memory_limit('2MB');"
        "mx.eval(mx.linalg.svd(mx.ones((300, 300))))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
    )  # fmt: skip
    text = "<string>:1: MemoryLimitWarning: [eval] the limit of 2.00 MB was raised"
    assert result.stderr.startswith(text)
