"""Trees: nested dicts, lists and tuples whose leaves are mostly arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = [
    "tree_flatten",
    "tree_map",
    "tree_map_with_path",
    "tree_merge",
    "tree_reduce",
    "tree_unflatten",
]

IsLeaf = Callable[[Any], bool]


def _is_leaf(value: Any, is_leaf: IsLeaf | None) -> bool:
    if is_leaf is not None and is_leaf(value):
        return True
    return not isinstance(value, dict | list | tuple)


def _sequence_like(template: list[Any] | tuple[Any, ...], items: Iterable[Any]) -> Any:
    if isinstance(template, tuple) and hasattr(template, "_make"):
        return template._make(items)
    return type(template)(items)


def tree_map(fn: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Applies ``fn`` to the leaves and returns a tree of the results.

    Args:
        fn: Called with a leaf of ``tree`` and the values in the same place of each of ``rest``.
        tree: The tree that is walked.
        rest: Trees that have at least the nodes of ``tree``.
        is_leaf: Says of a node that it is a leaf although it is a dict, list or tuple.

    Returns:
        A tree of the same structure.

    Example:
        >>> tree_map(lambda x: x + 1, {"a": [1, (2, 3)]})
        {'a': [2, (3, 4)]}
    """
    if _is_leaf(tree, is_leaf):
        return fn(tree, *rest)
    if isinstance(tree, dict):
        return {
            key: tree_map(fn, child, *(r[key] for r in rest), is_leaf=is_leaf)
            for key, child in tree.items()
        }
    return _sequence_like(
        tree,
        (
            tree_map(fn, child, *(r[i] for r in rest), is_leaf=is_leaf)
            for i, child in enumerate(tree)
        ),
    )


def tree_map_with_path(
    fn: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: IsLeaf | None = None,
    path: str | None = None,
) -> Any:
    """As tree_map, with the leaf's path ("a.0.weight") as the first argument of ``fn``.

    Args:
        fn: Called with the path, the leaf and the values in the same place of each of ``rest``.
        tree: The tree that is walked.
        rest: Trees that have at least the nodes of ``tree``.
        is_leaf: Says of a node that it is a leaf.
        path: What the paths start with.

    Returns:
        A tree of the same structure.

    Example:
        >>> tree_map_with_path(lambda path, x: f"{path}={x}", {"a": [1, 2]})
        {'a': ['a.0=1', 'a.1=2']}
    """

    def inside(key: object) -> str:
        return f"{path}.{key}" if path else str(key)

    if _is_leaf(tree, is_leaf):
        return fn(path, tree, *rest)
    if isinstance(tree, dict):
        return {
            key: tree_map_with_path(
                fn, child, *(r[key] for r in rest), is_leaf=is_leaf, path=inside(key)
            )
            for key, child in tree.items()
        }
    return _sequence_like(
        tree,
        (
            tree_map_with_path(fn, child, *(r[i] for r in rest), is_leaf=is_leaf, path=inside(i))
            for i, child in enumerate(tree)
        ),
    )


def tree_flatten(
    tree: Any,
    prefix: str = "",
    is_leaf: IsLeaf | None = None,
    destination: list[tuple[str, Any]] | dict[str, Any] | None = None,
) -> Any:
    """The leaves with their paths.

    Args:
        tree: Any tree.
        prefix: What the paths start with; its first character is dropped.
        is_leaf: Says of a node that it is a leaf.
        destination: A list or dict that takes the leaves. Default: a new list.

    Returns:
        ``destination``: pairs of path and leaf, or a dict of them.

    Example:
        >>> tree_flatten({"a": [1, {"b": 2}]})
        [('a.0', 1), ('a.1.b', 2)]
    """
    out: list[tuple[str, Any]] | dict[str, Any] = [] if destination is None else destination
    if _is_leaf(tree, is_leaf):
        if isinstance(out, dict):
            out[prefix[1:]] = tree
        else:
            out.append((prefix[1:], tree))
        return out
    children = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, child in children:
        tree_flatten(child, f"{prefix}.{key}", is_leaf, out)
    return out


