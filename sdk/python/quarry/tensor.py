"""Tensor: a lazy array. Operations write a graph; .numpy() builds it, runs it and keeps the value."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

import _quarry
from _quarry import TensorError

from . import indexing
from .context import context
from .dtypes import BYTES, DTypeLike, dtype_name, for_people, is_float, storage

Operand = Union["Tensor", int, float, bool, np.ndarray, np.generic]
Axis = Union[int, Sequence[int], None]


def sizes_of(given: Sequence[Any], what: str = "a shape") -> list[int]:
    """(2, 3) and ((2, 3),) as [2, 3]."""
    if len(given) == 1 and not isinstance(given[0], (int, np.integer)):
        given = given[0]
    try:
        sizes = [operator.index(size) for size in given]
    except TypeError:
        raise TensorError(f"{what} is integers, not {given!r}") from None
    if any(not -2**63 <= size < 2**63 for size in sizes):
        raise TensorError(f"{what} is integers of 64 bits, not {sizes}")
    return sizes


def array_of(payload: Any) -> np.ndarray:
    """The value of an INPUT: an array, or something that makes it."""
    return payload if isinstance(payload, np.ndarray) else payload.array()


def axes_of(axis: Axis) -> list[int]:
    """An axis, several, or None for all (which is []), as a list."""
    return [] if axis is None else sizes_of([axis] if isinstance(axis, (int, np.integer)) else list(axis), "an axis")


class Tensor:
    """A lazy array of one of the dtypes bool, i8, u8, i32, i64, f16, bf16, f32, f64.

    Tensor(data): data is a number, nested lists, an array or a Tensor. Python numbers beside a tensor take its dtype.
    With requires_grad=True, loss.backward() leaves d loss / d tensor in .grad.
    """

    __slots__ = ("_node", "_leaf", "_requires_grad", "_epoch", "grad", "__weakref__")
    __array_ufunc__ = None  # NumPy's arrays let our operators do it
    _node: _quarry.Tensor
    _leaf: _quarry.Tensor | None  # the INPUT that has the value, once it is known
    grad: Tensor | None

    def __init__(self, data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False):
        self._start(_node_of(data, dtype, requires_grad))
        if requires_grad:
            self.requires_grad = True

    def _start(self, node: _quarry.Tensor) -> None:
        self._node, self._leaf, self._requires_grad, self.grad = node, None, False, None
        self._epoch = context.capture

    @classmethod
    def of(cls, node: _quarry.Tensor) -> Tensor:
        """The Tensor of a node of the engine."""
        tensor = cls.__new__(cls)
        tensor._start(node)
        return tensor

    @classmethod
    def holding(cls, array: np.ndarray) -> Tensor:
        """The Tensor of an array that nobody will write to: it is not copied."""
        stored, dtype = storage(array)
        stored.flags.writeable = False
        return cls.of(_quarry.input("", dtype, list(stored.shape), stored))

    def __deepcopy__(self, _: Any) -> Tensor:
        """A tensor with the same value that is trained apart from this one."""
        known = self._known()
        node = _quarry.detached(self.node) if known is None else _quarry.input("", self.dtype, list(self.shape), known)
        copy = Tensor.of(node)
        copy.requires_grad = self._requires_grad
        return copy

    @property
    def node(self) -> _quarry.Tensor:
        """The node of the engine that this tensor stands for."""
        if context.capture is not None and self._epoch is not context.capture:
            context.capture.adopt(self)
        return self._node

    # ---- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self._node.shape

    @property
    def dtype(self) -> str:
        return self._node.dtype

    @property
    def ndim(self) -> int:
        return len(self._node.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        return self.size * BYTES[self.dtype]

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if wanted and not is_float(self.dtype):
            raise TensorError(f"only tensors of a float dtype have gradients, not {self.dtype}{list(self.shape)}")
        self._requires_grad = bool(wanted)
        (context.trainable.add if wanted else context.trainable.discard)(self)

    def requires_grad_(self, wanted: bool = True) -> Tensor:
        self.requires_grad = wanted
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor of rank 0 has no length")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        what = f"{self.dtype}{list(self.shape)}" + (", requires_grad=True" if self._requires_grad else "")
        is_deferred = hasattr(self._node.payload, "array")
        known = None if context.capture is not None or is_deferred else self._known()
        if known is None:
            return f"Tensor({what}, lazy)"
        values = np.array2string(for_people(known, self.dtype), threshold=60, edgeitems=3, precision=4, separator=", ",
                                 prefix="Tensor(")
        return f"Tensor({values}, {what})"

    # ---- its value

    def _known(self) -> np.ndarray | None:
        if self._leaf is None:
            payload = self._node.payload
            if payload is not None:
                return array_of(payload)
            self._leaf = context.realised.find(self._node)
        return None if self._leaf is None else self._leaf.payload

    def stored(self, on: str | None = None) -> np.ndarray:
        """The value as the engine stores it (bf16: its bits as uint16), computed if it is not known. Not to be written
        to."""
        if self._known() is None:
            self.realize(on=on)
        return self._known()

    def realize(self, *others: Tensor, on: str | None = None) -> Tensor:
        """Computes the value now, that of `others` in the same run."""
        from .realise import realise
        realise([self, *others], on)
        return self

    def numpy(self, on: str | None = None) -> np.ndarray:
        """The value as an array of its own, computed on the device that `on` or QUARRY_ON names. bf16 becomes
        float32."""
        return np.array(for_people(self.stored(on), self.dtype))

    def item(self) -> float | int | bool:
        """The value of a tensor of one element as a Python number."""
        if self.size != 1:
            raise TensorError(f"item() needs a tensor of one element, not {self.dtype}{list(self.shape)}")
        return self.numpy().reshape(()).item()

    def tolist(self) -> Any:
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = self.numpy()
        return value if dtype is None else value.astype(dtype)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def assign(self, value: Operand) -> Tensor:
        """Gives this tensor another value, of equal shape and dtype. In a captured step it becomes state that is
        carried."""
        new = value if isinstance(value, Tensor) else Tensor(value, self.dtype)
        if new.shape != self.shape or new.dtype != self.dtype:
            raise TensorError(f"assign: {self.dtype}{list(self.shape)} cannot become {new.dtype}{list(new.shape)}")
        if context.capture is None and (array := new._known()) is not None:
            self._node, self._leaf = _quarry.input("", self.dtype, list(self.shape), array), None
            context.assigned.discard(self)
            return self
        node = _quarry.detached(new.node)
        if context.capture is not None:
            context.capture.assign(self)
        self._node, self._leaf = node, None
        context.assigned.add(self)
        return self

    def become(self, value: Tensor) -> None:
        """assign() to another dtype: for casting a whole model."""
        self._node, self._leaf = _quarry.detached(value.node), None
        context.assigned.add(self)

    def detach(self) -> Tensor:
        """The same value, through which no gradient goes."""
        return Tensor.of(_quarry.detached(self.node))

    def backward(self, gradient: Tensor | None = None) -> None:
        """Adds d self / d w to w.grad, for each w with requires_grad that self was computed from. self: one element of
        a float dtype; `gradient`, of its shape, multiplies the gradients (loss scaling)."""
        from .gradients import backward
        backward(self, gradient)

    # ---- arithmetic

    def __add__(self, other: Operand) -> Tensor:
        return _binary(_quarry.add, self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return _binary(_quarry.add, self, other, swapped=True)

    def __sub__(self, other: Operand) -> Tensor:
        return _binary(_quarry.sub, self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return _binary(_quarry.sub, self, other, swapped=True)

    def __mul__(self, other: Operand) -> Tensor:
        return _binary(_quarry.mul, self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return _binary(_quarry.mul, self, other, swapped=True)

    def __truediv__(self, other: Operand) -> Tensor:
        return _binary(_true_divide, self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return _binary(_true_divide, self, other, swapped=True)

    def __floordiv__(self, other: Operand) -> Tensor:
        return _binary(_quarry.floor_divide, self, other)

    def __rfloordiv__(self, other: Operand) -> Tensor:
        return _binary(_quarry.floor_divide, self, other, swapped=True)

    def __mod__(self, other: Operand) -> Tensor:
        return _binary(_quarry.remainder, self, other)

    def __rmod__(self, other: Operand) -> Tensor:
        return _binary(_quarry.remainder, self, other, swapped=True)

    def __pow__(self, other: Operand) -> Tensor:
        return _binary(_quarry.pow, self, other)

    def __rpow__(self, other: Operand) -> Tensor:
        return _binary(_quarry.pow, self, other, swapped=True)

    def __matmul__(self, other: Operand) -> Tensor:
        return _binary(_quarry.matmul, self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return _binary(_quarry.matmul, self, other, swapped=True)

    def __neg__(self) -> Tensor:
        return Tensor.of(_quarry.neg(self.node))

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return Tensor.of(_quarry.abs(self.node))

    def __invert__(self) -> Tensor:
        if self.dtype != "bool":
            raise TensorError(f"~ is for bool tensors, not {self.dtype}{list(self.shape)}")
        return Tensor.of(_quarry.logical_not(self.node))

    def __and__(self, other: Operand) -> Tensor:
        return _logical(_quarry.logical_and, self, other, "&")

    def __or__(self, other: Operand) -> Tensor:
        return _logical(_quarry.logical_or, self, other, "|")

    def __xor__(self, other: Operand) -> Tensor:
        return _logical(_quarry.logical_xor, self, other, "^")

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return _binary(_quarry.equal, self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return _binary(_quarry.not_equal, self, other)

    def __lt__(self, other: Operand) -> Tensor:
        return _binary(_quarry.less, self, other)

    def __le__(self, other: Operand) -> Tensor:
        return _binary(_quarry.less_equal, self, other)

    def __gt__(self, other: Operand) -> Tensor:
        return _binary(_quarry.greater, self, other)

    def __ge__(self, other: Operand) -> Tensor:
        return _binary(_quarry.greater_equal, self, other)

    def __getitem__(self, index: Any) -> Tensor:
        """Integers, slices (with steps, also negative), None, ... and one integer tensor, which takes along its
        axis."""
        return Tensor.of(indexing.get(self.node, index))

    def cast(self, dtype: DTypeLike) -> Tensor:
        return Tensor.of(_quarry.cast(self.node, dtype_name(dtype)))

    to = astype = type = cast

    def float(self) -> Tensor:
        return self.cast("f32")

    def half(self) -> Tensor:
        return self.cast("f16")

    # ---- movement

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return self.permute(*reversed(range(self.ndim)))

    def reshape(self, *shape: Any) -> Tensor:
        """Other sizes for as many elements; one may be -1."""
        return Tensor.of(_quarry.reshape(self.node, sizes_of(shape)))

    view = reshape

    def permute(self, *axes: Any) -> Tensor:
        """Axis i of the result is axis axes[i] of this."""
        return Tensor.of(_quarry.permute(self.node, sizes_of(axes, "an order of axes")))

    def transpose(self, a: int = -2, b: int = -1) -> Tensor:
        """Swaps two axes."""
        return Tensor.of(_quarry.transpose(self.node, a, b))

    def expand(self, *shape: Any) -> Tensor:
        """Repeats axes of size 1, and in front; -1 keeps a size."""
        return Tensor.of(_quarry.expand(self.node, sizes_of(shape)))

    broadcast_to = expand

    def pad(self, amounts: Sequence[tuple[int, int]], mode: str = "constant", value: float = 0.0) -> Tensor:
        """(before, after) for each axis; negative amounts cut off. mode: constant, reflect, symmetric, edge or
        circular."""
        return Tensor.of(_quarry.pad_with(self.node, [tuple(sizes_of(pair)) for pair in amounts], mode, value))

    def shrink(self, ranges: Sequence[tuple[int, int]]) -> Tensor:
        """Keeps [begin, end) of each axis."""
        return Tensor.of(_quarry.shrink(self.node, [tuple(sizes_of(pair)) for pair in ranges]))

    def flip(self, *axes: Any) -> Tensor:
        """Reverses axes; none given: all."""
        return Tensor.of(_quarry.flip(self.node, sizes_of(axes, "an axis") if axes else []))

    def squeeze(self, axis: Axis = None) -> Tensor:
        """Drops axes of size 1: those given, or all."""
        return Tensor.of(_quarry.squeeze(self.node, axes_of(axis)))

    def unsqueeze(self, axis: int) -> Tensor:
        """Adds an axis of size 1."""
        return Tensor.of(_quarry.unsqueeze(self.node, axes_of(axis)))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return Tensor.of(_quarry.flatten(self.node, start_dim, end_dim))

    # ---- new tensors

    @classmethod
    def zeros(cls, *shape: Any, dtype: DTypeLike = "f32", requires_grad: bool = False) -> Tensor:
        return cls.full(sizes_of(shape), 0, dtype, requires_grad)

    @classmethod
    def ones(cls, *shape: Any, dtype: DTypeLike = "f32", requires_grad: bool = False) -> Tensor:
        return cls.full(sizes_of(shape), 1, dtype, requires_grad)

    @classmethod
    def full(cls, shape: Sequence[int], value: float, dtype: DTypeLike | None = None,
             requires_grad: bool = False) -> Tensor:
        """All elements equal. Costs no memory, unless it requires a gradient."""
        sizes = sizes_of([shape] if isinstance(shape, (int, np.integer)) else [list(shape)])
        if dtype is None:
            dtype = storage(value)[1]
        if requires_grad:
            return cls(np.full(sizes, value), dtype, True)
        return cls.of(_constant(value, dtype_name(dtype), sizes))

    @classmethod
    def zeros_like(cls, other: Tensor, dtype: DTypeLike | None = None) -> Tensor:
        return cls.full(other.shape, 0, dtype or other.dtype)

    @classmethod
    def ones_like(cls, other: Tensor, dtype: DTypeLike | None = None) -> Tensor:
        return cls.full(other.shape, 1, dtype or other.dtype)

    @classmethod
    def arange(cls, start: float, stop: float | None = None, step: float = 1, dtype: DTypeLike | None = None) -> Tensor:
        """start, start + step, ... before stop. i32 for integers, f32 otherwise."""
        if stop is None:
            start, stop = 0, start
        if dtype is None:
            dtype = "i32" if all(isinstance(value, (int, np.integer)) for value in (start, stop, step)) else "f32"
        return cls.of(_quarry.arange(start, stop, step, dtype_name(dtype)))

    @classmethod
    def linspace(cls, start: float, stop: float, count: int, dtype: DTypeLike = "f32") -> Tensor:
        """`count` values from start to stop, both included."""
        return cls.of(_quarry.linspace(start, stop, count, dtype_name(dtype)))

    @classmethod
    def eye(cls, rows: int, columns: int | None = None, dtype: DTypeLike = "f32") -> Tensor:
        return cls.of(_quarry.eye(rows, rows if columns is None else columns, dtype_name(dtype)))

    @classmethod
    def rand(cls, *shape: Any, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = "f32",
             requires_grad: bool = False) -> Tensor:
        """Uniform in [low, high). In a captured step: other numbers in each step."""
        return cls._random(_quarry.uniform, sizes_of(shape), (low, high, dtype_name(dtype)), requires_grad)

    uniform = rand

    @classmethod
    def randn(cls, *shape: Any, mean: float = 0.0, std: float = 1.0, dtype: DTypeLike = "f32",
              requires_grad: bool = False) -> Tensor:
        """Normally distributed. In a captured step: other numbers in each step."""
        return cls._random(_quarry.normal, sizes_of(shape), (mean, std, dtype_name(dtype)), requires_grad)

    @classmethod
    def randint(cls, low: int, high: int, shape: Sequence[int], dtype: DTypeLike = "i32") -> Tensor:
        """Integers in [low, high)."""
        return cls._random(_quarry.randint, sizes_of([shape]), (low, high, dtype_name(dtype)), False)

    @classmethod
    def bernoulli(cls, probability: float, shape: Sequence[int]) -> Tensor:
        """bool: true with a probability."""
        return cls._random(_quarry.bernoulli, sizes_of([shape]), (probability,), False)

    @classmethod
    def _random(cls, function: Callable[..., _quarry.Tensor], shape: list[int], arguments: tuple,
                requires_grad: bool) -> Tensor:
        tensor = cls.of(function(shape, context.stream(), *arguments))
        if requires_grad:
            tensor.requires_grad = True
        return tensor


def _constant(value: Any, dtype: str, shape: Sequence[int] = ()) -> _quarry.Tensor:
    if isinstance(value, (bool, int, np.bool_, np.integer)) and -2**63 <= int(value) < 2**63:
        return _quarry.integer_constant(int(value), dtype, list(shape))
    try:
        return _quarry.constant(float(value), dtype, list(shape))
    except (TypeError, ValueError, OverflowError):
        raise TensorError(f"{value!r} is no number that {dtype} holds") from None


def _node_of(data: Any, dtype: DTypeLike | None, is_leaf: bool) -> _quarry.Tensor:
    if isinstance(data, Tensor):
        return data.node if dtype is None else _quarry.cast(data.node, dtype_name(dtype))
    if isinstance(data, (bool, int, float)) and not is_leaf:
        return _constant(data, storage(data, dtype)[1])
    array, name = storage(data, dtype, copy=True)
    array.flags.writeable = False
    return _quarry.input("", name, list(array.shape), array)


def operand(like: Tensor, value: Any) -> _quarry.Tensor:
    """The node of whatever stands beside `like` in an operation: numbers take its dtype."""
    if isinstance(value, Tensor):
        return value.node
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, int, float)):
        return _quarry.scalar_beside(like.node, value)
    if isinstance(value, (np.ndarray, list, tuple)):
        return _node_of(value, None, False)
    raise TypeError(f"a tensor cannot be combined with {type(value).__name__}")


def node_of(value: Any) -> _quarry.Tensor:
    """The node of a Tensor, or of a new one made of numbers or an array."""
    return value.node if isinstance(value, Tensor) else Tensor(value).node


def _binary(function: Callable[..., _quarry.Tensor], x: Tensor, y: Any, swapped: bool = False) -> Tensor:
    if not isinstance(y, (Tensor, bool, int, float, np.ndarray, np.generic, list, tuple)):
        return NotImplemented
    other = operand(x, y)
    return Tensor.of(function(other, x.node) if swapped else function(x.node, other))


def _logical(function: Callable[..., _quarry.Tensor], x: Tensor, y: Any, sign: str) -> Tensor:
    other = operand(x, y)
    if x.dtype != "bool" or other.dtype != "bool":
        raise TensorError(f"{sign} is for bool tensors, not {x.dtype}{list(x.shape)} and "
                          f"{other.dtype}{list(other.shape)}")
    return Tensor.of(function(x.node, other))


def _true_divide(x: _quarry.Tensor, y: _quarry.Tensor) -> _quarry.Tensor:
    """Integers divide as f32."""
    if not is_float(x.dtype) and not is_float(y.dtype):
        x, y = _quarry.cast(x, "f32"), _quarry.cast(y, "f32")
    return _quarry.div(x, y)


def input(name: str, shape: Sequence[int] = (), dtype: DTypeLike = "f32") -> Tensor:
    """A tensor without a value, by a name under which it is given when the graph runs: for building and quoting
    graphs."""
    if not isinstance(name, str) or not name:
        raise TensorError(f"an input needs a name, not {name!r}")
    return Tensor.of(_quarry.input(name, dtype_name(dtype),
                                   sizes_of([shape] if isinstance(shape, (int, np.integer)) else [list(shape)])))
