"""A value, or what the error says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

REFUSALS = (ValueError, TypeError, IndexError, MemoryError)


def outcome(call: Callable[[], Any]) -> tuple[Any, str]:
    """What was returned and an empty text; or the text of an error that a user may see."""
    try:
        return call(), ""
    except REFUSALS as e:
        text = str(e)
    assert text, "an error without a text"
    assert "internal" not in text, text
    assert len(text) < 1000, text
    return None, text
