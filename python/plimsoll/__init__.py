"""Plimsoll: arrays with MLX's API, and a memory limit that is kept."""

from importlib import metadata as _metadata

try:
    __version__ = _metadata.version("plimsoll-array")
except _metadata.PackageNotFoundError:  # run from a build folder
    __version__ = "0+build"

__all__ = ["__version__"]
