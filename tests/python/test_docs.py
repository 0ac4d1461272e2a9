"""The examples of README.md and docs/ that stand on their own run as they are written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def examples():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for i, code in enumerate(FENCE.findall(path.read_text(encoding="utf-8"))):
            if code.startswith("import "):
                yield pytest.param(code, id=f"{path.relative_to(ROOT)}-{i}")


@pytest.mark.parametrize("code", list(examples()))
def test_examples_in_pages_run(code, tmp_path):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
        env={"PYTHONPATH": ":".join(str(Path(p).resolve()) for p in sys.path if p)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_pages_have_examples():
    assert len(list(examples())) >= 5
