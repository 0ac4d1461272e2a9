"""Plimsoll: arrays with MLX's API, and a memory limit that is kept."""

from typing import TYPE_CHECKING

__all__ = ["__version__"]

__version__: str

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        # Asked for by few programs, and looking it up takes longer than the rest of the import.
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import metadata

        try:
            version = metadata.version("plimsoll-array")
        except metadata.PackageNotFoundError:  # run from a build folder
            version = "0+build"
        globals()[name] = version
        return version
