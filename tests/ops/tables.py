"""All tables, family by family."""

import importlib
from pathlib import Path

from ops.opcase import OpCase

OTHERS = {"__init__", "opcase", "tables", "conftest", "under_limit"}
FAMILIES = sorted(
    p.stem
    for p in Path(__file__).parent.glob("*.py")
    if p.stem not in OTHERS and not p.stem.startswith("test_")
)
CASES: list[OpCase] = [
    row for family in FAMILIES for row in importlib.import_module(f"ops.{family}").ROWS
]
