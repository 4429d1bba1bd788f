"""A loaded model: graphs of it for the shapes and static values that it is called with."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import AbstractSet, Any, Mapping, Optional, Sequence, Union

import numpy as np

import quarry
from quarry import Graph, GraphError, TensorError
from quarry.dtypes import bf16_values

from .errors import ModelError, NeedsValue, Unsupported
from .importer import Importer, may_be_static
from .reader import Source
from .values import ELEMENT_NAMES, NUMPY_TYPES, Value, from_storage, storage_dtype, to_storage

GRAPHS_KEPT = 64  # specialisations, the least recently used goes first
Dimension = Union[int, str, None]


@dataclass(frozen=True)
class Input:
    """What the model says of an input: its element type, and sizes, a name or None where they are open. `shape` is None
    where even the rank is."""

    name: str
    dtype: str
    shape: Optional[tuple[Dimension, ...]]
    optional: bool  # an initialiser of the same name stands in for it

    def __str__(self) -> str:
        return self.dtype + ("[...]" if self.shape is None else str(list(self.shape)))


@dataclass(frozen=True)
class Specialised:
    """The model for one set of shapes and static values."""

    outputs: dict[str, Value]
    graph: Optional[Graph]  # None where all outputs are known
    inputs: tuple[str, ...]  # of the graph


class Model:
    """A function from arrays by name to arrays by name.

    `inputs` and `outputs` say what it takes and gives. `static_inputs` are those whose values decide shapes (a
    Reshape's target, a loop's trip count): a graph is built for each of their values, and kept."""

    def __init__(self, source: Source):
        self._source = source
        self.inputs: dict[str, Input] = {entry.name: read_input(entry, source) for entry in source.graph.input}
        self.outputs: tuple[str, ...] = tuple(entry.name for entry in source.graph.output)
        self.static_inputs: frozenset[str] = frozenset()
        self._specialised: OrderedDict[Any, Specialised] = OrderedDict()
        if len(set(self.outputs)) != len(self.outputs):
            raise ModelError("two outputs have one name")
        self._build_what_is_known()

    def __repr__(self) -> str:
        takes = ", ".join(f"{entry.name}: {entry}" for entry in self.inputs.values())
        return f"quarry.onnx.Model({takes} -> {', '.join(self.outputs)})"

    def __call__(self, inputs: Mapping[str, Any], *, on: Optional[str] = None, seed: int = 0) -> dict[str, np.ndarray]:
        """Runs the model. A bf16 input may be given as f32 or as the bits in u16; a bf16 output is an f32 array."""
        arrays = self._arrays(inputs)
        built = self._specialise(arrays)
        results: dict[str, np.ndarray] = {}
        if built.graph is not None:
            given = {graph_name(name): to_storage(arrays[name], self.inputs[name].dtype) for name in built.inputs}
            results = quarry.run(built.graph, given, on=on, seed=seed)
        return {name: value.array.copy() if value.array is not None else from_storage(results[name], value.element)
                for name, value in built.outputs.items()}

    def graph(self, inputs: Mapping[str, Any]) -> Graph:
        """The wire graph for such inputs: shapes, or arrays (which static inputs need). For quarry.quote()."""
        without_value = {name for name, value in inputs.items() if not isinstance(value, np.ndarray)}
        shaped = {name: np.broadcast_to(np.zeros((), NUMPY_TYPES[self._input(name).dtype]), tuple(value))
                  if name in without_value else value for name, value in inputs.items()}
        built = self._specialise(self._arrays(shaped), without_value)
        if built.graph is None:
            raise ModelError("every output is known when the model is loaded: there is nothing to run")
        return built.graph

    def _input(self, name: str) -> Input:
        if name not in self.inputs:
            raise ModelError(f"{name!r} is no input of the model; its inputs are {', '.join(self.inputs) or 'none'}")
        return self.inputs[name]

    def _arrays(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        arrays = {name: checked(self._input(name), value) for name, value in inputs.items()}
        for name, entry in self.inputs.items():
            if name not in arrays and not entry.optional:
                raise ModelError(f"input {name!r} is missing: {entry}")
        sizes: dict[str, int] = {}
        for name, array in arrays.items():
            for dimension, size in zip(self.inputs[name].shape or (), array.shape):
                if isinstance(dimension, str) and sizes.setdefault(dimension, size) != size:
                    raise ModelError(f"input {name!r} has {size} where another input has {sizes[dimension]} "
                                     f"for {dimension!r}")
        return arrays

    def _build_what_is_known(self) -> None:
        """Finds the static inputs, and builds the graph where all shapes are in the file, so that what is unsupported
        shows when the model is loaded."""
        required = {name: entry for name, entry in self.inputs.items() if not entry.optional}
        if any(entry.shape is None or not all(isinstance(size,
                                                         int) for size in entry.shape) for entry in required.values()):
            return
        try:
            self._specialise_shapes({name: tuple(entry.shape) for name, entry in required.items()}, {})
        except NeedsValue as needed:
            self.static_inputs = needed.inputs

    def _specialise(self, arrays: dict[str, np.ndarray], without_value: AbstractSet[str] = frozenset()) -> Specialised:
        while True:
            if self.static_inputs & without_value:
                raise ModelError(f"inputs {sorted(self.static_inputs & without_value)} decide shapes: "
                                 "give their values, as arrays")
            static = {name: arrays[name] for name in self.static_inputs if name in arrays}
            try:
                return self._specialise_shapes({name: array.shape for name, array in arrays.items()}, static)
            except NeedsValue as needed:
                unknown = needed.inputs - self.static_inputs
                if not unknown:
                    raise ModelError(f"inputs {sorted(needed.inputs)} have to be given") from None
                self.static_inputs = self.static_inputs | unknown

    def _specialise_shapes(self, sizes: dict[str, tuple[int, ...]], static: dict[str, np.ndarray]) -> Specialised:
        key = (frozenset(sizes.items()), frozenset((name, array.tobytes()) for name, array in static.items()))
        found = self._specialised.get(key)
        if found is None:
            found = self._specialised[key] = self._build(sizes, static)
            if len(self._specialised) > GRAPHS_KEPT:
                self._specialised.popitem(last=False)
        self._specialised.move_to_end(key)
        return found

    def _build(self, sizes: dict[str, tuple[int, ...]], static: dict[str, np.ndarray]) -> Specialised:
        try:
            values = self._bound(sizes, static)
            outputs = dict(zip(self.outputs, Importer(self._source).run(values)))
            for name, value in outputs.items():
                if value.element not in NUMPY_TYPES:
                    raise Unsupported("output", name, f"{value.element} is no type of the wire")
            computed = {name: value.tensor for name, value in outputs.items() if value.array is None}
            graph = quarry.build(computed) if computed else None
        except (TensorError, GraphError) as error:
            raise ModelError(f"the model is past a limit of graphs: {error}") from error
        used = () if graph is None else tuple(name for name in values if graph_name(name) in graph.inputs)
        return Specialised(outputs, graph, used)

    def _bound(self, sizes: dict[str, tuple[int, ...]], static: dict[str, np.ndarray]) -> dict[str, Value]:
        """The inputs: known where they are static, else INPUTs of the graph."""
        values: dict[str, Value] = {}
        for name, shape in sizes.items():
            element = self.inputs[name].dtype
            if name in static:
                values[name] = Value.known(static[name], element)
                continue
            tensor = quarry.input(graph_name(name), shape, storage_dtype(element))
            sources = frozenset([name]) if may_be_static(element, shape) else None
            values[name] = Value(element, tuple(shape), tensor=tensor, sources=sources)
        return values


def graph_name(name: str) -> str:
    """An input's name in the graph, where names are short and have no control characters."""
    if 0 < len(name.encode()) <= 200 and name.isprintable():
        return name
    return "input " + name.encode().hex()[:200]


