"""Groups of processes. This build has no communication backend: a group is one process.

Example:
    >>> from plimsoll.core import distributed
    >>> distributed.init().size()
    1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plimsoll import _core

__all__ = [
    "Group",
    "all_gather",
    "all_max",
    "all_min",
    "all_sum",
    "init",
    "is_available",
    "recv",
    "recv_like",
    "send",
    "sum_scatter",
]

_BACKENDS = ("any", "mpi", "nccl", "jaccl", "ring")


class Group:
    """Processes that can communicate: this one alone."""

    def rank(self) -> int:
        """The number of this process in the group: 0."""
        return 0

    def size(self) -> int:
        """How many processes there are: 1."""
        return 1

    def split(self, color: int, key: int = -1) -> Group:
        """Raises RuntimeError: a group of one process has no parts."""
        raise RuntimeError("[distributed] a group of one process cannot be split")


_world = Group()


def is_available(backend: str = "any") -> bool:
    """Whether this build has a communication backend. It has none."""
    return False


def init(
    strict: bool = False,
    backend: str = "any",
    *,
    all_gather_factory: Callable[[int, int], Callable[[bytes, int], bytes]] | None = None,
) -> Group:
    """The group of all processes.

    Args:
        strict: Raise where there is no backend.
        backend: "any", "mpi", "nccl", "jaccl" or "ring".
        all_gather_factory: Accepted and not used.

    Raises:
        RuntimeError: where ``strict``.
        ValueError: for another backend.
    """
    if backend not in _BACKENDS:
        raise ValueError(f"[distributed] expected a backend of {_BACKENDS}, got '{backend}'")
    if strict:
        raise RuntimeError("[distributed] this build has no communication backend")
    return _world


def _as_array(x: _core.array | float) -> _core.array:
    return x if isinstance(x, _core.array) else _core.array(x)


def all_sum(x: _core.array, *, group: Group | None = None, stream: object = None) -> _core.array:
    """The sum of ``x`` over the processes: ``x``."""
    return _as_array(x)


def all_max(x: _core.array, *, group: Group | None = None, stream: object = None) -> _core.array:
    """The maximum of ``x`` over the processes: ``x``."""
    return _as_array(x)


def all_min(x: _core.array, *, group: Group | None = None, stream: object = None) -> _core.array:
    """The minimum of ``x`` over the processes: ``x``."""
    return _as_array(x)


def all_gather(x: _core.array, *, group: Group | None = None, stream: object = None) -> _core.array:
    """``x`` of all processes along the first axis: ``x``."""
    return _as_array(x)


def sum_scatter(
    x: _core.array, *, group: Group | None = None, stream: object = None
) -> _core.array:
    """This process's share of the sum of ``x`` over the processes: ``x``."""
    return _as_array(x)


def send(
    x: _core.array, dst: int, *, group: Group | None = None, stream: object = None
) -> _core.array:
    """Raises ValueError: there is no other process."""
    raise ValueError("[send] expected another process, got a group of one")


def recv(
    shape: Sequence[int],
    dtype: _core.Dtype,
    src: int,
    *,
    group: Group | None = None,
    stream: object = None,
) -> _core.array:
    """Raises ValueError: there is no other process."""
    raise ValueError("[recv] expected another process, got a group of one")


def recv_like(
    x: _core.array, src: int, *, group: Group | None = None, stream: object = None
) -> _core.array:
    """Raises ValueError: there is no other process."""
    raise ValueError("[recv] expected another process, got a group of one")
