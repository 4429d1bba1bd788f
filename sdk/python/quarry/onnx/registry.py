"""The table of operators: who translates what, of which versions. Filled by decorators in operators/, read by the
importer and by table.py, which writes the documentation from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Optional

STANDARD = "ai.onnx"
TRAINING = "ai.onnx.preview.training"
LATEST_OPSET = 17  # the newest opset whose operators were read when these rules were written


@dataclass(frozen=True)
class Rule:
    """How one operator, of the versions since .. until, becomes tensors.

    `known`: the operands (by position) whose values, not only shapes, are needed while the graph is written.
    `widened`: what happens to i16, u16, u32 and u64: "exact" (the op moves or picks elements), "wrap" (its result is
    brought back into range), "custom" (the rule sees to it), or refused where it is empty. `unsigned64` says that this
    also holds for u64, whose order and quotients differ from those of the i64 that holds its bits."""

    operator: str
    domain: str
    since: int
    until: int
    function: Callable
    known: tuple[int, ...] = ()
    widened: str = ""
    unsigned64: bool = True
    by_values: bool = False
    refuses: str = ""


@dataclass
class Table:
    rules: dict[tuple[str, str], list[Rule]] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)

    def find(self, domain: str, operator: str, version: int) -> Optional[Rule]:
        for rule in self.rules.get((domain, operator), ()):
            if rule.since <= version <= rule.until:
                return rule
        return None


TABLE = Table()


def operator(*names: str, since: int = 1, until: int = LATEST_OPSET, domain: str = STANDARD,
             known: tuple[int, ...] = (), widened: str = "", unsigned64: bool = True, by_values: bool = False,
             refuses: str = "") -> Callable:
    """Registers a function as the rule of the named operators. It is called as function(node, *operands): tensors, or
    NumPy arrays for the `known` ones, None where an optional operand is left out."""

    def register(function: Callable) -> Callable:
        for name in names:
            rule = Rule(name, domain, since, until, function, known, widened, unsigned64, by_values, refuses)
            TABLE.rules.setdefault((domain, name), []).append(rule)
        return function

    return register


def refuse(reason: str, *names: str, domain: str = STANDARD) -> None:
    """States why the named operators are not supported."""
    for name in names:
        TABLE.refused[(domain, name)] = reason
