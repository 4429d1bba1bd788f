"""Where graphs run: a device of this machine, in this process, or a Quarry service.

`on` is "local" (the best device of this machine), "interpreter", "opencl:0", "service" (from the command line's config)
or "https://host:port"; without it the environment variable QUARRY_ON says, else "local".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Union

import numpy as np

import _quarry
from _quarry import TensorError

from .dtypes import NUMPY_OF, for_people
from .graph import Graph
from .work import Work, array_for

Progress = Union[Callable[[int, int], None], bool, None]


def named(on: str | None) -> str:
    """What `on` or else the environment variable says."""
    on = on or os.environ.get("QUARRY_ON") or "local"
    if not isinstance(on, str):
        raise TypeError(f'on is "local", a device such as "opencl:0", "service" or "https://host:port", not {on!r}')
    return on


def chosen(on: str | None) -> str:
    """Where to run, after the environment variable and "local" have been looked up."""
    on = named(on)
    return best_local() if on == "local" else on


@cache
def best_local() -> str:
    for device in _quarry.devices():
        if device["backend"] != "interpreter":
            return device["selector"]
    return "interpreter"


def is_remote(on: str) -> bool:
    return on == "service" or on.startswith(("https://", "http://"))


@cache
def local_device(selector: str) -> _quarry.Device:
    """Opened once in a process; compiled kernels are kept on disk too, where the command line keeps them."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return _quarry.open_device(selector, os.path.join(base, "quarry", "kernels"))


def execute(work: Work, on: str | None = None, progress: Progress = None) -> dict[str, np.ndarray]:
    """Runs it; {output: array as the engine stores it}, of kept outputs, "each" with the steps in front."""
    where = chosen(on)
    missing = [name for name in work.graph.inputs if name not in work.inputs and name not in work.feed]
    if missing:
        dtype, shape = work.graph.inputs[missing[0]]
        raise TensorError(f'input "{missing[0]}" has no value: give it {dtype}{list(shape)}')
    if is_remote(where):
        from .remote import connect
        return connect(where).run_job(work.graph, work.inputs, steps=work.steps, first_step=work.first_step,
                                      carry=work.carry, feed=work.feed,
                                      keep=work.keep, seed=work.seed, progress=progress)
    if callable(progress) or work.steps == 1:
        return _execute_here(work, where, progress if callable(progress) else None)
    from .remote.progress import ProgressBar
    with ProgressBar("running", progress) as bar:
        def tell(done: int, total: int) -> None:
            bar.show(done, total, lambda count: f"{count:,.0f} steps")
        return _execute_here(work, where, tell)


def _execute_here(work: Work, selector: str, progress: Callable[[int, int], None] | None) -> dict[str, np.ndarray]:
    inputs, outputs = work.graph.inputs, work.graph.outputs

    def given(name: str, array: np.ndarray) -> tuple[str, tuple[np.ndarray, str, tuple[int, ...]]]:
        dtype = inputs[name][0] if name in inputs else "u8"
        return name, (array.reshape(-1).view(np.uint8), dtype, array.shape)

    raw = local_device(selector).run(
        work.graph.native, [given(name, array) for name, array in work.inputs.items()],
        [given(name, array) for name, (array, _) in work.feed.items()],
        {name: wrap for name, (_, wrap) in work.feed.items()},
        list(work.carry.items()), list(work.keep.items()), work.seed, work.first_step, work.steps, progress)
    results = {}
    for name, data in raw.items():
        dtype, shape = outputs[name]
        shape = (work.steps, *shape) if work.keep[name] == "each" else shape
        results[name] = data.view(NUMPY_OF[dtype]).reshape(shape)
    return results


def run(graph: Any, inputs: Mapping[str, Any] | None = None, *, steps: int = 1, carry: Mapping[str, str] | None = None,
        feed: Mapping[str, Any] | Iterable[str] | None = None, keep: Any = None, seed: int = 0, on: str | None = None,
        first_step: int = 0, progress: Progress = None) -> dict[str, np.ndarray]:
    """Runs a graph and returns {output: array}: the floor that other front ends can stand on.

    graph: a quarry.Graph, a dict, JSON text or CBOR bytes. inputs: {name: array}; lists and numbers become the input's
    dtype, arrays must have it (bf16: uint16 bits, or floats, which are rounded). steps: how often it runs. carry:
    {input: output}, what each step hands to the next; inputs have the starting values. feed: {input: array [n,
    ...shape]}, step s reads slice s, or s mod n with {input: {"tensor": array, "wrap": True}}. keep: {output: "last" |
    "each"}, or one of the two for all; without it every output's last value. "each" puts an axis of the steps in front.
    seed: of RAND. on: see the top of this module. progress: called with (steps done, steps). bf16 outputs come as
    float32.
    """
    graph = Graph.parse(graph)
    work = Work(graph, steps=_integer("steps", steps, 1, 2**31 - 1),
                first_step=_integer("first_step", first_step, 0, 2**31 - 2),
              seed=_integer("seed", seed, 0, 2**64 - 1), carry=dict(carry or {}), keep=kept(graph, keep))
    given = {**graph.values, **dict(inputs or {})}
    for name, value, wrap in _feeds(feed, given, work.steps + work.first_step):
        work.feed[name] = (array_for(graph, name, value, fed=True), wrap)
    work.inputs = {name: array_for(graph, name, value) for name, value in given.items() if name not in work.feed}
    results = execute(work, on, progress)
    return {name: for_people(value, graph.outputs[name][0]) for name, value in results.items()}


def _integer(what: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise TensorError(f"{what} is an integer from {least} to {most}, not {value!r}")
    return int(value)


def kept(graph: Graph, keep: Any) -> dict[str, str]:
    """{output: "last" | "each"} of what keep= may be: that, one of the two for all outputs, names, or None: the last of
    each."""
    outputs = graph.outputs
    if keep is None or isinstance(keep, str):
        modes = {name: keep or "last" for name in outputs}
    else:
        modes = dict(keep) if isinstance(keep, Mapping) else {name: "last" for name in keep}
    for name, mode in modes.items():
        if name not in outputs:
            raise TensorError(f"keep names {name!r}, which is no output of the graph; "
                              f"its outputs are {', '.join(outputs)}")
        if mode not in ("last", "each"):
            raise TensorError(f'keep {name!r}: "last" or "each", not {mode!r}')
    return modes


def _feeds(feed: Any, given: dict[str, Any], steps: int) -> Iterable[tuple[str, Any, bool]]:
    if feed is None:
        return
    if isinstance(feed, str):
        feed = [feed]
    for name, value in (feed.items() if isinstance(feed, Mapping) else ((name, {}) for name in feed)):
        wrap: bool | None = None
        if isinstance(value, bool):  # the array stands among the inputs
            value, wrap = {}, value
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], (bool, np.bool_)):
            value, wrap = value[0], bool(value[1])
        if isinstance(value, Mapping):
            wrap = bool(value["wrap"]) if "wrap" in value else wrap
            value = value.get("tensor", given.get(name))
        if value is None:
            raise TensorError(f'feed {name!r} has no array: give feed={{"{name}": array}}, '
                              'of shape [n, ...shape of the input]')
        yield name, value, bool(wrap)
