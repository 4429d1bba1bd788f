"""A progress bar on stderr, and numbers as people read them. Nothing is shown where stderr is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal

Progress = Callable[[int, int], None] | bool | None  # of a job: called with steps done and steps, or see ProgressBar

BAR_CELLS = 28
QUIET_SECONDS = 0.3  # what takes less shows nothing
REDRAW_SECONDS = 0.1


def with_prefix(value: float, base: int, units: tuple[str, ...]) -> str:
    unit = 0
    while value >= base and unit + 1 < len(units):
        value /= base
        unit += 1
    return f"{value:.{0 if unit == 0 else 2 if value < 10 else 1}f} {units[unit]}"


def human_flops(count: float) -> str:
    return with_prefix(count, 1000, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP"))


def human_bytes(count: float) -> str:
    return with_prefix(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def human_seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes} min {int(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def human_money(amount: Decimal) -> str:
    """Dollars for people: cents from a dollar on, three digits below it, and a power of ten where zeros would have to be
    counted. The Decimal itself has every digit."""
    sign, amount = "-" if amount < 0 else "", abs(amount)
    if amount == 0:
        return "$0.00"
    if amount >= 1:
        return f"{sign}${amount.quantize(Decimal('0.01'), ROUND_HALF_UP, Context(prec=64)):f}"
    if amount < Decimal("0.0001"):
        digits, _, exponent = f"{amount:.1e}".partition("e")
        return f"{sign}${digits}e{int(exponent)}"
    places = max(2, 2 - amount.adjusted())
    whole, _, fraction = f"{amount:.{places}f}".partition(".")
    return f"{sign}${whole}.{fraction.rstrip('0'):0<2}"


def is_watched(progress: Progress) -> bool:
    """Whether somebody sees how far a job is: then its events are worth a connection."""
    return callable(progress) or ProgressBar("", progress).shown


class ProgressBar:
    """One line that is drawn anew. `progress`: True shows it anywhere, False nowhere, None where stderr is a terminal;
    a callable takes its place."""

    def __init__(self, label: str, progress: Progress = None, stream=None):
        self.label, self.stream = label, stream or sys.stderr
        terminal = self.stream is not None and self.stream.isatty()
        self.shown = False if callable(progress) else terminal if progress is None else bool(progress)
        self.started, self.drawn_at, self.first_done = time.monotonic(), 0.0, None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_) -> None:
        if self.drawn_at:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def show(self, done: int, total: int, unit: Callable[[float], str], extra: str = "") -> None:
        """`unit` writes a count with its unit; the rate is that of what was done since the first call."""
        now = time.monotonic()
        if not self.shown or total <= 0 or now - self.started < QUIET_SECONDS or now - self.drawn_at < REDRAW_SECONDS:
            return
        if self.first_done is None:
            self.first_done = (now, done)
        since, before = self.first_done
        rate = (done - before) / (now - since) if now > since and done > before else 0.0
        share = min(done / total, 1.0)
        line = f"{self.label} {self.bar(share)} {share:4.0%}"
        if rate:
            line += f"  {unit(rate)}/s  {human_seconds((total - done) / rate)} left"
        if extra:
            line += f"  {extra}"
        self.stream.write("\r\x1b[K" + line[:shutil.get_terminal_size().columns - 1])
        self.stream.flush()
        self.drawn_at = now

    @staticmethod
    def bar(share: float) -> str:
        eighths = int(share * BAR_CELLS * 8)
        full, part = divmod(eighths, 8)
        return ("█" * full + ("▏▎▍▌▋▊▉"[part - 1] if part else "")).ljust(BAR_CELLS, "·")
