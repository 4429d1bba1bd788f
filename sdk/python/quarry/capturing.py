"""jit: a step of Python becomes one graph, and many steps of it one job. What the step assigns (weights, the
optimiser's state, running statistics) is carried from step to step on the device, and holds the last values
afterwards."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import _quarry
from _quarry import TensorError

from .context import context
from .dtypes import for_people, storage
from .graph import Graph, build_nodes
from .realise import leaf_of, replace_value
from .running import Progress, execute
from .tensor import Tensor
from .work import Work, array_for

if TYPE_CHECKING:
    from .quoting import Quote


class _Held:
    """A tensor from outside of the step: what it was, and the INPUT that stands for it inside."""

    def __init__(self, tensor: Tensor, name: str):
        self.tensor, self.name = tensor, name
        self.node, self.leaf = tensor._node, tensor._leaf
        self.placeholder = _quarry.input(name, tensor.dtype, list(tensor.shape))
        self.is_assigned = False


class Capture:
    """One call of a step, being recorded. While it is context.capture, tensors from outside are replaced by INPUTs when
    they are first used; close() puts everything back."""

    def __init__(self) -> None:
        self.held: dict[Tensor, _Held] = {}
        self._streams = 0
        self._gradients: list[tuple[Tensor, Tensor | None]] = []

    def __enter__(self) -> Capture:
        context.capture = self
        self._gradients = [(tensor, tensor.grad) for tensor in context.trainable]
        for tensor, _ in self._gradients:
            tensor.grad = None
        return self

    def __exit__(self, *_: Any) -> None:
        context.capture = None
        for tensor, gradient in self._gradients:
            tensor.grad = gradient
        for tensor, held in self.held.items():
            tensor._node, tensor._leaf, tensor._epoch = held.node, held.leaf, None

    def take_stream(self) -> int:
        self._streams += 1
        return self._streams - 1

    def adopt(self, tensor: Tensor) -> None:
        if tensor not in self.held:
            held = self.held[tensor] = _Held(tensor, f"state:{len(self.held)}")
            tensor._node, tensor._leaf, tensor._epoch = held.placeholder, None, self

    def assign(self, tensor: Tensor) -> None:
        """Hears that a tensor is assigned. One that the step itself made is no state."""
        if tensor._epoch is not self:
            self.adopt(tensor)
        if tensor in self.held:
            self.held[tensor].is_assigned = True


class Program:
    """A captured step: its graph, and which inputs and outputs belong to which tensors."""

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]):
        self.arguments: set[str] = set()
        capture = Capture()
        was_assigned = list(context.assigned)
        with capture:
            returned = function(**self._inside(arguments))
            self.results: dict[str, Tensor] = {}
            self.structure = _flattened("out", returned, self.results)
            outputs = {name: tensor.node for name, tensor in self.results.items()}
            self.assigned = {held.tensor: held.name for held in capture.held.values() if held.is_assigned}
            outputs.update((name, tensor.node) for tensor, name in self.assigned.items())
        for tensor in context.assigned:
            if tensor in self.assigned and not any(tensor is other for other in was_assigned):
                context.assigned.discard(tensor)
        if not outputs:
            raise TensorError("the step returns no tensor and assigns none: there is nothing to run")
        constants = [(held.placeholder, held.node) for held in capture.held.values() if not held.is_assigned
                     and held.node.op == "CONST"]
        self.graph = build_nodes(outputs, context.realised, constants)
        inputs = self.graph.inputs
        self.held = {held.tensor: held.name for held in capture.held.values() if held.name in inputs}
        self.carry = {name: name for name in self.assigned.values() if name in inputs}

    def _inside(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that the function gets: INPUTs in the place of arrays."""
        def given(name: str, value: Any) -> Any:
            if not _is_array(value):
                return value
            self.arguments.add(name)
            dtype, shape = _kind(value)
            return Tensor.of(_quarry.input(name, dtype, list(shape)))
        return {name: _mapped(name, value, given) for name, value in arguments.items()}

    def work(self, arrays: Mapping[str, Any], feed: Mapping[str, tuple[np.ndarray, bool]], *, steps: int,
             first_step: int, keep: str, seed: int, on: str | None) -> Work:
        """The job, with the tensors' values of now."""
        tensors = list(self.held)
        if tensors:
            tensors[0].realize(*tensors[1:], on=on)
        inputs = {name: value for name, value in self.graph.values.items() if name not in self.arguments}
        inputs.update((name, tensor.stored()) for tensor, name in self.held.items())
        inputs.update((name, array_for(self.graph, name, value)) for name,
                      value in arrays.items() if name in self.graph.inputs)
        used = {name: value for name, value in feed.items() if name in self.graph.inputs}
        return Work(self.graph, inputs, steps, first_step, self.carry, used, self.kept(keep), seed)

    def kept(self, keep: str) -> dict[str, str]:
        """{output: "last" | "each"}: what the step returns is kept as wanted, of what it assigns the last value."""
        return {name: keep for name in self.results} | {name: "last" for name in self.assigned.values()}

    def settle(self, values: Mapping[str, np.ndarray]) -> None:
        """The assigned tensors hold what the job carried last."""
        for tensor, name in self.assigned.items():
            replace_value(tensor, leaf_of(tensor, values[name]))


