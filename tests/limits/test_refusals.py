"""Refusals leave the process usable; threads share one limit."""

import os
import subprocess
import sys
import threading

import numpy as np
import plimsoll.core as mx
import pytest


def test_an_impossible_eigh_is_refused_at_once():
    a = mx.zeros((20_000, 20_000))
    values = mx.linalg.eigvalsh(a, stream=mx.cpu)
    with mx.memory_limit("4GB"):
        with pytest.raises(mx.MemoryLimitError) as caught:
            mx.eval(values)
        assert mx.sum(mx.ones((1000,))).item() == 1000
    error = caught.value
    assert "eig" in error.operation
    assert error.limit == 4_000_000_000 < error.required == error.floor
    for text in ("largest step", "cannot be tiled", "pinned by you", f"{error.required:,} bytes"):
        assert text in str(error)


def test_what_is_there_already_is_never_refused():
    a = mx.arange(1000) + 1
    mx.eval(a)
    with mx.memory_limit(0):
        mx.eval(a, a[::-1], mx.broadcast_to(a[5], (3, 3)))
        assert mx.memory_plan(a).stage == "fits"
        assert a[-1].item() == 1000


def test_two_threads_keep_one_limit_and_their_bits():
    def work(seed: int) -> bytes:
        x = mx.random.normal((600, 600), key=mx.random.key(seed))
        for _ in range(6):
            x = mx.tanh(x @ x.T * 0.01) + x
        return np.array(x).tobytes()

    want = [work(seed) for seed in range(2)]
    got: dict[int, list[bytes]] = {0: [], 1: []}
    peaks: list[int] = []
    limit = 16_000_000

    def run(seed: int) -> None:
        for _ in range(5):
            with mx.memory_limit(limit):
                got[seed].append(work(seed))
            peaks.append(mx.last_evaluation().peak)

    threads = [threading.Thread(target=run, args=(seed,), daemon=True) for seed in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=60)
    assert not any(t.is_alive() for t in threads)
    assert got == {seed: [want[seed]] * 5 for seed in range(2)}
    assert max(peaks) <= limit


def test_arrays_are_made_while_another_thread_evaluates():
    """Making one waits for the other thread's evaluation, which polls for Ctrl-C: no deadlock."""

    def make() -> None:
        with mx.memory_limit("12MB"):
            for i in range(200):
                mx.eval(mx.random.normal((300, 300), key=mx.random.key(i)))

    def evaluate() -> None:
        with mx.memory_limit("12MB"):
            for i in range(30):
                x = mx.random.normal((600, 600), key=mx.random.key(i))
                for _ in range(6):
                    x = mx.tanh(x * 1.5) + x
                mx.eval(x)

    threads = [threading.Thread(target=f, daemon=True) for f in (make, evaluate)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=120)
    assert not any(t.is_alive() for t in threads)


def test_a_scope_belongs_to_its_thread():
    before = mx.get_memory_limit()
    entered, leave = threading.Event(), threading.Event()
    seen = []

    def other() -> None:
        with mx.memory_limit("64MB"):
            seen.append(mx.get_memory_limit())
            entered.set()
            leave.wait(60)
        seen.append(mx.get_memory_limit())

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    assert entered.wait(60)
    assert mx.get_memory_limit() == before
    assert mx.sum(mx.ones((5000, 5000))).item() == 25_000_000
    with mx.memory_limit("200MB"):  # opened while the other's is open, closed after it
        leave.set()
        thread.join(60)
        assert mx.get_memory_limit() == 200_000_000
    assert seen == [64_000_000, before]
    assert mx.get_memory_limit() == before
    assert not mx.get_memory_strict()


def test_scopes_close_in_any_order():
    before = mx.get_memory_limit()
    first, second = mx.memory_limit("80MB"), mx.memory_limit("40MB", strict=False)
    first.__enter__()
    second.__enter__()
    assert mx.get_memory_limit() == 40_000_000
    assert not mx.get_memory_strict()
    first.__exit__(None, None, None)
    assert mx.get_memory_limit() == 40_000_000
    second.__exit__(None, None, None)
    assert mx.get_memory_limit() == before


