"""What the service tells about work and money, as values that print well in a terminal and in a notebook.

Amounts are Decimals of dollars and counts are ints: exact, as the service's.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .errors import bad_answer
from .progress import human_bytes, human_flops, human_money

AMOUNT = re.compile(r"-?[0-9]{1,26}(\.[0-9]{1,12})?")
COUNT = re.compile(r"[0-9]{1,40}")
FLOPS_PER_JOB = 10**10  # of every tariff, docs/metering.md


def html_table(title: str, rows: list[tuple[str, ...]]) -> str:
    """A table whose first column names what the others say."""
    def cell(text: str, tag: str) -> str:
        return f"<{tag} style='text-align:left'>{html.escape(text)}</{tag}>"

    lines = [cell(row[0], "th") + "".join(cell(text, "td") for text in row[1:]) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption style='text-align:left'><b>{html.escape(title)}</b></caption>{body}</table>"


def text_table(title: str, rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows)))]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([title, *lines])


class Shown:
    """Prints as a title and rows, in text and in HTML."""

    def _title(self) -> str:
        raise NotImplementedError

    def _rows(self) -> list[tuple[str, ...]]:
        raise NotImplementedError

    def __str__(self) -> str:
        return text_table(self._title(), self._rows())

    def _repr_html_(self) -> str:
        return html_table(self._title(), self._rows())


class Fields:
    """Reads the fields of an answer; one that is missing or of another kind is a bad answer."""

    def __init__(self, document: Any, what: str):
        if not isinstance(document, dict):
            raise bad_answer(f"the service's {what} is no JSON object")
        self.document, self.what = document, what

    def wrong(self, name: str):
        return bad_answer(f"the service's {self.what} has no valid {name!r}")

    def text(self, name: str) -> str:
        if not isinstance(value := self.document.get(name), str):
            raise self.wrong(name)
        return value

    def amount(self, name: str) -> Decimal:
        if not AMOUNT.fullmatch(self.text(name)):  # a Decimal takes "1e999999999" too, and its digits the memory
            raise self.wrong(name)
        return Decimal(self.text(name))

    def count(self, name: str) -> int:
        """An integer, or a decimal string of one."""
        value = self.document.get(name)
        if isinstance(value, str) and COUNT.fullmatch(value):
            return int(value)
        if type(value) is int and 0 <= value < 2**63:
            return value
        raise self.wrong(name)

    def list(self, name: str) -> list:
        if not isinstance(value := self.document.get(name), list):
            raise self.wrong(name)
        return value

    def at(self, name: str) -> Fields:
        return Fields(self.document.get(name), f"{self.what}.{name}")


@dataclass(frozen=True)
class Line:
    """One line of a quote: what, how much, at which price, for how much."""

    item: str
    quantity: int
    unit: str
    unit_price: Decimal
    per: str
    amount: Decimal

    @classmethod
    def of(cls, document: Any) -> Line:
        line = Fields(document, "quote line")
        return cls(line.text("item"), line.count("quantity"), line.text("unit"), line.amount("unit_price"),
                   line.text("per"), line.amount("amount"))

    def quantity_text(self) -> str:
        if self.unit == "flop":
            return human_flops(self.quantity)
        if self.unit == "byte":
            return human_bytes(self.quantity)
        return f"{human_bytes(self.quantity)}-hours" if self.unit == "byte_hour" else f"{self.quantity:,} {self.unit}"

    def per_text(self) -> str:
        return {"pflop": "PFLOP", "gib": "GiB", "gib_hour": "GiB-hour"}.get(self.per, self.per)


@dataclass(frozen=True)
class Quote(Shown):
    """What a job is and costs, before it runs. Counts are of the whole job, all its steps.

    `flops` is the field's convention (a matmul is 2MNK), `weighted` and `bytes` are F and B of docs/metering.md,
    `metered_flops` what is billed. `price` and `limit` (the most that it can cost) are dollars, None without a service.
    `token` is empty where the values of inputs were not given: then the price is that of now, and nothing holds it.
    """

    flops: int
    weighted: int
    bytes: int
    stored_values: int
    metered_flops: int
    memory_bound_bytes: int
    steps: int = 1
    price: Decimal | None = None
    limit: Decimal | None = None
    lines: tuple[Line, ...] = ()
    segments: int = 1
    id: str = ""
    token: str = field(default="", repr=False)  #: holds the prices for 15 minutes: give the quote to submit()
    expires_at: str = ""
    tariff: int = 0  #: the version of docs/metering.md that counted

    @classmethod
    def counted(cls, count: Mapping[str, int], steps: int) -> Quote:
        """A quote without prices, from Graph.count() of a job of these steps."""
        return cls(count["flops"] * steps, count["weighted"] * steps, count["bytes"] * steps,
                   count["stored_values"] * steps, count["job_metered"], count["memory_bound_bytes"], steps,
                   segments=count["segments"], tariff=count["tariff"])

    def repeated(self, steps: int) -> Quote:
        """The counts of a job of `steps` such steps in one segment, without prices; of one step's counts."""
        metered = (self.metered_flops - FLOPS_PER_JOB) * steps + FLOPS_PER_JOB
        return Quote(self.flops * steps, self.weighted * steps, self.bytes * steps, self.stored_values * steps, metered,
                     self.memory_bound_bytes, steps, tariff=self.tariff)

    @classmethod
    def of(cls, document: Any) -> Quote:
        quote = Fields(document, "quote")
        work = quote.at("work")
        step, steps = work.at("step"), work.count("steps")
        return cls(step.count("flops") * steps, step.count("weighted") * steps, step.count("bytes") * steps,
                   step.count("stored_values") * steps, work.count("metered_flops"), quote.count("memory_bound_bytes"),
                   steps, quote.amount("total"), quote.amount("limit"), tuple(map(Line.of, quote.list("lines"))),
                   quote.count("segments"), quote.text("id"), quote.text("token"), quote.text("expires_at"),
                   work.count("tariff"))

    def _title(self) -> str:
        if self.price is None:
            return f"{human_flops(self.metered_flops)} metered"
        if self.limit is None:
            return human_money(self.price)
        return f"{human_money(self.price)}, never more than {human_money(self.limit)}"

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [
            ("work", f"{human_flops(self.flops)} in {self.steps:,} step{'s' if self.steps != 1 else ''}"),
            ("metered", f"{human_flops(self.metered_flops)}, tariff {self.tariff}"),
            ("memory", human_bytes(self.memory_bound_bytes))]
        for line in self.lines:
            price = f"{human_money(line.unit_price)}/{line.per_text()}"
            rows.append((line.item, line.quantity_text(), price, human_money(line.amount)))
        return rows


