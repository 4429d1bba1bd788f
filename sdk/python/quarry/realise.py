"""Computing the values of tensors: one graph, one run, for all that wait."""

from __future__ import annotations

from collections.abc import Iterable

import _quarry
from _quarry import TensorError

from .context import context
from .graph import build_nodes
from .tensor import Tensor


def realise(tensors: Iterable[Tensor], on: str | None = None) -> None:
    """Computes those values that are not known, and with them what assign() has changed, so that no history piles up."""
    from .running import Job, execute
    if context.capture is not None:
        raise TensorError("a captured step cannot look at values: return the tensor instead")
    wanted = _unknown(tensors)
    if not wanted:
        return
    along = _unknown(tensor for tensor in context.assigned if not any(tensor is other for other in wanted))
    graph = build_nodes(_named(wanted + along), context.realised)
    if along and len(graph.values) < len(graph.inputs):  # what was assigned waits for inputs that have no value
        along, graph = [], build_nodes(_named(wanted), context.realised)
    job = Job(graph, dict(graph.values), keep={name: "last" for name in graph.outputs}, seed=context.seed)
    values = execute(job, on)
    for number, tensor in enumerate(wanted + along):
        array = values[f"y{number}"]
        array.flags.writeable = False
        settle(tensor, _quarry.input("", tensor.dtype, list(tensor.shape), array))


def settle(tensor: Tensor, leaf: _quarry.Tensor) -> None:
    """`leaf` has the tensor's value. A tensor that was assigned forgets how it was computed; others may still go backward."""
    if tensor in context.assigned:
        context.assigned.discard(tensor)
        tensor._node, tensor._leaf = leaf, None
    else:
        context.realised.remember(tensor._node, leaf)
        tensor._leaf = leaf


def _unknown(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor for tensor in dict.fromkeys(tensors) if tensor._known() is None]


def _named(tensors: list[Tensor]) -> dict[str, _quarry.Tensor]:
    return {f"y{number}": tensor.node for number, tensor in enumerate(tensors)}
