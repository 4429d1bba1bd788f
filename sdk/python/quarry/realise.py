"""Computing the values of tensors: one graph, one run, for all that wait."""

from __future__ import annotations

from collections.abc import Iterable

import _quarry
from _quarry import TensorError

from .context import context
from .graph import Graph, build_nodes
from .tensor import Tensor


def realise(tensors: Iterable[Tensor], on: str | None = None) -> None:
    """Computes those values that are not known, and with them what assign() has changed, so that no history piles
    up."""
    if context.capture is not None:
        raise TensorError("a captured step cannot look at values: return the tensor instead")
    wanted = unknown(tensors)
    if wanted and not _compute(unknown([*wanted, *context.assigned]), on):
        _compute(wanted, on, required=True)


def realise_assigned(along: Iterable[Tensor] = (), before: Iterable[Tensor] = ()) -> None:
    """Computes what assign() has changed, unless inputs without a value are needed: then it stays lazy. `before` is
    computed in a run of its own, so that a training step whose weights start lazy is the same graph from the first step
    on, and compiled once."""
    waiting = unknown([*context.assigned, *along])
    if waiting and _has_all_values(_graph_of(waiting)):
        _compute(unknown(before), None)
        _compute(waiting, None)


def unknown(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Those whose values are not known, each once."""
    return [tensor for tensor in dict.fromkeys(tensors) if tensor._known() is None]


def _compute(tensors: list[Tensor], on: str | None, required: bool = False) -> bool:
    """Whether every input had a value, and so the tensors have one now."""
    from .running import execute
    from .work import Work
    if not tensors:
        return True
    graph = _graph_of(tensors)
    if not required and not _has_all_values(graph):
        return False
    values = execute(Work(graph, dict(graph.values), keep={name: "last" for name in graph.outputs}, seed=context.seed),
                     on)
    for number, tensor in enumerate(tensors):
        settle(tensor, leaf_of(tensor, values[f"y{number}"]))
    return True


def _graph_of(tensors: list[Tensor]) -> Graph:
    return build_nodes({f"y{number}": tensor._node for number, tensor in enumerate(tensors)}, context.realised)


def _has_all_values(graph: Graph) -> bool:
    return not graph.open_inputs


def leaf_of(tensor: Tensor, array) -> _quarry.Tensor:
    """An INPUT that has the value, which is not to be written to any more."""
    array.flags.writeable = False
    return _quarry.input("", tensor.dtype, list(tensor.shape), array)


def settle(tensor: Tensor, leaf: _quarry.Tensor) -> None:
    """`leaf` has the tensor's value. A tensor that was assigned forgets how it was computed; others may still go
    backward."""
    if tensor in context.assigned:
        replace_value(tensor, leaf)
    else:
        context.realised.remember(tensor._node, leaf)
        tensor._leaf = leaf


def replace_value(tensor: Tensor, leaf: _quarry.Tensor) -> None:
    context.assigned.discard(tensor)
    tensor._node, tensor._leaf = leaf, None