def test_a_guideline_does_not_pass_the_strict_scope_around_it():
    a = mx.random.normal((1500, 1500))
    mx.eval(a)
    with mx.memory_limit("20MB"), mx.memory_limit("10MB", strict=False):
        with pytest.raises(mx.MemoryLimitError):
            mx.eval(mx.linalg.eigvalsh(a, stream=mx.cpu))
        with pytest.warns(mx.MemoryLimitWarning):
            mx.eval(mx.linalg.eigvalsh(a[:700, :700], stream=mx.cpu))


def test_a_limit_set_inside_a_scope_outlives_it():
    before = mx.get_memory_limit()
    with mx.memory_limit("80MB"):
        assert mx.set_memory_limit("500MB") == before
        assert mx.get_memory_limit() == 80_000_000
    assert mx.get_memory_limit() == 500_000_000
    assert mx.set_memory_limit(before) == 500_000_000


UNUSABLE = """
import plimsoll.core as mx
before = mx.get_memory_limit()
a = mx.ones((4_000_000,)) + 0
mx.eval(a)
for limit in (lambda: mx.memory_limit("10MB").__enter__(), lambda: mx.set_memory_limit("10MB")):
    try:
        limit()
    except OSError:
        pass
    else:
        raise SystemExit("not refused")
    assert mx.get_memory_limit() == before
assert mx.sum(mx.ones((20_000_000,))).item() == 20_000_000
"""


def test_a_limit_that_cannot_be_set_changes_nothing():
    out = subprocess.run(
        [sys.executable, "-c", UNUSABLE], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PLIMSOLL_SPILL_DIR": "/proc/nowhere"},
    )  # fmt: skip
    assert out.returncode == 0, out.stderr


def test_a_thread_that_ends_inside_a_scope_leaves_it_to_nobody():
    before, seen = mx.get_memory_limit(), []

    def leave_open() -> None:
        mx.memory_limit("50MB").__enter__()

    for f in (leave_open, lambda: seen.append(mx.get_memory_limit())) * 5:
        thread = threading.Thread(target=f)
        thread.start()
        thread.join()
    assert seen == [before] * 5


def test_recording_past_the_limit_says_what_to_do():
    def record() -> None:
        x = mx.ones((2,))
        for _ in range(100_000):
            x = x + 1

    advice = pytest.raises(MemoryError, match=r"of the limit of 3\.00 MB.*call eval more often")
    with mx.memory_limit("3MB"), advice:
        record()


WAIT = """
import signal, threading, time
import plimsoll.core as mx
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
x = mx.random.normal((1500, 1500)) * 0.02
mx.eval(x)
def work():
    y = x
    for _ in range(400):
        y = mx.tanh(y @ x)
    mx.eval(y)
thread = threading.Thread(target=work, daemon=True)
thread.start()
time.sleep(0.3)
threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT)).start()
begin = time.monotonic()
try:
    mx.eval(x + 1)
except KeyboardInterrupt:
    print("interrupted", thread.is_alive(), flush=True)
import os
os._exit(0)
"""


def test_ctrl_c_is_heard_while_another_thread_evaluates():
    out = subprocess.run(
        [sys.executable, "-c", WAIT], capture_output=True, text=True, timeout=300,
        env=dict(os.environ),
    )  # fmt: skip
    assert out.stdout == "interrupted True\n", out.stdout + out.stderr


NO_SPACE = """
import numpy as np
import plimsoll.core as mx
x = mx.random.normal((1_000_000,), key=mx.random.key(1))
mx.eval(x)
def work():
    values = [mx.tanh(x * i) for i in range(1, 13)]
    out = x
    for v in values + values[::-1]:
        out = mx.softmax(out * v)
    return out
want = np.array(work())
with mx.memory_limit("26MB"):
    got = np.array(work())
    assert mx.last_evaluation().recomputed > 0
np.testing.assert_array_equal(got, want)
a = [mx.random.normal((1_000_000,), key=mx.random.key(i)) for i in range(5)]
mx.eval(a)
try:
    with mx.memory_limit("30MB"):
        mx.eval([x + 1 for x in a])
except OSError as e:
    print(e)
"""


def test_plans_that_need_no_spill_space_are_found_where_there_is_little():
    out = subprocess.run(
        [sys.executable, "-c", NO_SPACE], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PLIMSOLL_SPILL_LIMIT": "1MB"},
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert "[eval] expected" in out.stdout
    assert "of spill space under the memory limit of 30.0 MB, got room for 1.00 MB" in out.stdout
