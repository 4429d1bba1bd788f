"""The FLOPs of a graph's contractions, read off its JSON: what a model needs, whatever surrounds its products."""
from __future__ import annotations

import json
import math
from typing import Any

Shape = list[int]
MOVEMENT = ("RESHAPE", "PERMUTE", "EXPAND", "PAD", "SHRINK", "STRIDE")


def shape_after(node: dict[str, Any], operand: Shape) -> Shape:
    """Of a node that is no source; `operand` is its first operand's."""
    if node["op"] in ("RESHAPE", "EXPAND"):
        return node["shape"]
    if node["op"] == "PERMUTE":
        return [operand[axis] for axis in node["axes"]]
    if node["op"] == "PAD":
        return [size + before + after for size, (before, after) in zip(operand, node["pads"])]
    if node["op"] == "SHRINK":
        return [end - begin for begin, end in node["bounds"]]
    if node["op"] == "STRIDE":
        return [-(-size // abs(step)) for size, step in zip(operand, node["strides"])]
    if node["op"].startswith("REDUCE"):
        return [1 if axis in node["axes"] else size for axis, size in enumerate(operand)]
    return operand


def contraction_flops(graph_json: str) -> int:
    """One multiplication and one addition for each term of a sum of products of two values, one of which at least is
    repeated along an axis of the product. A sum over the product with a constant or with a comparison (a gather) is
    none."""
    nodes, shapes, flops = json.loads(graph_json)["nodes"], [], 0
    for node in nodes:
        shapes.append(node.get("shape", []) if "src" not in node else shape_after(node, shapes[node["src"][0]]))

    def origin(index: int) -> int:
        """What a value is a view or a cast of."""
        while nodes[index]["op"] in (*MOVEMENT, "CAST"):
            index = nodes[index]["src"][0]
        return index

    for node in nodes:
        if node["op"] != "REDUCE_SUM" or nodes[product := origin(node["src"][0])]["op"] != "MUL":
            continue
        factors, terms = [origin(index) for index in nodes[product]["src"]], math.prod(shapes[product])
        if any(nodes[factor]["op"] in ("CONST", "CMPEQ") for factor in factors):
            continue
        if any(math.prod(shapes[factor]) < terms for factor in factors):
            flops += terms + math.prod(shapes[node["src"][0]])
    return flops
