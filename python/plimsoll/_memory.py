"""Scopes of the memory limit, and plans that print and draw themselves."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from plimsoll import _core

F = TypeVar("F", bound=Callable[..., Any])

# Kinds of actions that take time: name and colour in pictures.
_LANES = (
    ("run", "compute", "C0"),
    ("again", "recompute", "C1"),
    ("load", "read", "C4"),
    ("write", "write", "C5"),
)


def _scale(seconds: float) -> tuple[float, str]:
    """What to multiply seconds by, and the unit that they are then in."""
    if seconds >= 1:
        return 1.0, "seconds"
    return (1e3, "milliseconds") if seconds >= 1e-3 else (1e6, "microseconds")


class memory_limit:
    """A memory limit for a block of code or a function.

    It holds for what this thread records and evaluates. Scopes nest; an inner limit cannot pass
    an outer one, and a guideline inside a strict scope is refused where it would.

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
        """Ends the scope; what set_memory_limit set meanwhile holds from then on."""
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
        times, levels = [0.0], [self.actions[0].resident if self.actions else 0]
        for action in self.actions:
            times.append(times[-1] + action.seconds)
            levels.append(action.resident)
        return times, levels

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws bytes over predicted time against the limit, and below what is done meanwhile.

        Args:
            path: The picture to write; its ending says the format.

        Raises:
            ImportError: where Matplotlib is not installed.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 5), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        times, levels = self._timeline()
        scale, unit = _scale(times[-1])
        self._draw_levels(above, [t * scale for t in times], levels)
        self._draw_lanes(below, scale)
        below.set_xlabel(f"predicted {unit}, one action after the other")
        figure.savefig(path)

    def _draw_levels(self, axes: Any, times: list[float], levels: list[int]) -> None:
        megabytes = [level / 1e6 for level in levels]
        axes.fill_between(times, megabytes, step="pre", alpha=0.3, linewidth=0, color="C0")
        axes.step(times, megabytes, where="pre", linewidth=1, color="C0", label="in use")
        top = max(self.peak, self.floor)
        lines = [("limit", self.limit, "C3", "-"), ("floor", self.floor, "C2", ":")]
        if self.unlimited_peak > self.peak:
            lines.append(("peak without a limit", self.unlimited_peak, "C7", "--"))
        for name, size, color, style in lines:
            label = f"{name} {size / 1e6:,.1f} MB"
            if size > 4 * top:  # it would squeeze the curve
                axes.plot([], [], color=color, linestyle=style, label=f"{label} (far above)")
            else:
                axes.axhline(size / 1e6, color=color, linestyle=style, linewidth=1.2, label=label)
        within = [top, *(size for _, size, _, _ in lines if size <= 4 * top)]
        axes.set_ylim(0, 1.08 * max(within) / 1e6 or 1)
        axes.set_ylabel("MB")
        axes.set_title(self._caption(), fontsize=10)
        axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)

    def _draw_lanes(self, axes: Any, scale: float) -> None:
        """When the processor and the disk are at work."""
        for lane, (kind, _, color) in enumerate(_LANES):
            spans = []
            now = 0.0
            for action in self.actions:
                if action.kind == kind:
                    spans.append((now * scale, action.seconds * scale))
                now += action.seconds
            axes.broken_barh(spans, (lane - 0.4, 0.8), color=color, linewidth=0)
        axes.set_yticks(range(len(_LANES)), [name for _, name, _ in _LANES])
        axes.invert_yaxis()

    def _caption(self) -> str:
        if self.stage == "refused":
            return f"refused: the smallest limit that works is {self.floor:,} bytes"
        text = f"{self.stage}: peak {self.peak / 1e6:,.1f} MB, set by {self.peak_operation}"
        if self.stage != "fits":
            text += f"; predicted to take {self.slowdown:.2f} times as long"
        return text

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace for Perfetto (ui.perfetto.dev): actions by kind, and bytes in use.

        Args:
            path: The JSON file to write.
        """
        names = [name for _, name, _ in _LANES] + ["free"]
        lanes = {kind: lane for lane, (kind, _, _) in enumerate(_LANES, start=1)}
        events: list[dict[str, object]] = [
            {"ph": "M", "pid": 1, "tid": lane, "name": "thread_name", "args": {"name": name}}
            for lane, name in enumerate(names, start=1)
        ]
        now = 0.0
        for action in self.actions:
            microseconds = action.seconds * 1e6
            events.append(
                {
                    "ph": "X",
                    "pid": 1,
                    "tid": lanes.get(action.kind, len(names)),  # drop, forget and free: no time
                    "name": action.operation,
                    "cat": action.kind,
                    "ts": now,
                    "dur": microseconds,
                    "args": {"kind": action.kind, "detail": action.detail, "bytes": action.bytes},
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
        import json

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