def tree_unflatten(tree: list[tuple[str, Any]] | dict[str, Any]) -> Any:
    """The tree whose leaves and paths are given; the inverse of tree_flatten.

    Args:
        tree: Pairs of path and leaf, or a dict of them. Children whose keys are all numbers make
            a list, in which a missing number is an empty dict.

    Returns:
        The tree of dicts and lists.

    Example:
        >>> tree_unflatten([("a.0", 1), ("a.1.b", 2)])
        {'a': [1, {'b': 2}]}
    """
    pairs = list(tree.items()) if isinstance(tree, dict) else list(tree)
    if not pairs:
        return []
    if len(pairs) == 1 and pairs[0][0] == "":
        return pairs[0][1]
    children: dict[str, list[tuple[str, Any]]] = {}
    for path, leaf in pairs:
        head, _, tail = path.partition(".")
        children.setdefault(head, []).append((tail, leaf))
    if all(key.isdecimal() for key in children):
        length = 1 + max(int(key) for key in children)
        return [
            tree_unflatten(children[str(i)]) if str(i) in children else {} for i in range(length)
        ]
    return {key: tree_unflatten(below) for key, below in children.items()}


def tree_reduce(
    fn: Callable[[Any, Any], Any],
    tree: Any,
    initializer: Any = None,
    is_leaf: IsLeaf | None = None,
) -> Any:
    """Combines all leaves, from the first to the last.

    Args:
        fn: Called with what was combined so far and the next leaf.
        tree: Any tree.
        initializer: What to start from. Default: the first leaf.
        is_leaf: Says of a node that it is a leaf.

    Returns:
        The last result; ``initializer`` for a tree without leaves.

    Example:
        >>> tree_reduce(lambda total, x: total + x, {"a": [1, 2], "b": 3}, 0)
        6
    """
    total = initializer
    for _, leaf in tree_flatten(tree, is_leaf=is_leaf):
        total = leaf if total is None else fn(total, leaf)
    return total


def tree_merge(tree_a: Any, tree_b: Any, merge_fn: Callable[[Any, Any], Any] | None = None) -> Any:
    """One tree of the leaves of two.

    Args:
        tree_a: A tree; an empty dict, list or None gives way to the other.
        tree_b: A tree of the same kind of nodes.
        merge_fn: Makes one leaf where both trees have one.

    Returns:
        The merged tree.

    Raises:
        ValueError: where both have a leaf and there is no ``merge_fn``, or where kinds differ.

    Example:
        >>> tree_merge({"a": {"x": 1}}, {"a": {"y": 2}})
        {'a': {'x': 1, 'y': 2}}
    """
    if tree_a is None or (isinstance(tree_a, dict | list | tuple) and not tree_a):
        return tree_b
    if tree_b is None or (isinstance(tree_b, dict | list | tuple) and not tree_b):
        return tree_a
    if isinstance(tree_a, dict) and isinstance(tree_b, dict):
        merged = dict(tree_a)
        for key, child in tree_b.items():
            merged[key] = tree_merge(merged[key], child, merge_fn) if key in merged else child
        return merged
    if isinstance(tree_a, list | tuple) and isinstance(tree_b, list | tuple):
        longest = max(len(tree_a), len(tree_b))
        items = (
            tree_merge(
                tree_a[i] if i < len(tree_a) else None,
                tree_b[i] if i < len(tree_b) else None,
                merge_fn,
            )
            for i in range(longest)
        )
        return _sequence_like(tree_a, items)
    if merge_fn is None:
        raise ValueError(
            "[tree_merge] expected trees whose leaves are in different places, got two leaves in "
            "one; pass merge_fn"
        )
    return merge_fn(tree_a, tree_b)
