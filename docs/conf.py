"""Sphinx configuration; `make docs` builds it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_version = re.search(r"project\(plimsoll VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
assert _version

project = "Plimsoll"
author = "The Plimsoll authors"
copyright = "2026, " + author
version = release = _version[1]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "deflist"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Plimsoll {version}"