class Job:
    """Steps of a captured function as one job. run() runs it, quote() says what that costs."""

    def __init__(self, program: Program, arrays: Mapping[str, Any], feed: Mapping[str, tuple[np.ndarray, bool]],
                 options: dict[str, Any]):
        self._program, self._arrays, self._feed, self._options = program, arrays, feed, options

    @property
    def graph(self) -> Graph:
        return self._program.graph

    @property
    def steps(self) -> int:
        return self._options["steps"]

    @property
    def carry(self) -> dict[str, str]:
        """{input: output} of what goes from step to step."""
        return dict(self._program.carry)

    @property
    def feed(self) -> dict[str, tuple[np.ndarray, bool]]:
        """{input: (array [n, ...shape], whether it wraps)} of those that get another slice in each step."""
        return {name: fed for name, fed in self._feed.items() if name in self.graph.inputs}

    @property
    def fed(self) -> list[str]:
        """The inputs that get another slice in each step."""
        return list(self.feed)

    @property
    def keep(self) -> dict[str, str]:
        """{output: "last" | "each"}"""
        return self._program.kept(self._options["keep"])

    def work(self, on: str | None = None) -> Work:
        """The job as the engine takes it: graph, inputs, carry, feed and keep."""
        return self._program.work(self._arrays, self._feed, on=on, **self._options)

    def quote(self, on: str | None = None) -> Quote:
        """What run() would cost."""
        from .quoting import quote
        return quote(self, on)

    def run(self, on: str | None = None, progress: Progress = None) -> Any:
        """Runs it and returns arrays in the structure that the function returns, with keep="each" an axis of steps in
        front. Assigned tensors hold their last values afterwards; the job may be run again, to go on from there."""
        values = execute(self.work(on), on, progress)
        self._program.settle(values)
        return _filled(self._program.structure, {
            name: for_people(values[name], tensor.dtype) for name, tensor in self._program.results.items()})

    def __repr__(self) -> str:
        return f"Job({self.steps} steps of {self.graph!r})"


