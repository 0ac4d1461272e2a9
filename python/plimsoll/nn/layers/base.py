"""Module, what layers and models derive from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import plimsoll.core as mx
from plimsoll import _hints
from plimsoll.utils import tree_flatten, tree_unflatten

FilterFn = Callable[["Module", str, Any], bool]


class Module(dict[str, Any]):
    """A container of parameters and of other modules.

    Arrays, lists, dicts, tuples and modules that are set as attributes are its items; arrays whose
    name does not start with an underscore are its parameters. Lists and dicts are looked into for
    parameters and modules, tuples are not.

    Example:
        >>> class Affine(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.scale = mx.ones(3)
        ...
        ...     def __call__(self, x):
        ...         return x * self.scale
        >>> list(Affine().parameters())
        ['scale']
    """

    _no_grad: set[str]
    _training: bool

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "_no_grad", set())
        object.__setattr__(self, "_training", True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; each module says it."""
        name = type(self).__name__
        do = "rename forward to __call__" if hasattr(self, "forward") else "define __call__"
        raise TypeError(f"'{name}' object is not callable; {do}")

    @property
    def training(self) -> bool:
        """Whether the module is in training mode."""
        return self._training

    @property
    def state(self) -> Module:
        """The module as a dict: its arrays, lists, dicts and modules, and what they hold."""
        return self

    def __getattr__(self, key: str) -> Any:
        if key in self:
            return self[key]
        raise _hints.missing(f"'{type(self).__name__}' object", key, _hints.MODULE)

    def __setattr__(self, key: str, val: Any) -> None:
        if isinstance(val, mx.array | dict | list | tuple):
            self.__dict__.pop(key, None)
            self[key] = val
        else:
            super().__setattr__(key, val)
            self.pop(key, None)

    def __delattr__(self, name: str) -> None:
        if name in self:
            del self[name]
        else:
            super().__delattr__(name)

    def _extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        children = tree_flatten(self.children(), is_leaf=Module.is_module)
        text = f"{type(self).__name__}({self._extra_repr()}"
        for path, child in children:
            text += f"\n  ({path}): " + repr(child).replace("\n", "\n  ")
        return text + ("\n)" if children else ")")

    # ---- Loading and saving.

    def load_weights(
        self, file_or_weights: str | list[tuple[str, mx.array]], strict: bool = True
    ) -> Module:
        """Sets parameters from a file or from pairs of name and array.

        Args:
            file_or_weights: A .npz or .safetensors file, or pairs of a dotted name and an array.
            strict: Whether names and shapes must match those of the module exactly.

        Returns:
            The module.

        Raises:
            ValueError: where ``strict`` and a parameter is missing, unknown or of another shape.
        """
        if isinstance(file_or_weights, str):
            loaded = cast("dict[str, mx.array]", mx.load(file_or_weights))
            weights = list(loaded.items())
        else:
            weights = list(file_or_weights)
        if strict:
            self._check_weights(dict(weights))
        if weights:
            self.update(tree_unflatten(weights), strict=False)
        return self

    def _check_weights(self, given: dict[str, mx.array]) -> None:
        own = dict(tree_flatten(self.parameters()))
        if extra := sorted(given.keys() - own.keys()):
            raise ValueError(
                f"Received {len(extra)} parameters not in model: \n" + ",\n".join(extra) + "."
            )
        if missing := sorted(own.keys() - given.keys()):
            raise ValueError(f"Missing {len(missing)} parameters: \n" + ",\n".join(missing) + ".")
        for name, current in own.items():
            new = given[name]
            if not isinstance(new, mx.array):
                raise ValueError(f"Expected mx.array but received {type(new)} for parameter {name}")
            if new.shape != current.shape:
                raise ValueError(
                    f"Expected shape {current.shape} but received shape {new.shape} for parameter "
                    f"{name}"
                )

    def save_weights(self, file: str) -> None:
        """Writes the parameters to a file.

        Args:
            file: A name that ends in .npz or .safetensors.

        Raises:
            ValueError: for another ending.
        """
        weights = dict(tree_flatten(self.parameters()))
        if file.endswith(".npz"):
            mx.savez(file, **weights)
        elif file.endswith(".safetensors"):
            mx.save_safetensors(file, weights)
        else:
            raise ValueError(
                f"Unsupported file extension for {file}. Use '.npz' or '.safetensors'."
            )

    # ---- Walking.

    @staticmethod
    def is_module(value: Any) -> bool:
        """Whether ``value`` is a Module."""
        return isinstance(value, Module)

    @staticmethod
    def valid_child_filter(module: Module, key: str, value: Any) -> bool:
        """Keeps what may hold modules."""
        return isinstance(value, dict | list)

    @staticmethod
    def valid_parameter_filter(module: Module, key: str, value: Any) -> bool:
        """Keeps what may hold parameters."""
        return isinstance(value, dict | list | mx.array) and not key.startswith("_")

    @staticmethod
    def trainable_parameter_filter(module: Module, key: str, value: Any) -> bool:
        """Keeps what may hold parameters that are not frozen."""
        return Module.valid_parameter_filter(module, key, value) and key not in module._no_grad

    def filter_and_map(
        self,
        filter_fn: FilterFn,
        map_fn: Callable[[Any], Any] | None = None,
        is_leaf_fn: FilterFn | None = None,
    ) -> dict[str, Any]:
        """A tree of the values that a filter keeps.

        Args:
            filter_fn: Called with the module, the key and the value; false leaves the value out.
            map_fn: Applied to the leaves. Default: none.
            is_leaf_fn: Says that a value is a leaf. Default: what is no module, dict or list.

        Returns:
            Dicts and lists as the module has them.
        """

        def is_leaf(module: Module, key: str, value: Any) -> bool:
            if is_leaf_fn is not None:
                return is_leaf_fn(module, key, value)
            return not isinstance(value, dict | list)

        def walk(module: Module, key: str, value: Any) -> Any:
            if is_leaf(module, key, value):
                return map_fn(value) if map_fn else value
            if isinstance(value, Module):
                return {k: walk(value, k, v) for k, v in value.items() if filter_fn(value, k, v)}
            if isinstance(value, dict):
                return {
                    k: walk(module, f"{key}.{k}", v) if filter_fn(module, f"{key}.{k}", v) else {}
                    for k, v in value.items()
                }
            if isinstance(value, list):
                return [
                    walk(module, f"{key}.{i}", v) if filter_fn(module, f"{key}.{i}", v) else {}
                    for i, v in enumerate(value)
                ]
            raise RuntimeError(f"[filter_and_map] unexpected leaf of type {type(value).__name__}")

        return {k: walk(self, k, v) for k, v in self.items() if filter_fn(self, k, v)}

    def parameters(self) -> dict[str, Any]:
        """All parameters, as a tree of dicts and lists."""
        return self.filter_and_map(Module.valid_parameter_filter)

    def trainable_parameters(self) -> dict[str, Any]:
        """The parameters that are not frozen, as a tree."""
        return self.filter_and_map(Module.trainable_parameter_filter)

    def children(self) -> dict[str, Any]:
        """The direct submodules, as a tree."""
        return self.filter_and_map(
            Module.valid_child_filter, is_leaf_fn=lambda m, k, v: isinstance(v, Module)
        )

    def leaf_modules(self) -> dict[str, Any]:
        """The submodules that have no submodules, as a tree."""

        def is_leaf(module: Module, key: str, value: Any) -> bool:
            if not isinstance(value, Module):
                return False
            return not tree_flatten(value.children(), is_leaf=Module.is_module)

        return self.filter_and_map(Module.valid_child_filter, is_leaf_fn=is_leaf)

    def _walk(self) -> Iterator[tuple[str, Module]]:
        stack: list[tuple[str, Module]] = [("", self)]
        while stack:
            path, module = stack.pop()
            yield path, module
            prefix = f".{path}" if path else ""
            stack += tree_flatten(module.children(), prefix=prefix, is_leaf=Module.is_module)

    def modules(self) -> list[Module]:
        """The module and everything below it."""
        return [module for _, module in self._walk()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """The module and everything below it, with their dotted names."""
        return list(self._walk())

    # ---- Changing.

    def update(self, parameters: dict[str, Any], strict: bool = True) -> Module:  # type: ignore[override]
        """Replaces parameters.

        Args:
            parameters: A tree as parameters() gives, of all or some of them.
            strict: Whether an unknown name or a value that is no array raises.

        Returns:
            The module.

        Raises:
            ValueError: where ``strict`` and a name is unknown or a value is no array.
        """

        def replace(node: Any, key: Any, new: Any) -> None:
            current = node[key]
            if isinstance(current, mx.array):
                if strict and not isinstance(new, mx.array):
                    raise ValueError(f"Received invalid type: {type(new).__name__}.")
                node[key] = new
            else:
                apply(current, new)

        def apply(node: Any, new: Any) -> None:
            if isinstance(new, dict):
                for key, value in new.items():
                    if key in node:
                        replace(node, key, value)
                    elif strict:
                        raise ValueError(f'Module does not have parameter named "{key}".')
            elif isinstance(new, list | tuple):
                for i, value in enumerate(new):
                    if i < len(node):
                        replace(node, i, value)
                    elif strict:
                        raise ValueError(f"Module does not have parameter {i} in a list.")
            elif strict:
                raise ValueError(f"Received invalid type: {type(new).__name__}.")

        apply(self, parameters)
        return self

    def update_modules(self, modules: dict[str, Any], strict: bool = True) -> Module:
        """Replaces submodules.

        Args:
            modules: A tree as children() gives, of all or some of them.
            strict: Whether an unknown name or a value that is no module raises.

        Returns:
            The module.

        Raises:
            ValueError: where ``strict`` and a name is unknown or a value is no module.
        """

        def replace(node: Any, key: Any, new: Any) -> None:
            if isinstance(node[key], Module) and isinstance(new, Module):
                node[key] = new
            elif isinstance(node[key], dict | list) and isinstance(new, dict | list):
                apply(node[key], new)
            elif strict:
                raise ValueError(f"Received invalid type: {type(new).__name__}.")

        def apply(node: Any, new: Any) -> None:
            pairs = new.items() if isinstance(new, dict) else enumerate(new)
            for key, value in pairs:
                known = key in node if isinstance(node, dict) else key < len(node)
                if known and (value or isinstance(value, Module)):  # an empty module is false
                    replace(node, key, value)
                elif strict and not known:
                    raise ValueError(f'Module does not have sub-module named "{key}".')

        apply(self, modules)
        return self

    def apply(
        self, map_fn: Callable[[mx.array], mx.array], filter_fn: FilterFn | None = None
    ) -> Module:
        """Replaces each parameter by a function of it.

        Args:
            map_fn: The function.
            filter_fn: Says which values are mapped. Default: all parameters.

        Returns:
            The module.
        """
        self.update(self.filter_and_map(filter_fn or Module.valid_parameter_filter, map_fn))
        return self

    def apply_to_modules(self, apply_fn: Callable[[str, Module], Any]) -> Module:
        """Calls a function with the dotted name of each module below, and the module.

        Returns:
            The module.
        """
        for name, module in self.named_modules():
            apply_fn(name, module)
        return self

    def _set_frozen(
        self, frozen: bool, recurse: bool, keys: str | list[str] | None, strict: bool
    ) -> Module:
        names = [keys] if isinstance(keys, str) else keys
        for module in self.modules() if recurse else [self]:
            if strict and names is not None:
                for name in names:
                    if name not in module:
                        raise KeyError(f"Module doesn't contain member {name}.")
            own = names if names is not None else module._parameter_names()
            if frozen:
                module._no_grad.update(own)
            elif names is None:
                module._no_grad.clear()
            else:
                module._no_grad.difference_update(own)
        return self

    def _parameter_names(self) -> list[str]:
        own = self.filter_and_map(
            lambda m, k, v: not isinstance(v, Module) and Module.valid_parameter_filter(m, k, v),
        )
        return [name for name, _ in tree_flatten(own)]

    def freeze(
        self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False
    ) -> Module:
        """Keeps parameters out of trainable_parameters.

        Args:
            recurse: Whether submodules are frozen too.
            keys: Names of parameters. Default: all.
            strict: Whether a module without one of the names raises KeyError.

        Returns:
            The module.
        """
        return self._set_frozen(True, recurse, keys, strict)

    def unfreeze(
        self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False
    ) -> Module:
        """Undoes freeze, with the same arguments.

        Returns:
            The module.
        """
        return self._set_frozen(False, recurse, keys, strict)

    def train(self, mode: bool = True) -> Module:
        """Sets training mode, on which layers such as Dropout depend, here and below.

        Returns:
            The module.
        """
        for module in self.modules():
            module._set_training_mode(mode)
        return self

    def _set_training_mode(self, mode: bool) -> None:
        """What train() calls for each module: for layers that change with the mode."""
        object.__setattr__(self, "_training", mode)

    def eval(self) -> Module:
        """Leaves training mode.

        Returns:
            The module.
        """
        return self.train(False)

    def set_dtype(
        self,
        dtype: mx.Dtype,
        predicate: Callable[[mx.Dtype], bool] | None = lambda x: mx.issubdtype(x, mx.floating),
    ) -> None:
        """Converts parameters.

        Args:
            dtype: The new dtype.
            predicate: Says of a parameter's dtype whether it is converted. Default: floats are.
        """
        keep = predicate or (lambda _: True)
        self.apply(lambda x: x.astype(dtype) if keep(x.dtype) else x)
