"""Scopes of the memory limit, and plans that print and draw themselves."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from plimsoll import _core

F = TypeVar("F", bound=Callable[..., Any])


class memory_limit:
    """A memory limit for a block of code or a function.

    Scopes nest; an inner limit cannot pass the outer one.

    Args:
        limit: Bytes, or a text such as "512MiB".
        strict: True refuses evaluations that no plan fits; False runs them at the least that they
            need and warns.

    Example:
        >>> with mx.memory_limit("1GB"):
        ...     mx.eval(mx.ones((1000, 1000)).sum())
    """

    def __init__(self, limit: int | str, *, strict: bool = True) -> None:
        self._limit = _core._parse_bytes(limit)
        self._strict = strict
        self._scopes: list[_core._MemoryLimitScope] = []

    def __enter__(self) -> memory_limit:
        """Sets the limit."""
        self._scopes.append(_core._MemoryLimitScope(self._limit, self._strict))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restores the limit that was in force before."""
        self._scopes.pop().close()

    def __call__(self, fun: F) -> F:
        """A function that runs ``fun`` under the limit."""

        @functools.wraps(fun)
        def limited(*args: Any, **kwargs: Any) -> Any:
            with memory_limit(self._limit, strict=self._strict):
                return fun(*args, **kwargs)

        return limited  # type: ignore[return-value]


class MemoryPlan:
    """What an evaluation would do; nothing is run to make it. It prints as a table.

    Attributes:
        limit: The limit that was planned for. This and all sizes are in bytes.
        peak: Most bytes that would be in use.
        unlimited_peak: The same without a limit.
        floor: The least limit under which a plan exists.
        bytes_loaded: Bytes that would be read back.
        bytes_written: Bytes that would be spilled.
        bytes_recomputed: Bytes that would be computed again.
        seconds: Predicted time.
        unlimited_seconds: Predicted time without a limit.
        peak_operation: The operation that sets the peak.
        stage: fits, reorder, stream, evict, tile or refused.
        actions: The plan's actions, in order.
        refusal: Why no plan fits; empty where one does.
    """

    limit: int
    peak: int
    unlimited_peak: int
    floor: int
    bytes_loaded: int
    bytes_written: int
    bytes_recomputed: int
    seconds: float
    unlimited_seconds: float
    peak_operation: str
    stage: str
    actions: list[_core.PlanAction]
    refusal: str

    def __init__(self, plan: _core._MemoryPlan) -> None:
        self._plan = plan
        for name in self.__annotations__:
            setattr(self, name, getattr(plan, name))

    @property
    def slowdown(self) -> float:
        """Predicted time as a multiple of that without a limit."""
        return self.seconds / self.unlimited_seconds if self.unlimited_seconds else 1.0

    def __repr__(self) -> str:
        """The plan as a table."""
        return self._plan.table()

    def _timeline(self) -> tuple[list[float], list[int]]:
        times, levels = [0.0], [0]
        for action in self.actions:
            times.append(times[-1] + action.seconds)
            levels.append(action.resident)
        return times, levels

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws bytes over predicted time against the limit.

        Args:
            path: The picture to write; its ending says the format.

        Raises:
            ImportError: where Matplotlib is not installed.
        """
        from matplotlib.figure import Figure

        times, levels = self._timeline()
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.add_subplot()
        megabytes = [level / 1e6 for level in levels]
        axes.fill_between(times, megabytes, step="pre", alpha=0.35)
        axes.step(times, megabytes, where="pre", label=f"planned, {self.peak / 1e6:,.1f} MB")
        axes.axhline(self.limit / 1e6, color="C3", label=f"limit, {self.limit / 1e6:,.1f} MB")
        axes.axhline(
            self.floor / 1e6, color="C2", linestyle=":", label=f"floor, {self.floor / 1e6:,.1f} MB"
        )
        top = max(self.peak, self.floor)
        if self.limit > 4 * top:  # a limit far above would squeeze the curve
            axes.set_ylim(0, 1.3 * top / 1e6 or 1)
        axes.set_xlabel("predicted seconds")
        axes.set_ylabel("MB")
        axes.set_title(f"{self.stage}: peak set by {self.peak_operation}")
        axes.legend()
        figure.savefig(path)

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace for Perfetto (ui.perfetto.dev): actions by kind, and bytes in use.

        Args:
            path: The JSON file to write.
        """
        lanes = {"run": 1, "load": 2, "write": 3, "drop": 4, "free": 5}
        events: list[dict[str, object]] = [
            {"ph": "M", "pid": 1, "tid": lane, "name": "thread_name", "args": {"name": kind}}
            for kind, lane in lanes.items()
        ]
        now = 0.0
        for action in self.actions:
            microseconds = action.seconds * 1e6
            events.append(
                {
                    "ph": "X",
                    "pid": 1,
                    "tid": lanes.get(action.kind, 6),
                    "name": action.operation,
                    "cat": action.kind,
                    "ts": now,
                    "dur": microseconds,
                    "args": {"detail": action.detail, "bytes": action.bytes},
                }
            )
            events.append(
                {
                    "ph": "C",
                    "pid": 1,
                    "name": "bytes in use",
                    "ts": now,
                    "args": {"bytes": action.resident},
                }
            )
            now += microseconds
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


def memory_plan(*arrays: Any, limit: int | str | None = None) -> MemoryPlan:
    """Plans the evaluation of arrays without running anything.

    Args:
        arrays: Arrays, or trees of them, that would be evaluated together.
        limit: The limit to plan for. Default: the one in force.

    Returns:
        The plan: its peak, floor, actions and predicted time.

    Example:
        >>> plan = mx.memory_plan(mx.ones((64, 64)) @ mx.ones((64, 64)))
        >>> plan.stage
        'fits'
    """
    return MemoryPlan(_core._memory_plan(*arrays, limit=limit))
