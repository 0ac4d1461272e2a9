"""Random subscripts: einsum gives what NumPy gives, or an error says why not."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import plimsoll.core as mx
from fuzz.outcome import outcome

LETTERS = "abcdeXY"
NOISE = [*"aZ.,-> ", "...", "->", "é", "\0", "1", "i" * 70, ",,", "..", "....", ">", "\n", "\\"]
DTYPES = ["int32", "float32", "float32", "float64", "complex64"]


def random_problem(rng: random.Random) -> tuple[str, list[tuple[int, ...]]]:
    """Subscripts and shapes that fit them, but for a few."""
    lengths = {letter: rng.choice([0, 1, 1, 2, 2, 3, 3, 4]) for letter in LETTERS}
    most = rng.choice([1, 2, 2, 3, 3, 4, 5])
    broadcast = [rng.choice([1, 2, 3]) for _ in range(rng.choice([0, 0, 1, 2]))]
    dots = rng.random() < 0.3
    terms, shapes = [], []
    for _ in range(most):
        letters = [rng.choice(LETTERS) for _ in range(rng.choice([0, 1, 2, 2, 2, 3, 3, 4]))]
        if rng.random() < 0.8:
            letters = list(dict.fromkeys(letters))
        shape = [lengths[x] if rng.random() < 0.97 else rng.choice([0, 1, 2, 5]) for x in letters]
        if dots and rng.random() < 0.8:
            at = rng.randint(0, len(letters))
            letters.insert(at, "...")
            shape[at:at] = [rng.choice([d, d, 1]) for d in broadcast[rng.randint(0, 1) :]]
        terms.append("".join(letters))
        shapes.append(tuple(shape))
    text = ",".join(terms)
    if rng.random() < 0.7:
        used = sorted(set(text) - set(".,"))
        out = rng.sample(used, rng.randint(0, min(len(used), 4)))
        if "..." in text and rng.random() < 0.95:
            out.insert(rng.randint(0, len(out)), "...")
        text += "->" + "".join(out)
    if rng.random() < 0.1:
        text = text.replace(",", rng.choice([" , ", ", "])).replace("->", " -> ")
    return text, shapes


def damaged(rng: random.Random, text: str) -> str:
    """The text after an edit or two."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randint(0, len(text))
        if rng.random() < 0.4:
            text = text[:at] + text[at + rng.randint(1, 3) :]
        else:
            text = text[:at] + rng.choice(NOISE) + text[at:]
    return text


def operands(rng: random.Random, shapes: list[tuple[int, ...]], name: str) -> list[np.ndarray]:
    numbers = np.random.default_rng(rng.randrange(2**32))
    return [numbers.integers(-2, 3, shape).astype(getattr(np, name)) for shape in shapes]


def steps_are_right(steps: list[tuple[int, ...]], count: int) -> None:
    """Each takes operands out of the list and puts one at its end; one is left."""
    for step in steps:
        assert len(set(step)) == len(step) <= count, steps
        assert all(0 <= i < count for i in step), steps
        count += 1 - len(step)
    assert count == 1, steps


def refuse_zero_diagonals(term: str, shape: tuple[int, ...]) -> None:
    """NumPy 2.4 takes the diagonal of 0 by n elements for n elements."""
    first, _, last = term.partition("...")
    lengths: dict[str, int] = {}
    pairs = [*zip(first, shape, strict=False), *zip(last[::-1], shape[::-1], strict=False)]
    for letter, n in pairs:
        if lengths.setdefault(letter, n) != n and 0 in (n, lengths[letter]):
            raise ValueError(f"{letter} has two lengths")


def numpy_einsum(text: str, arrays: list[np.ndarray]) -> np.ndarray:
    """As in MLX, broadcast axes may be summed, too, and spaces may be anywhere."""
    text = text.replace(" ", "").replace("\0", "0")  # NumPy stops there
    before, arrow, out = text.partition("->")
    for term, array in zip(before.split(","), arrays, strict=False):
        refuse_zero_diagonals(term, array.shape)
    if not arrow or "..." in out or "..." not in before:
        return np.einsum(text, *arrays)
    value = np.einsum(f"{before}->...{out}", *arrays)
    return value.sum(axis=tuple(range(value.ndim - len(out))), dtype=value.dtype)


def check(text: str, numpys: list[np.ndarray], arrays: list[mx.array]) -> bool:
    """True where it has a value."""
    got, message = outcome(lambda: evaluated(mx.einsum(text, *arrays)))
    path, path_message = outcome(lambda: mx.einsum_path(text, *arrays))
    if not path_message:
        steps_are_right(path[0], len(arrays))
    if "dtypes that promote to a float" in message and arrays[0].dtype == mx.int32:
        assert not path_message, path_message
        return False
    assert bool(message) == bool(path_message), (message, path_message)
    try:
        want, refused = numpy_einsum(text, numpys), ""
    except (ValueError, TypeError) as e:
        want, refused = None, str(e)
    if refused:
        assert message, f"a value where NumPy says: {refused}"
        return False
    assert not message, f"refused, {message}, where NumPy has a value"
    assert got.shape == want.shape, (got.shape, want.shape)
    np.testing.assert_array_equal(np.array(got), want)
    return True


def evaluated(x: mx.array) -> mx.array:
    mx.eval(x)
    return x


def run(rng: random.Random, folder: Path) -> bool:
    """One case; True where a value came of it."""
    del folder
    text, shapes = random_problem(rng)
    if rng.random() < 0.4:
        text = damaged(rng, text)
    if rng.random() < 0.03:
        shapes = rng.choice([shapes[1:], [*shapes, ()], shapes[::-1]])
    name = rng.choice(DTYPES)
    numpys = operands(rng, shapes, name)
    return check(text, numpys, [mx.array(a).astype(getattr(mx, name)) for a in numpys])
