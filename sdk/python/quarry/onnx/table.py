"""Writes the tables of docs/onnx.md from the registry: python -m quarry.onnx.table [--check] docs/onnx.md"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Iterator

from . import operators  # noqa: F401  (fills the table)
from .registry import LATEST_OPSET, STANDARD, TABLE, TRAINING, Rule

BEGIN = "<!-- written by python -m quarry.onnx.table -->"
END = "<!-- end of what is written -->"


def schema_versions(domain: str, operator: str) -> list[Any]:
    """All versions of an operator that onnx defines up to the latest opset known here, the newest first."""
    import onnx

    schemas = [schema for schema in onnx.defs.get_all_schemas_with_history()
               if schema.name == operator and (schema.domain or STANDARD) == domain
               and schema.since_version <= LATEST_OPSET and not schema.deprecated]
    return sorted(schemas, key=lambda schema: -schema.since_version)


def known_operands(rules: list[Rule], schemas: list[Any]) -> str:
    """The names of the operands whose values have to be known."""
    names: list[str] = []
    for schema in schemas:
        for rule in rules:
            if rule.since <= schema.since_version <= rule.until:
                names += [schema.inputs[place].name for place in rule.known if place < len(schema.inputs)]
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def wider_integers(rules: list[Rule]) -> str:
    """Whether the newest rule takes i16, u16, u32 and u64."""
    newest = max(rules, key=lambda rule: rule.since)
    if not newest.widened and not newest.by_values:
        return ""
    return "yes" if newest.unsigned64 else "but u64"


def supported(domain: str) -> Iterator[str]:
    yield "| operator | versions | operands whose values have to be known | i16 u16 u32 u64 | refused |"
    yield "|---|---|---|---|---|"
    for (of, operator), rules in sorted(TABLE.rules.items()):
        schemas = schema_versions(of, operator) if of == domain else []
        versions = [schema.since_version for schema in schemas
                    if any(rule.since <= schema.since_version <= rule.until for rule in rules)]
        if versions:
            refuses = "; ".join(dict.fromkeys(rule.refuses for rule in rules if rule.refuses))
            yield (f"| {operator} | {', '.join(map(str, reversed(versions)))} | {known_operands(rules, schemas)} | "
                   f"{wider_integers(rules)} | {refuses} |")


def refused() -> Iterator[str]:
    yield "| refused | why |"
    yield "|---|---|"
    reasons: dict[str, list[str]] = {}
    for (_, operator), reason in sorted(TABLE.refused.items()):
        reasons.setdefault(reason, []).append(operator)
    for reason, names in sorted(reasons.items(), key=lambda entry: entry[1]):
        yield f"| {', '.join(names)} | {reason} |"


def tables() -> str:
    lines = [BEGIN, "", *supported(STANDARD), "", f"Of `{TRAINING}`:", "", *supported(TRAINING), "", *refused(), "",
             END]
    return "\n".join(lines)


def written(document: str) -> str:
    """The document with the tables of today between its marks."""
    begin, end = document.index(BEGIN), document.index(END) + len(END)
    return document[:begin] + tables() + document[end:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("document")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the tables are out of date")
    arguments = parser.parse_args()
    with open(arguments.document, encoding="utf-8") as file:
        document = file.read()
    current = written(document)
    if arguments.check:
        if current != document:
            print(f"{arguments.document} is out of date: run python -m quarry.onnx.table {arguments.document}",
                  file=sys.stderr)
        return int(current != document)
    with open(arguments.document, "w", encoding="utf-8") as file:
        file.write(current)
    return 0


if __name__ == "__main__":
    sys.exit(main())
