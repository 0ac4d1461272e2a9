"""Forked children read what is in memory; anything else says to use spawn."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import plimsoll
import pytest

READS = """
import os, sys
import numpy as np
import plimsoll.core as mx

x = mx.random.normal((300, 300))
small = mx.array([[1, 2], [3, 4]])
lazy = x + 1
turned = x.T
mx.eval(x, small, turned)
want = np.array(x)

def child():
    assert np.array_equal(np.array(x), want)
    assert np.array_equal(np.asarray(x), want)
    assert np.array_equal(np.from_dlpack(x), want)
    assert np.array_equal(np.array(turned), want.T)
    assert small.tolist() == [[1, 2], [3, 4]]
    for call in (lambda: mx.eval(lazy), lambda: x + 1, lambda: mx.array([1, 2, 3]),
                 lambda: x.sum().item(), lambda: mx.random.normal((3,)),
                 lambda: mx.set_memory_limit("1GB")):
        try:
            call()
        except RuntimeError as error:
            assert "spawn" in str(error), error
        else:
            raise AssertionError("was not refused")

pid = os.fork()
if pid == 0:
    code = 1
    try:
        child()
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        EXIT(code)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert np.array_equal(np.array(lazy), want + np.float32(1))
print("fine")
"""

SPILLED = """
import os
import numpy as np
import plimsoll.core as mx

mx.set_memory_limit("80MB")
arrays = [mx.full((1 << 20,), i) * 1.0 for i in range(40)]
for a in arrays:
    mx.eval(a)
assert mx.memory_report().spilled > 0
pid = os.fork()
if pid == 0:
    read = refused = 0
    for i, a in enumerate(arrays):
        try:
            assert np.array(a)[5] == i
            read += 1
        except (RuntimeError, OSError) as error:
            assert "spawn" in str(error), error
            refused += 1
    os._exit(0 if read and refused else 3)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert [float(np.array(a)[5]) for a in arrays] == list(range(40))
print("fine")
"""

UNUSED = """
import os
import numpy as np
import plimsoll.core as mx

pid = os.fork()
if pid == 0:
    ok = float((mx.ones((200, 200)) @ mx.ones((200, 200))).sum()) == 200.0**3
    os._exit(0 if ok else 3)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert mx.ones((3,)).sum().item() == 3
print("fine")
"""

BUSY = """
import os, threading
import numpy as np
import plimsoll.core as mx

x = mx.random.normal((100, 100))
mx.eval(x)
want = np.array(x)
stop = False

def work():
    while not stop:
        mx.eval(mx.softmax(x @ x, axis=-1))

threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads:
    t.start()
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if np.array_equal(np.array(x), want) else 3)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
stop = True
for t in threads:
    t.join()
print("fine")
"""


def run(code):
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(plimsoll.__file__).parents[1])},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout == "fine\n"


@pytest.mark.plenty("a child does not read what is spilled", "tiny-limit")
@pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
def test_a_child_reads_and_is_refused_the_rest(leave):
    run(READS.replace("EXIT", leave))


@pytest.mark.plenty("some arrays must stay in memory")
def test_spilled_arrays_are_refused_in_a_child():
    run(SPILLED)


def test_a_child_of_a_process_that_used_nothing_may_do_anything():
    run(UNUSED)


@pytest.mark.plenty(
    "a child does not read what is spilled", "spill-always", "tiny-limit", "smallest-tiles"
)
def test_forks_wait_for_evaluations_of_other_threads():
    run(BUSY)


def double(n):
    import plimsoll.core as mx

    return (mx.arange(n) * 2).tolist()


def test_spawned_workers_compute():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(double, (3,)) == [0, 2, 4]
