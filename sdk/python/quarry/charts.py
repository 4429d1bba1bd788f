"""Curves drawn with characters, for terminals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a Braille cell, by column, from the top


def line_chart(values: Sequence[float] | np.ndarray, label: str = "", columns: int = 60, rows: int = 8) -> str:
    """The values, oldest first, as a curve of rows lines of text; label stands below it. "" for fewer than two finite
    values."""
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if len(finite) < 2:
        return ""
    low, high = finite.min(), finite.max()
    dots_x, dots_y = columns * 2, rows * 4
    at = np.interp(np.linspace(0, len(finite) - 1, dots_x), np.arange(len(finite)), finite)
    levels = np.rint((at - low) / max(high - low, 1e-12) * (dots_y - 1)).astype(int)
    cells = np.zeros((rows, columns), dtype=int)
    for x, (before, level) in enumerate(zip([levels[0], *levels], levels)):
        for dot in range(min(before, level), max(before, level) + 1):
            from_top = dots_y - 1 - dot
            cells[from_top // 4, x // 2] |= _DOTS[x % 2][from_top % 4]
    axis = [f"{high:8.4f} ┤", *["         ┤"] * (rows - 2), f"{low:8.4f} ┤"] if rows > 1 else [f"{high:8.4f} ┤"]
    lines = [left + "".join(chr(0x2800 + cell) for cell in row) for left, row in zip(axis, cells)]
    return "\n".join([*lines, f"         └{label}"])
