"""Values leave for Python and NumPy without passing the limit."""

import os
import subprocess
import sys

import numpy as np
import plimsoll.core as mx
import pytest

VIEWS = [
    lambda a: a[:, 5],
    lambda a: a[::-1, 3:700:7],
    lambda a: a.T,
    lambda a: a.T[100:200, ::50],
    lambda a: a.reshape(40, 25, 500, 2)[:, ::-2, 3::5].transpose(2, 0, 3, 1),
]


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float32, np.complex64])
@pytest.mark.parametrize("view", range(len(VIEWS)))
def test_strided_views_are_read_in_pieces(view, dtype):
    a = (np.arange(1_000_000).reshape(1000, 1000) % 251).astype(dtype)
    x = mx.array(a)
    want = VIEWS[view](a)
    np.testing.assert_array_equal(np.array(VIEWS[view](x)), want)
    with mx.memory_limit("9MB"):  # the array, then what it is read through
        got = np.array(VIEWS[view](x))
    np.testing.assert_array_equal(got, want)


READ = """
import plimsoll.core as mx, resource
x = mx.load({path!r})
column = x[:, 5].tolist()
assert column == [5.0] * x.shape[0]
assert x.T[7].tolist() == [7.0] * x.shape[0]
print(int(next(l for l in open("/proc/self/status") if "VmHWM" in l).split()[1]) * 1024)
"""


def test_a_column_of_a_large_file_is_read_inside_the_process_limit(tmp_path):
    path = str(tmp_path / "x.npy")
    whole = np.lib.format.open_memmap(path, "w+", np.float32, (25_000, 2_000))  # 200 MB
    whole[:] = np.arange(2_000)
    del whole
    script = tmp_path / "read.py"
    script.write_text(READ.format(path=path))
    out = subprocess.run(
        [sys.executable, "-m", "plimsoll", "run", "--memory-limit", "150MB", str(script)],
        capture_output=True, text=True, env=dict(os.environ), timeout=300,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert int(out.stdout) <= 150_000_000


def test_a_refusal_under_a_process_limit_names_one_that_works(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import plimsoll.core as mx\n"
        "a = mx.random.normal((1500, 1500))\n"
        "try:\n    mx.eval(mx.linalg.eigvalsh(a, stream=mx.cpu))\n"
        "except mx.MemoryLimitError as e:\n    print(e.required, e.limit)\n    print(e)\n"
    )

    def run(limit: int) -> str:
        command = [sys.executable, "-m", "plimsoll", "run", "--memory-limit", str(limit)]
        out = subprocess.run(
            [*command, str(script)], capture_output=True, text=True, env=dict(os.environ),
            timeout=300,
        )  # fmt: skip
        assert out.returncode == 0, out.stderr
        return out.stdout

    text = run(70_000_000)
    required, limit = map(int, text.splitlines()[0].split())
    assert limit == 70_000_000 < required
    assert "the process limit of" in text
    assert f"({required:,} bytes)" in text
    assert run(required + 2_000_000) == ""  # the interpreter's own size varies


def test_a_process_that_outgrew_its_limit_is_told_so(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import plimsoll.core as mx\n"
        "a = mx.array([1.0])\n"
        "ballast = b'x' * 200_000_000\n"
        "try:\n    mx.array([1.0] * 100_000)\n"
        "except MemoryError as e:\n    print(e)\n"
        "print(a)\n"
    )
    command = [sys.executable, "-m", "plimsoll", "run", "--memory-limit", "120MB", str(script)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    assert "the limit of the process is 120 MB; raise it" in out.stdout
    assert out.stdout.endswith("array([1], dtype=float32)\n")


def test_a_large_file_prints_under_a_small_limit(tmp_path):
    path = str(tmp_path / "x.npy")
    np.lib.format.open_memmap(path, "w+", np.float32, (25_000, 2_000))[:] = np.arange(2_000)
    with mx.memory_limit("20MB"):
        x = mx.load(path)
        assert repr(x) == repr(np_like(np.load(path, mmap_mode="r")))
        assert repr(x[:, 5]) == "array([5, 5, 5, ..., 5, 5, 5], dtype=float32)"
        assert repr(x[3]) == "array([0, 1, 2, ..., 1997, 1998, 1999], dtype=float32)"


def np_like(a):
    """A small array with the edges of a large one, printed as one whose middle is left out."""
    rows = np.r_[0:4, -3:0]
    return mx.array(np.ascontiguousarray(a[rows][:, rows]))


@pytest.mark.parametrize("shape", [(), (6,), (7,), (3, 7), (8, 2, 9), (0, 9), (9, 0), (7, 1, 8, 3)])
def test_repr_shows_the_edges_of_long_axes(shape):
    a = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    mlx = pytest.importorskip("mlx.core")
    assert repr(mx.array(a)) == repr(mlx.array(a))
    assert repr(mx.array(a).T) == repr(mlx.array(a).T)