@dataclass(frozen=True)
class Account(Shown):
    """An account and the books of its balance, in dollars."""

    id: str
    name: str
    available: Decimal
    reserved: Decimal
    pending: Decimal
    payable: Decimal

    @classmethod
    def of(cls, document: Any) -> Account:
        account = Fields(document, "account")
        balance = account.at("balance")
        return cls(account.text("id"), account.text("name"),
                   *(balance.amount(book) for book in ("available", "reserved", "pending", "payable")))

    def _title(self) -> str:
        return f"{self.name} ({self.id})"

    def _rows(self) -> list[tuple[str, ...]]:
        return [(book, human_money(getattr(self, book))) for book in ("available", "reserved", "pending", "payable")]


@dataclass(frozen=True)
class Usage(Shown):
    """The metered work of an account: sums over all of it, and its newest segments as the API gives them."""

    flops: int
    bytes: int
    metered_flops: int
    charge: Decimal
    count: int
    segments: tuple[dict, ...]

    @classmethod
    def of(cls, document: Any) -> Usage:
        usage = Fields(document, "usage")
        totals = usage.at("totals")
        return cls(totals.count("flops"), totals.count("bytes"), totals.count("metered_flops"), totals.amount("charge"),
                   totals.count("segments"), tuple(usage.list("segments")))

    def _title(self) -> str:
        return f"{human_money(self.charge)} for {self.count:,} segments"

    def _rows(self) -> list[tuple[str, ...]]:
        return [("work", human_flops(self.flops)), ("metered", human_flops(self.metered_flops)),
                ("bytes", human_bytes(self.bytes))]