def read_input(entry: Any, source: Source) -> Input:
    kind = entry.type.WhichOneof("value")
    if kind != "tensor_type":
        what = (kind or "value of no type").replace("_type", "")
        raise Unsupported("input", entry.name, f"it is a {what}; a graph has tensors only")
    element = ELEMENT_NAMES.get(entry.type.tensor_type.elem_type, "an unknown type")
    if element not in NUMPY_TYPES:
        raise Unsupported("input", entry.name, f"{element} is no type of the wire")
    shape: Optional[Sequence[Dimension]] = None
    if entry.type.tensor_type.HasField("shape"):
        shape = tuple(size.dim_value if size.HasField("dim_value") else size.dim_param or None
                      for size in entry.type.tensor_type.shape.dim)
        if any(isinstance(size, int) and size < 0 for size in shape):
            raise ModelError(f"input {entry.name!r} has the shape {list(shape)}")
    return Input(entry.name, element, shape, entry.name in source.initialisers)


def checked(entry: Input, value: Any) -> np.ndarray:
    """The array given for an input, in its type and shape."""
    wanted = NUMPY_TYPES[entry.dtype]
    if not isinstance(value, np.ndarray):
        value = np.asarray(value)
        if value.dtype.kind in "ifb" and np.can_cast(value.dtype, wanted, "same_kind"):
            value = value.astype(wanted)  # lists and numbers have the types that NumPy guesses
    if entry.dtype == "bf16" and value.dtype == np.uint16:
        value = bf16_values(value)
    if value.dtype != wanted:
        raise ModelError(f"input {entry.name!r} is {entry.dtype}, the array is {value.dtype}")
    shape = entry.shape
    if shape is not None and (len(shape) != value.ndim or any(
            isinstance(size, int) and size != given for size, given in zip(shape, value.shape))):
        raise ModelError(f"input {entry.name!r} is of shape {list(shape)}, the array of {list(value.shape)}")
    return value
