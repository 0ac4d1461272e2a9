"""Damaged files of arrays, many (`tools/fuzz`); a few are in tests/python/test_fuzz.py."""

import tempfile
from pathlib import Path

from fuzz.files import KINDS, SEEDS, check, edited
from hypothesis import given
from hypothesis import strategies as st

edit = st.tuples(st.sampled_from(KINDS), st.floats(0, 1), st.integers(0, 2**32 - 1))


@given(st.sampled_from(SEEDS), st.lists(edit, min_size=1, max_size=6))
def test_damaged_files_are_refused_or_loaded_alike(seed, edits):
    kind, text = seed
    with tempfile.TemporaryDirectory() as folder:
        check(kind, edited(text, edits), Path(folder))