class Step:
    """A captured function: calling it runs one step; job() makes many steps one job."""

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function)
        self._function, self._signature = function, inspect.signature(function)
        self._programs: dict[Any, Program] = {}
        self._calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One step. Returns Tensors, whose values are known."""
        if context.capture is not None:
            return self._function(*args, **kwargs)
        arguments, arrays = self._bound(args, kwargs)
        program = self._program(arguments)
        values = execute(program.work(arrays, {}, steps=1, first_step=self._calls, keep="last", seed=context.seed,
                                      on=None))
        self._calls += 1
        program.settle(values)
        return _filled(program.structure,
                       {name: Tensor.of(leaf_of(tensor, values[name])) for name, tensor in program.results.items()})

    def job(self, steps: int = 1, *, feed: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None,
            keep: str = "each", seed: int | None = None, first_step: int = 0) -> Job:
        """`steps` steps as one job.

        feed: {argument: array [n, ...shape]}, step s gets slice s mod n; (array, False) for no wrapping. inputs: the
        other arguments, the same in each step. keep: of what the function returns, "each" step's values or only the
        "last". seed: of random tensors; without it that of manual_seed. first_step: the number of the first step, for
        feeds and random tensors.
        """
        if keep not in ("each", "last"):
            raise TensorError(f'keep is "each" or "last", not {keep!r}')
        fed = {name: _fed(name, value) for name, value in (feed or {}).items()}
        given = {**(inputs or {}), **{name: _Slice(array, dtype) for name, (array, dtype, _) in fed.items()}}
        arguments, arrays = self._bound((), given)
        program = self._program(arguments)
        plain = {name: value for name, value in arrays.items() if name not in fed}
        options = {"steps": steps, "first_step": first_step, "keep": keep,
                   "seed": context.seed if seed is None else seed}
        return Job(program, plain, {name: (array, wrap) for name, (array, _, wrap) in fed.items()}, options)

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments by name, and the arrays among them by the names of their inputs."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for parameter in self._signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise TensorError(f"a captured function has plain parameters, not {parameter}")
        arrays: dict[str, Any] = {}

        def found(name: str, value: Any) -> Any:
            if _is_array(value):
                arrays[name] = value
            return value
        for name, value in bound.arguments.items():
            _mapped(name, value, found)
        return dict(bound.arguments), arrays

    def _program(self, arguments: Mapping[str, Any]) -> Program:
        key: list[Any] = []

        def seen(name: str, value: Any) -> Any:
            key.append((name, *_kind(value)) if _is_array(value) else (name, type(value), _static(value)))
            return value
        for name, value in arguments.items():
            _mapped(name, value, seen)
        if tuple(key) not in self._programs:
            self._programs[tuple(key)] = Program(self._function, arguments)
        return self._programs[tuple(key)]


def jit(function: Callable[..., Any]) -> Step:
    """Captures a function of tensors as one graph when it is first called, once for each set of shapes:

        @quarry.jit
        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        losses = step.job(steps=300, feed={"x": X, "y": Y}).run()

    Arguments that are arrays or tensors are inputs of the graph, numbers and strings are part of it. Other tensors are
    read when a step runs. What the step assigns is carried. Gradients begin with None in each step. Random tensors and
    dropout are fresh in each step.
    """
    return Step(function)


class _Slice:
    """Stands for one slice of a fed array while the function's shapes are found."""

    def __init__(self, array: np.ndarray, dtype: str):
        self.dtype, self.shape = dtype, array.shape[1:]


def _fed(name: str, value: Any) -> tuple[np.ndarray, str, bool]:
    wrap = True
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], bool):
        value, wrap = value
    array, dtype = (value.stored(), value.dtype) if isinstance(value, Tensor) else storage(value)
    if array.ndim == 0 or array.shape[0] == 0:
        raise TensorError(f"feed {name!r} needs [n, ...shape] with at least one slice, not {dtype}{list(array.shape)}")
    return array, dtype, wrap


def _is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray, np.generic, _Slice))


def _kind(value: Any) -> tuple[str, tuple[int, ...]]:
    if isinstance(value, (np.ndarray, np.generic)):
        return storage(value[:0] if value.ndim else value)[1], value.shape
    return value.dtype, tuple(value.shape)


def _static(value: Any) -> Any:
    try:
        hash(value)
        return value
    except TypeError:
        return id(value)


def _mapped(name: str, value: Any, change: Callable[[str, Any], Any]) -> Any:
    """change(name, part) of each part of nested lists, tuples and dicts."""
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(f"{name}.{number}", part, change) for number, part in enumerate(value))
    if isinstance(value, dict):
        return {key: _mapped(f"{name}.{key}", part, change) for key, part in value.items()}
    return change(name, value)


def _flattened(name: str, value: Any, into: dict[str, Tensor]) -> Any:
    """The structure of what a step returns, names in the place of tensors, which are put `into`."""
    def tensor(name: str, part: Any) -> Any:
        if part is None or isinstance(part, (bool, int, float, str)):
            return _Fixed(part)
        if not isinstance(part, Tensor):
            raise TensorError("a captured step returns tensors, numbers, None, and lists, tuples and dicts of them, "
                              f"not {type(part).__name__}")
        into[name] = part
        return name
    return _mapped(name, value, tensor)


class _Fixed:
    def __init__(self, value: Any):
        self.value = value


def _filled(structure: Any, values: Mapping[str, Any]) -> Any:
    return _mapped("", structure, lambda _, part: part.value if isinstance(part, _Fixed) else values[part])
