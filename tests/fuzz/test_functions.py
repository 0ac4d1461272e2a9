"""Damaged files of functions, many (`tools/fuzz`); a few are in tests/python/test_fuzz.py."""

import tempfile
from pathlib import Path

from fuzz.files import KINDS
from fuzz.functions import SEEDS, changed, check
from hypothesis import given
from hypothesis import strategies as st

edit = st.tuples(st.sampled_from(KINDS), st.floats(0, 1), st.integers(0, 2**32 - 1))


@given(st.sampled_from(SEEDS), st.lists(edit, min_size=1, max_size=4))
def test_damaged_functions_are_refused_or_called(seed, edits):
    with tempfile.TemporaryDirectory() as folder:
        check(changed(seed, edits), Path(folder))
