"""Names that NumPy and PyTorch have and Plimsoll has not say what to write."""

import re
import subprocess
import sys

import plimsoll.core as mx
import plimsoll.nn as nn
import plimsoll.optimizers as optim
import pytest
from plimsoll import _hints

OWNERS = [
    (mx, _hints.CORE), (mx.random, _hints.RANDOM), (nn, _hints.NN), (optim, _hints.OPTIMIZERS),
    (mx.ones(2), _hints.ARRAY), (nn.Linear(2, 2), _hints.MODULE),
    (optim.Adam(0.1), _hints.OPTIMIZER),
]  # fmt: skip
MENTIONED = re.compile(r"\b(mx|nn|optim|x|model|optimizer)\.([a-zA-Z_][\w.]*)")
SCOPE = {
    "mx": mx, "nn": nn, "optim": optim, "x": mx.ones(2), "model": nn.Linear(2, 2),
    "optimizer": optim.Adam(0.1),
}  # fmt: skip


@pytest.mark.parametrize(("owner", "table"), OWNERS)
def test_missing_names_say_what_to_write(owner, table):
    for name, hint in table.items():
        assert not hasattr(owner, name)
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'; ") as caught:
            getattr(owner, name)
        assert hint.replace("{name}", name) in str(caught.value)
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'$"):
        _ = owner.nothing


@pytest.mark.parametrize(("owner", "table"), OWNERS)
def test_hints_name_what_exists(owner, table):
    for name, hint in table.items():
        for root, path in MENTIONED.findall(hint.replace("{name}", name)):
            value = SCOPE[root]
            for part in path.split("."):
                value = getattr(value, part)


@pytest.mark.parametrize(("owner", "table"), OWNERS)
def test_no_hint_hides_a_name_of_mlx(owner, table):
    core = pytest.importorskip("mlx.core")
    import mlx.nn
    import mlx.optimizers

    theirs = {
        id(mx): core, id(mx.random): core.random, id(nn): mlx.nn, id(optim): mlx.optimizers
    }  # fmt: skip
    other = theirs.get(id(owner))
    if other is None:
        other = {mx.array: core.array, nn.Linear: mlx.nn.Linear}.get(
            type(owner), mlx.optimizers.Adam
        )
    assert [name for name in table if name in dir(other)] == []


def test_hints_do_not_show_among_the_names_of_arrays():
    assert not set(_hints.ARRAY) & set(dir(mx.ones(2)))
    assert {"sum", "shape", "__add__"} <= set(dir(mx.ones(2)))


def test_arrays_refuse_foreign_attributes():
    x = mx.ones(2)
    with pytest.raises(AttributeError, match="gradients are values"):
        x.requires_grad = True


def test_python_adds_no_guess_of_its_own():
    code = "import plimsoll.core as mx; mx.ones(2).numpy()"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
    )  # fmt: skip
    assert result.stderr.rstrip().endswith("has no attribute 'numpy'; write np.array(x)")


class Torch(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Torch()(1), TypeError, "rename forward to __call__"),
        (lambda: nn.Module()(1), TypeError, "define __call__"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, r"nn.Sequential\(\*layers\)"),
        (lambda: nn.Conv2d(3, 8, 3, padding="same"), TypeError, "padding=kernel_size // 2"),
        (lambda: nn.value_and_grad(len, nn.ReLU()), TypeError, "a Module and a function"),
        (lambda: mx.value_and_grad(nn.ReLU(), len), TypeError, "write nn.value_and_grad"),
        (lambda: optim.Adam(nn.Linear(2, 2).parameters()), ValueError, "got a dict; the model"),
        (lambda: mx.save("x", nn.ReLU()), TypeError, "save_weights"),
        (lambda: mx.savez("x", layers=[]), TypeError, "flatten a tree"),
        (lambda: mx.grad(lambda x: x.sum())(2.0), ValueError, r"mx.array\(2.0\)"),
        (lambda: mx.grad(lambda x: x)(mx.ones(2)), ValueError, "its sum or mean"),
        (lambda: mx.grad(lambda x: x.item())(mx.ones(1)), ValueError, "Return the array itself"),
    ],
)
def test_habits_of_pytorch_say_what_to_write(call, error, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=text):
        call()


def test_linear_layers_take_numpys_arrays_and_keep_the_graph():
    import numpy as np

    layer = nn.Linear(3, 1)
    loss, grads = nn.value_and_grad(layer, lambda x: layer(x).sum())(np.ones((2, 3)))
    assert isinstance(loss, mx.array)
    assert grads["weight"].tolist() == [[2, 2, 2]]


def test_the_version_is_told():
    import plimsoll

    assert mx.__version__ == plimsoll.__version__
