"""What to write instead of names that NumPy or PyTorch have and this package has not.

Each table holds names that somebody new reaches for, and the end of the sentence that the
AttributeError says then. A name that exists has no place here.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NoReturn

_NUMPY = "compute it with NumPy, from np.array(x)"
_SHAPE = (
    "its shape would depend on values: use mx.where(condition, x, y), or NumPy, from np.array(x)"
)
_PLACE = "arrays have no place of their own: leave it out, or choose one with mx.stream(device)"
_GRADIENT = "gradients are values of mx.grad(f)(x), or of nn.value_and_grad(model, f)"
_NO_TAPE = "nothing is recorded outside of mx.grad: leave it out, or use mx.stop_gradient(x)"
_ASSIGN = "write x[...] = value, or x += value"
_DTYPES = {
    "bfloat16": "mx.bfloat16", "bool": "mx.bool_", "double": "mx.float64", "float": "mx.float32",
    "half": "mx.float16", "int": "mx.int32", "long": "mx.int64", "short": "mx.int16",
}  # fmt: skip
# Functions that others have as methods, too.
_FUNCTIONS = (
    "add arccos arcsin arctan argpartition argsort bitwise_and bitwise_or broadcast_to ceil "
    "clip cosh degrees divide equal erf expand_dims expm1 floor floor_divide greater inner "
    "isfinite isinf isnan kron less logaddexp logical_and logical_not logical_or "
    "matmul maximum median minimum multiply nan_to_num negative outer partition pow power "
    "radians remainder repeat roll sigmoid sign sinh softmax sort subtract take "
    "take_along_axis tan tanh tensordot tile topk trace tril triu trunc unflatten where "
)

ARRAY: dict[str, str] = {
    **{name: f"write mx.{name}(x, ...)" for name in _FUNCTIONS.split()},
    **{name: f"write x.astype({dtype})" for name, dtype in _DTYPES.items()},
    **dict.fromkeys(("cpu", "cuda", "device", "is_cuda", "pin_memory"), _PLACE),
    **dict.fromkeys(("add_", "copy_", "div_", "fill", "fill_", "mul_", "sub_", "zero_"), _ASSIGN),
    **dict.fromkeys(("backward", "grad", "grad_fn", "requires_grad", "requires_grad_"), _GRADIENT),
    **dict.fromkeys(("argwhere", "masked_select", "nonzero"), _SHAPE),
    "bmm": "write x @ y",
    "chunk": "write mx.split(x, n, axis)",
    "clamp": "write mx.clip(x, low, high)",
    "clone": "write mx.array(x); assignment never reaches another array",
    "contiguous": "write mx.contiguous(x); few need it",
    "copy": "write mx.array(x); assignment never reaches another array",
    "data": "an array is its own data: write x, or np.array(x)",
    "detach": "write mx.stop_gradient(x)",
    "dim": "write x.ndim",
    "cross": "write mx.linalg.cross(x, y)",
    "dot": "write x @ y",
    "eq": "write x == y",
    "expand": "write mx.broadcast_to(x, shape)",
    "gather": "write mx.take_along_axis(x, indices, axis)",
    "index_select": "write mx.take(x, indices, axis)",
    "masked_fill": "write mx.where(mask, value, x)",
    "mm": "write x @ y",
    "mul": "write x * y",
    "norm": "write mx.linalg.norm(x)",
    "numel": "write x.size",
    "numpy": "write np.array(x)",
    "permute": "write x.transpose(axes)",
    "ravel": "write x.flatten()",
    "relu": "write nn.relu(x)",
    "resize": "write x.reshape(shape), which keeps the size",
    "scatter_": "write mx.put_along_axis(x, indices, values, axis)",
    "scatter_add_": "write x.at[indices].add(values)",
    "strides": "how an array lies in memory is not shown; mx.as_strided makes such views",
    "sub": "write x - y",
    "t": "write x.T",
    "to": "write x.astype(dtype) for another dtype; " + _PLACE,
    "tobytes": "write bytes(x)",
    "type": "write x.astype(dtype), or x.dtype",
    "unbind": "write mx.unstack(x)",
    "unsqueeze": "write mx.expand_dims(x, axis)",
}

CORE: dict[str, str] = {
    **{name: f"write {dtype}" for name, dtype in _DTYPES.items() if name != "bfloat16"},
    **dict.fromkeys(("FloatTensor", "Tensor", "as_tensor", "from_numpy", "tensor"),
                    "write mx.array(x)"),
    **dict.fromkeys(("argwhere", "flatnonzero", "masked_select", "nonzero"), _SHAPE),
    **dict.fromkeys(("corrcoef", "cov", "gradient", "histogram", "interp", "isin", "percentile",
                     "quantile", "trapezoid"), _NUMPY),
    **dict.fromkeys(("enable_grad", "inference_mode", "no_grad"), _NO_TAPE),
    **dict.fromkeys(("bmm", "dot", "mm"), "write a @ b, or mx.matmul(a, b)"),
    **dict.fromkeys(("gelu", "log_softmax", "relu", "silu"), "it is in nn: nn.{name}(x)"),
    **dict.fromkeys(("amax", "amin"), "write mx.max(x, axis) or mx.min(x, axis)"),
    "append": "write mx.concatenate([a, b])",
    "array_split": "write mx.split(x, positions)",
    "bincount": "write mx.zeros(n, mx.int32).at[x].add(1)",
    "cat": "write mx.concatenate(arrays, axis)",
    "chunk": "write mx.split(x, n, axis)",
    "clamp": "write mx.clip(x, low, high)",
    "column_stack": "write mx.concatenate(arrays, axis=1), or mx.stack(arrays, axis=1) for vectors",
    "complex128": "complex64 is the only complex dtype",
    "copy": "write mx.array(x)",
    "cross": "write mx.linalg.cross(a, b)",
    "device": "write mx.cpu, or mx.Device(mx.cpu, 0)",
    "div": "write mx.divide(a, b)",
    "dstack": "write mx.stack(arrays, axis=2), or mx.concatenate(arrays, axis=2) of 3-d arrays",
    "dtype": "write mx.float32, or x.dtype",
    "fliplr": "write mx.flip(x, 1)",
    "flipud": "write mx.flip(x, 0)",
    "fmod": "write mx.remainder(a, b), whose sign is that of b",
    "gather": "write mx.take_along_axis(x, indices, axis)",
    "hstack": "write mx.concatenate(arrays, axis=1), or axis=0 for vectors",
    "is_tensor": "write isinstance(x, mx.array)",
    "logspace": "write 10 ** mx.linspace(start, stop, num)",
    "manual_seed": "write mx.random.seed(n)",
    "masked_fill": "write mx.where(mask, value, x)",
    "mul": "write mx.multiply(a, b)",
    "multinomial": "write mx.random.categorical(mx.log(p))",
    "ndarray": "write mx.array",
    "neg": "write mx.negative(x)",
    "nn": "write import plimsoll.nn as nn",
    "norm": "write mx.linalg.norm(x)",
    "numel": "write x.size",
    "optim": "write import plimsoll.optimizers as optim",
    "permute": "write mx.transpose(x, axes)",
    "rand": "write mx.random.uniform(shape=shape)",
    "randint": "write mx.random.randint(low, high, shape)",
    "randn": "write mx.random.normal(shape)",
    "randperm": "write mx.random.permutation(n)",
    "ravel": "write mx.flatten(x)",
    "rot90": "write mx.flip(mx.swapaxes(x, 0, 1), 0)",
    "scatter": "write mx.put_along_axis(x, indices, values, axis), or x.at[indices].add(values)",
    "select": "write mx.where(condition, x, y), one in another",
    "set_default_dtype": "give dtype where an array is made, or model.set_dtype(dtype)",
    "sub": "write mx.subtract(a, b)",
    "true_divide": "write mx.divide(a, b)",
    "unsqueeze": "write mx.expand_dims(x, axis)",
    "vstack": "write mx.concatenate(arrays), or mx.stack(arrays) for vectors",
}  # fmt: skip

RANDOM: dict[str, str] = {
    "choice": "write x[mx.random.randint(0, len(x), shape)], or mx.random.permutation(x)[:n]",
    "default_rng": "write mx.random.key(seed), and pass it as key",
    "get_state": "write mx.random.state",
    "manual_seed": "write mx.random.seed(n)",
    "multinomial": "write mx.random.categorical(mx.log(p))",
    "rand": "write mx.random.uniform(shape=shape)",
    "randn": "write mx.random.normal(shape)",
    "random": "write mx.random.uniform(shape=shape)",
    "shuffle": "write x = mx.random.permutation(x)",
    "standard_normal": "write mx.random.normal(shape)",
}

NN: dict[str, str] = {
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), "write nn.BatchNorm(channels)"),
    **dict.fromkeys(
        ("DataLoader", "data"), "iterate over batches of NumPy arrays, and mx.array(x)"
    ),
    "AdaptiveAvgPool2d": "write x.mean(axis=(1, 2)) for one output, or nn.AvgPool2d",
    "BCEWithLogitsLoss": "write nn.losses.binary_cross_entropy(logits, targets)",
    "CrossEntropyLoss": "write nn.losses.cross_entropy(logits, targets, reduction='mean')",
    "Flatten": "write x.flatten(1)",
    "L1Loss": "write nn.losses.l1_loss(predictions, targets)",
    "MSELoss": "write nn.losses.mse_loss(predictions, targets)",
    "ModuleDict": "set a dict of modules as an attribute",
    "ModuleList": "set a list of modules as an attribute",
    "MultiheadAttention": "write nn.MultiHeadAttention(dims, num_heads)",
    "NLLLoss": "write nn.losses.nll_loss(inputs, targets)",
    "Parameter": "set an array as an attribute of the module",
    "functional": "the functions are in nn itself, as nn.relu(x), and the losses in nn.losses",
}

MODULE: dict[str, str] = {
    **dict.fromkeys(("cpu", "cuda"), _PLACE),
    **{n: f"write model.set_dtype({_DTYPES[n]})" for n in ("bfloat16", "double", "float", "half")},
    **dict.fromkeys(("register_module", "register_parameter"), "set it as an attribute"),
    "add_module": "set it as an attribute",
    "load_state_dict": "write model.load_weights(file)",
    "named_parameters": "write tree_flatten(model.parameters()), from utils",
    "register_buffer": "set it as an attribute whose name starts with an underscore",
    "requires_grad_": "write model.freeze() or model.unfreeze()",
    "state_dict": "write model.parameters(), or model.save_weights(file)",
    "to": "write model.set_dtype(dtype) for another dtype; " + _PLACE,
    "zero_grad": "nothing adds up: " + _GRADIENT,
}

OPTIMIZERS: dict[str, str] = {
    "NAdam": "write optim.Adam(learning_rate)",
    "StepLR": "write optim.step_decay(init, decay_rate, step_size) as the learning rate",
    "lr_scheduler": "pass a schedule such as optim.cosine_decay(init, steps) as the learning rate",
}

OPTIMIZER: dict[str, str] = {
    "add_param_group": "write optim.MultiOptimizer(optimizers, filters)",
    "load_state_dict": "write optimizer.state = state",
    "lr": "write optimizer.learning_rate",
    "param_groups": "write optimizer.learning_rate, or optim.MultiOptimizer(optimizers, filters)",
    "state_dict": "write optimizer.state",
    "zero_grad": "nothing adds up: loss, grads = nn.value_and_grad(model, f)(x), then "
    "optimizer.update(model, grads)",
}


def missing(owner: str, name: str, table: dict[str, str]) -> AttributeError:
    """The error of a name that `owner` has not."""
    hint = f"; {table[name]}".replace("{name}", name) if name in table else ""
    # With a name but no object, Python adds no guess of its own.
    return AttributeError(f"{owner} has no attribute '{name}'{hint}", name=name)


def guard(module: ModuleType, owner: str, table: dict[str, str]) -> None:
    """Makes a module's missing names say what to write."""
    computed = vars(module).get("__getattr__")

    def fail(name: str) -> Any:
        if computed is None or name in table:
            raise missing(f"module '{owner}'", name, table)
        return computed(name)

    module.__getattr__ = fail  # type: ignore[method-assign]


class _Elsewhere:
    """A name that arrays have not: a hook on failing lookups would slow every method call down."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise missing("'array' object", self._name, ARRAY)

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise missing("'array' object", self._name, ARRAY)


def guard_arrays(array: Any) -> None:
    """Makes names that arrays have not say what to write; dir does not show them."""
    for name in ARRAY:
        if not hasattr(array, name):
            setattr(array, name, _Elsewhere(name))
    array.__dir__ = lambda self: [name for name in object.__dir__(self) if name not in ARRAY]
