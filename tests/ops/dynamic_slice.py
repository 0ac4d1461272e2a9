"""Slices whose start is an array."""

from ops.opcase import Distinct, Fixed, OpCase, Uniform, in_family


def row(op, fn, oracle, makers, shapes, label="", **more):
    return OpCase(op, fn, oracle, (*makers, Fixed(Uniform(0, 1), "int32")), (shapes,), label=label,
                  second="linear", **more)  # fmt: skip


def written(a, update, part):
    out = a.copy()
    out[part] = update
    return out


ONE, TWO = (Distinct(),), (Distinct(), Distinct())
ROWS = [
    row("dynamic_slice", lambda m, a, s: m.slice(a, s, (0,), (2, 3)),
        lambda a, s: a[int(s[0]) : int(s[0]) + 2, :3], ONE, ((4, 5), (1,)), grad=(0,)),
    row("dynamic_slice", lambda m, a, s: m.slice(a, s, (-1, 0), (2, 1, 3)),
        lambda a, s: a[int(s[1]) : int(s[1]) + 2, :1, int(s[0]) : int(s[0]) + 3], ONE,
        ((3, 2, 4), (2,)), label="axes", grad=(0,)),
    row("dynamic_slice", lambda m, a, s: m.slice(a, s, (1,), (2, 3)),
        lambda a, s: a[:2, int(s) : int(s) + 3], ONE, ((4, 5), ()), label="scalar", grad=(0,)),
    row("dynamic_slice_update", lambda m, a, u, s: m.slice_update(a, u, s, (0,)),
        lambda a, u, s: written(a, u, (slice(int(s[0]), int(s[0]) + 2), slice(0, 3))), TWO,
        ((4, 3), (2, 3), (1,)), grad=(0, 1)),
    row("dynamic_slice_update", lambda m, a, u, s: m.slice_update(a, u, s, (2, 0)),
        lambda a, u, s: written(a, u, (slice(int(s[1]), int(s[1]) + 2), slice(0, 1),
                                       slice(int(s[0]), int(s[0]) + 3))), TWO,
        ((4, 2, 5), (2, 1, 3), (2,)), label="axes", grad=(0, 1)),
    row("dynamic_slice_update", lambda m, a, u, s: m.slice_update(a, u, s, (1,)),
        lambda a, u, s: written(a, u, (slice(None), slice(int(s), int(s) + 2))), TWO,
        ((3, 4), (2,), ()), label="broadcast", grad=(0, 1)),
]  # fmt: skip

ROWS = in_family("dynamic_slice", ROWS)
