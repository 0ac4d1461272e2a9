import plimsoll.utils as ours
import pytest

theirs = pytest.importorskip("mlx.utils")

TREES = [
    {"a": [1, {"b": 2}], "c": (3, 4)}, [], {}, 3, {"a": []}, {"a": None}, [1, [2, [3]]], {1: 2},
]  # fmt: skip


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_flatten_agrees_with_mlx(tree):
    assert ours.tree_flatten(tree) == theirs.tree_flatten(tree)
    assert ours.tree_flatten(tree, prefix=".x") == theirs.tree_flatten(tree, prefix=".x")
    assert ours.tree_flatten(tree, destination={}) == theirs.tree_flatten(tree, destination={})


@pytest.mark.parametrize(
    "pairs",
    [[("a.0", 1), ("a.1.b", 2)], [], [("", 3)], [("0", 1), ("1", 2)], [("1", 1)], {"a.0": 1}],
    ids=repr,
)
def test_unflatten_agrees_with_mlx(pairs):
    assert ours.tree_unflatten(pairs) == theirs.tree_unflatten(pairs)


def test_maps_keep_the_structure():
    tree = {"a": [1, (2, 3)], "b": {"c": 4}}
    assert ours.tree_map(lambda x, y: x + y, tree, tree) == {"a": [2, (4, 6)], "b": {"c": 8}}
    assert ours.tree_map_with_path(lambda p, x: p, tree) == theirs.tree_map_with_path(
        lambda p, x: p, tree
    )
    with pytest.raises(KeyError):
        ours.tree_map(lambda x, y: x, {"a": 1}, {"b": 1})
    marked = ours.tree_map(len, {"a": [1, 2]}, is_leaf=lambda n: isinstance(n, list))
    assert marked == {"a": 2}


def test_reduce_and_merge():
    assert ours.tree_reduce(lambda a, b: a + b, {"a": [1, 2], "b": 3}, 10) == 16
    assert ours.tree_reduce(lambda a, b: a + b, {"a": [1, 2]}) == 3
    assert ours.tree_merge({"a": {"x": 1}}, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}}
    assert ours.tree_merge({"a": 1}, {"a": 2}, lambda a, b: a + b) == {"a": 3}
    with pytest.raises(ValueError, match="merge_fn"):
        ours.tree_merge({"a": 1}, {"a": 2})
