import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest

peer = pytest.importorskip("mlx.core")


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "int64", "bool_", "complex64"])
def test_safetensors_are_read_by_mlx_and_back(tmp_path, name):
    x = mx.arange(6).reshape(2, 3).astype(getattr(mx, name))
    mx.save_safetensors(tmp_path / "a", {"x": x, "y": x.T}, metadata={"k": "v"})
    ours, metadata = mx.load(tmp_path / "a.safetensors", return_metadata=True)
    assert metadata == {"k": "v"}
    assert ours["x"].dtype == x.dtype
    assert ours["y"].tolist() == x.T.tolist()
    if name != "complex64":
        assert peer.load(str(tmp_path / "a.safetensors"))["y"].tolist() == x.T.tolist()


def test_npy_and_npz(tmp_path):
    x = mx.arange(6).reshape(2, 3)
    mx.save(str(tmp_path / "a"), x)
    mx.savez(str(tmp_path / "b.npz"), x, w=x * 2)
    assert mx.load(str(tmp_path / "a.npy")).tolist() == x.tolist()
    assert {k: v.tolist() for k, v in mx.load(tmp_path / "b.npz").items()} == {
        "arr_0": x.tolist(),
        "w": (x * 2).tolist(),
    }
    np.save(tmp_path / "d.npy", np.array([0.1]))
    assert mx.load(tmp_path / "d.npy").dtype == mx.float64


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npy"
    mx.save(path, mx.array([1]))
    with pytest.raises(IndexError):
        mx.save(path, mx.ones((3,))[mx.array([7])])
    assert mx.load(path).tolist() == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


def test_other_formats_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match="expected format"):
        mx.load(tmp_path / "a.txt")


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_weights_go_to_files_and_back(tmp_path, ending):
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    a.save_weights(str(tmp_path / f"w.{ending}"))
    b.load_weights(str(tmp_path / f"w.{ending}"))
    assert a.weight.tolist() == b.weight.tolist()
