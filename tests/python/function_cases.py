"""Every function of the front end beside NumPy: what it is given, what NumPy says. Inputs are float64 arrays that the
dtype under test holds exactly."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from quarry import Tensor, functional as F

FLOATS = ("f16", "bf16", "f32", "f64")


@dataclass
class Case:
    """`inputs(rng)`: arrays of floats, rounded to the dtype, then what else both functions get. `ulps`: how many units
    in the last place the result may be off, beside `near` as many of the largest element."""

    name: str
    inputs: Callable[[np.random.Generator], list[Any]]
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    ulps: float = 8
    near: float = 0.0
    dtypes: tuple[str, ...] = field(default=FLOATS)


CASES: list[Case] = []


def case(name, inputs, ours, theirs, **options):
    CASES.append(Case(name, inputs, ours, theirs, **options))


def odd_shape(rng, rank=None, most=5):
    return tuple(int(size) for size in rng.integers(1, most + 1, rng.integers(1, 4) if rank is None else rank))


def normal(rank=None, count=1, scale=1.0):
    """`count` arrays of one odd shape."""
    def inputs(rng):
        shape = odd_shape(rng, rank)
        return [rng.normal(size=shape) * scale for _ in range(count)]
    return inputs


def between(low, high):
    return lambda rng: [rng.uniform(low, high, odd_shape(rng))]


def shaped(*shapes):
    """Arrays of given shapes."""
    return lambda rng: [rng.normal(size=shape) for shape in shapes]


def with_axis(inputs):
    """Adds a random axis as an int, which may be negative."""
    def more(rng):
        arrays = inputs(rng)
        rank = arrays[0].ndim
        return [*arrays, int(rng.integers(-rank, rank))]
    return more


# ---- of each element

def numpy_erf(x):
    return np.vectorize(math.erf, otypes=[float])(x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(x, 0)


ELEMENTWISE = [
    ("abs", normal(), np.abs), ("neg", normal(), np.negative), ("sign", normal(), np.sign),
    ("square", normal(), np.square),
    ("sqrt", between(0, 9), np.sqrt), ("rsqrt", between(0.1, 9), lambda x: 1 / np.sqrt(x)),
    ("reciprocal", between(0.2, 9), lambda x: 1 / x),
    ("exp", normal(scale=2), np.exp), ("exp2", normal(scale=2), np.exp2), ("expm1", normal(), np.expm1),
    ("log", between(0.01, 9), np.log),
    ("log2", between(0.01, 9), np.log2), ("log10", between(0.01, 9), np.log10), ("log1p", between(-0.9, 9), np.log1p),
    ("sin", normal(scale=20), np.sin), ("cos", normal(scale=20), np.cos), ("tan", between(-1.4, 1.4), np.tan),
    ("asin", between(-1, 1), np.arcsin),
    ("acos", between(-1, 1), np.arccos), ("atan", normal(scale=3), np.arctan), ("sinh", normal(), np.sinh),
    ("cosh", normal(), np.cosh),
    ("tanh", normal(scale=2), np.tanh), ("asinh", normal(scale=3), np.arcsinh), ("acosh", between(1.1, 9), np.arccosh),
    ("atanh", between(-0.9, 0.9), np.arctanh), ("erf", normal(), numpy_erf), ("floor", normal(scale=4), np.floor),
    ("ceil", normal(scale=4), np.ceil),
    ("trunc", normal(scale=4), np.trunc), ("round", lambda rng: [rng.integers(-9, 9, odd_shape(rng)) / 2], np.round),
    ("relu", normal(),
     lambda x: np.maximum(x, 0)), ("relu6", normal(scale=5), lambda x: np.clip(x, 0, 6)),
     ("sigmoid", normal(scale=3), sigmoid),
    ("logsigmoid", normal(scale=3), lambda x: -softplus(-x)), ("silu", normal(scale=3), lambda x: x * sigmoid(x)),
    ("mish", normal(scale=2), lambda x: x * np.tanh(softplus(x))),
    ("softsign", normal(), lambda x: x / (1 + np.abs(x))),
    ("hardswish", normal(scale=3), lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ("hardsigmoid", normal(scale=3), lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    ("hardtanh", normal(), lambda x: np.clip(x, -1, 1)), ("elu", normal(), lambda x: np.where(x > 0, x, np.expm1(x))),
    ("celu", normal(), lambda x: np.where(x > 0, x, np.expm1(x))), ("softplus", normal(scale=3), softplus),
    ("selu", normal(), lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
    ("leaky_relu", normal(), lambda x: np.where(x > 0, x, 0.01 * x)),
    ("gelu", normal(), lambda x: 0.5 * x * (1 + numpy_erf(x / math.sqrt(2)))),
]
for name, inputs, theirs in ELEMENTWISE:
    case(name, inputs, getattr(F, name), theirs, ulps=24, near=2)
case("gelu tanh", normal(), lambda x: F.gelu(x, "tanh"),
     lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), ulps=24, near=2)
SPECIAL = np.array([0.0, -0.0, 1, np.inf, -np.inf, np.nan, -2])
for name in ("isnan", "isinf", "isfinite"):
    case(name, lambda rng: [SPECIAL], getattr(F, name), getattr(np, name))
case("nan_to_num", lambda rng: [SPECIAL], lambda x: F.nan_to_num(x, 1, 2, 3),
     lambda x: np.nan_to_num(x, nan=1, posinf=2, neginf=3))
case("clip", normal(), lambda x: F.clip(x, -0.5, 0.75), lambda x: np.clip(x, -0.5, 0.75))
case("clip from below", normal(), lambda x: x.clip(min=0.25), lambda x: np.maximum(x, 0.25))
case("clip by tensors", normal(count=2), lambda x, y: F.clip(x, y, None), np.maximum)
case("threshold", normal(), lambda x: F.threshold(x, 0.5, -1), lambda x: np.where(x > 0.5, x, -1))
case("glu", shaped((3, 6)), lambda x: F.glu(x, 1), lambda x: x[:, :3] * sigmoid(x[:, 3:]), ulps=16)
case("prelu", lambda rng: [rng.normal(size=(2, 3, 4)), rng.normal(size=3)], F.prelu,
     lambda x, a: np.where(x > 0, x, x * a[:, None]))


# ---- of pairs, broadcast

def pairs(scale=1.0):
    def inputs(rng):
        shape = odd_shape(rng, 3)
        other = tuple(1 if rng.random() < 0.4 else size for size in shape)[rng.integers(0, 2):]
        return [rng.normal(size=shape) * scale, rng.normal(size=other) * scale]
    return inputs


def apart(inputs):
    """The second operand kept away from 0."""
    def more(rng):
        x, y = inputs(rng)
        return [x, np.sign(y) * (np.abs(y) + 0.5)]
    return more


for name, theirs in (("add", np.add), ("subtract", np.subtract), ("multiply", np.multiply), ("less", np.less),
                     ("less_equal", np.less_equal),
                     ("greater", np.greater), ("greater_equal", np.greater_equal), ("equal", np.equal),
                     ("not_equal", np.not_equal)):
    case(name, pairs(), theirs, theirs, ulps=1)
for number, (ours, theirs) in enumerate((
        (lambda x, y: x + y, np.add), (lambda x, y: x - y, np.subtract), (lambda x, y: x * y, np.multiply),
        (lambda x, y: x < y, np.less),
        (lambda x, y: x <= y, np.less_equal), (lambda x, y: x > y, np.greater), (lambda x, y: x >= y, np.greater_equal),
        (lambda x, y: x == y, np.equal), (lambda x, y: x != y, np.not_equal))):
    CASES[len(CASES) - 9 + number].ours = ours
case("divide", apart(pairs()), lambda x, y: x / y, np.divide, ulps=1)
case("floor_divide", apart(pairs(4)), lambda x, y: x // y, np.floor_divide, ulps=1)
case("remainder", apart(pairs(4)), lambda x, y: x % y, np.remainder, ulps=2, near=2)
case("fmod", apart(pairs(4)), F.fmod, np.fmod, ulps=2, near=2)
case("maximum", pairs(), F.maximum, np.maximum)
case("minimum", pairs(), F.minimum, np.minimum)
case("pow", lambda rng: [rng.uniform(0.2, 3, (3, 4)), rng.normal(size=(1, 4))], lambda x, y: x ** y, np.power, ulps=24)
case("pow by a number", normal(), lambda x: x ** 3, lambda x: x ** 3, ulps=24)
case("pow of a number", normal(), lambda x: 2 ** x, lambda x: 2.0 ** x, ulps=24)
case("atan2", pairs(), F.atan2, np.arctan2, ulps=24)
case("lerp", normal(count=2), lambda x, y: F.lerp(x, y, 0.25), lambda x, y: x + 0.25 * (y - x), near=4)
case("where", lambda rng: [rng.normal(size=(3, 1)), rng.normal(size=4), np.array([[np.inf], [np.nan], [1]])],
     lambda x, y, z: F.where(x > 0, y, z), lambda x, y, z: np.where(x > 0, y, z))
case("masked_fill", normal(), lambda x: F.masked_fill(x, x > 0, -2), lambda x: np.where(x > 0, -2, x))
case("logical_and and logical_xor", normal(count=2),
     lambda x, y: F.logical_xor(x > 0, y > 0) | F.logical_and(x > 1, y > 1),
     lambda x, y: ((x > 0) ^ (y > 0)) | ((x > 1) & (y > 1)))


# ---- reduces

for name in ("sum", "mean", "max", "min", "prod"):
    case(name, with_axis(normal()), lambda x, axis, name=name: getattr(x, name)(axis),
         lambda x, axis, name=name: getattr(np, name)(x, axis=axis), near=4)
    case(f"{name} of all", normal(), lambda x, name=name: getattr(F, name)(x, keepdim=True),
         lambda x, name=name: getattr(np, name)(x, keepdims=True), near=8)
case("sum of two axes", normal(3), lambda x: x.sum((0, -1)), lambda x: x.sum((0, 2)), near=8)
case("var", with_axis(shaped((3, 4, 5))), lambda x, axis: x.var(axis), lambda x, axis: x.var(axis, ddof=1), ulps=32)
case("std", shaped((4, 5)), lambda x: x.std(0, correction=0, keepdim=True), lambda x: x.std(0, keepdims=True), ulps=32)
case("any", normal(), lambda x: (x > 1).any(0), lambda x: (x > 1).any(0))
case("all", normal(), lambda x: (x > -1).all(-1), lambda x: (x > -1).all(-1))
case("argmax", with_axis(normal()), lambda x, axis: x.argmax(axis), lambda x, axis: x.argmax(axis))
case("argmin", normal(), lambda x: x.argmin(), lambda x: x.argmin())
case("logsumexp", with_axis(normal(scale=3)), lambda x, axis: x.logsumexp(axis), lambda x,
     axis: np.log(np.exp(x).sum(axis)), ulps=24, near=4)
case("norm", shaped((4, 5)), lambda x: x.norm(axis=1), lambda x: np.linalg.norm(x, axis=1), ulps=16)
case("1-norm", shaped((4, 5)), lambda x: x.norm(1, 0), lambda x: np.abs(x).sum(0), ulps=16)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


case("softmax", with_axis(normal(scale=3)), lambda x, axis: x.softmax(axis), softmax, ulps=24)
case("log_softmax", with_axis(normal(scale=3)), lambda x, axis: x.log_softmax(axis), lambda x,
     axis: np.log(softmax(x, axis)), ulps=24, near=8)
case("cumsum", with_axis(normal()), lambda x, axis: x.cumsum(axis), np.cumsum, near=8)
case("cumsum reversed", shaped((3, 6)), lambda x: F.cumsum(x, 1, True, True),
     lambda x: x[:, ::-1].cumsum(1)[:, ::-1] - x, near=8)
case("cumprod", with_axis(normal()), lambda x, axis: x.cumprod(axis), np.cumprod, ulps=32, near=8)
case("sort", with_axis(normal()), lambda x, axis: x.sort(axis)[0], lambda x, axis: np.sort(x, axis))
case("argsort", shaped((3, 5)), lambda x: x.argsort(1, descending=True), lambda x: np.argsort(-x, 1, kind="stable"))
case("topk", shaped((3, 5)), lambda x: F.topk(x, 2)[0], lambda x: -np.sort(-x, -1)[:, :2])
case("topk least", shaped((3, 5)), lambda x: F.topk(x, 3, 0, largest=False)[1],
     lambda x: np.argsort(x, 0, kind="stable")[:3])


# ---- shapes

case("cat", shaped((2, 3), (2, 1)), lambda x, y: F.cat([x, y, x], 1), lambda x, y: np.concatenate([x, y, x], 1))
case("stack", shaped((2, 3), (2, 3)), lambda x, y: F.stack([x, y], -1), lambda x, y: np.stack([x, y], -1))
case("split", shaped((2, 7)), lambda x: F.split(x, 3, 1)[2], lambda x: x[:, 6:])
case("split by sizes", shaped((2, 7)), lambda x: F.split(x, [2, 4, 1], 1)[1], lambda x: x[:, 2:6])
case("chunk", shaped((5, 2)), lambda x: F.chunk(x, 2)[1], lambda x: x[3:])
case("flip", normal(2), lambda x: F.flip(x, 0), lambda x: x[::-1])
case("roll", normal(2), lambda x: F.roll(x, (1, -2), (0, 1)), lambda x: np.roll(x, (1, -2), (0, 1)))
case("roll flat", normal(2), lambda x: F.roll(x, 3), lambda x: np.roll(x, 3))
case("tile", normal(2), lambda x: F.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)))
case("repeat_interleave", normal(2), lambda x: F.repeat_interleave(x, 3, 1), lambda x: np.repeat(x, 3, 1))
case("moveaxis", normal(3), lambda x: F.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1))
case("unflatten", shaped((2, 6)), lambda x: F.unflatten(x, 1, (3, -1)), lambda x: x.reshape(2, 3, 2))
case("narrow", shaped((5, 2)), lambda x: F.narrow(x, 0, 1, 3), lambda x: x[1:4])
case("select", shaped((5, 2)), lambda x: F.select(x, 0, -2), lambda x: x[-2])
case("slices", shaped((5, 6)), lambda x: x[::-2, 1:-1:3], lambda x: x[::-2, 1:-1:3])
case("tril", shaped((2, 4, 5)), lambda x: F.tril(x, 1), lambda x: np.tril(x, 1))
case("triu", shaped((2, 4, 5)), lambda x: F.triu(x, -1), lambda x: np.triu(x, -1))
case("diag", shaped((3,)), lambda x: F.diag(x, -1), lambda x: np.diag(x, -1))
case("diagonal", shaped((3, 4)), lambda x: F.diagonal(x, 1), lambda x: np.diagonal(x, 1))
case("meshgrid", shaped((3,), (2,)), lambda x, y: F.meshgrid(x, y, indexing="xy")[1] + 0, lambda x,
     y: np.meshgrid(x, y)[1])
for mode, numpy_mode in (("reflect", "reflect"), ("symmetric", "symmetric"), ("edge", "edge"), ("circular", "wrap")):
    case(f"pad {mode}", shaped((4, 5)), lambda x, mode=mode: F.pad(x, [(1, 2), (3, 0)], mode),
         lambda x, mode=numpy_mode: np.pad(x, [(1, 2), (3, 0)], mode))
case("pad constant", shaped((4, 5)), lambda x: F.pad(x, (1, 0), value=1.5),
     lambda x: np.pad(x, [(0, 0), (1, 0)], constant_values=1.5))


# ---- reading and writing at positions

def positions(*shape, below, least=0):
    return lambda rng: rng.integers(least, below, shape).astype(np.int32)


def beside(inputs, index):
    return lambda rng: [*inputs(rng), index(rng)]


def scattered(x, index, source, combine):
    result = x.copy()
    for place in np.ndindex(*index.shape):
        to = (place[0], int(index[place]))
        result[to] = combine(result[to], source[place])
    return result


case("take", beside(shaped((4, 3)), positions(2, 5, below=4, least=-4)), lambda x, i: F.take(x, i), lambda x, i: x[i])
case("embedding", beside(shaped((4, 3)), positions(2, 5, below=4)), lambda x, i: F.embedding(i, x), lambda x, i: x[i])
case("gather", beside(shaped((3, 4)), positions(3, 2, below=4)), lambda x, i: F.gather(x, 1, i), lambda x,
     i: np.take_along_axis(x, i, 1))
case("take_along_axis", beside(shaped((3, 4)), positions(2, 4, below=3, least=-3)), lambda x,
     i: F.take_along_axis(x, i, 0),
     lambda x, i: np.take_along_axis(x, i, 0))
case("gather_nd", beside(shaped((3, 4, 2)), positions(5, 2, below=3)), F.gather_nd, lambda x, i: x[i[:, 0], i[:, 1]])
for how, combine in (("set", lambda a, b: b), ("add", lambda a, b: a + b), ("multiply", lambda a, b: a * b),
                     ("max", max), ("min", min)):
    case(f"scatter {how}", beside(shaped((3, 4), (3, 5)), positions(3, 5, below=4)),
         lambda x, s, i, how=how: F.scatter(x, 1, i, s, how), lambda x, s, i,
         combine=combine: scattered(x, i, s, combine), ulps=16, near=8)
case("scatter_nd", lambda rng: [rng.normal(size=(4, 3)), rng.normal(size=(2, 3)), np.array([[3], [1]], np.int32)],
     lambda x, u, i: F.scatter_nd(x, i, u), lambda x, u, i: np.stack([x[0], u[1], x[2], u[0]]))
case("row_update", lambda rng: [rng.normal(size=(4, 3)), rng.normal(size=(1, 3)), np.array(2, np.int32)],
     lambda x, row, i: F.row_update(x, 0, i, row), lambda x, row, i: np.concatenate([x[:2], row, x[3:]]))
case("slice_put", shaped((4, 5), (2, 2)), lambda x, v: F.slice_put(x, [slice(1, 3), slice(0, 4, 2)], v),
     lambda x, v: np.concatenate([x[:1], np.stack([v[:, 0], x[1:3, 1], v[:, 1], x[1:3, 3], x[1:3, 4]], 1), x[3:]]))
case("one_hot", lambda rng: [rng.normal(size=1), rng.integers(0, 4, (2, 3)).astype(np.int32)], lambda x,
     i: F.one_hot(i, 4, x.dtype) * x,
     lambda x, i: np.eye(4)[i] * x)


# ---- products and convolutions

def matrix_shapes(rng):
    m, k, n, b = rng.integers(1, 6, 4)
    return [rng.normal(size=(b, m, k)), rng.normal(size=(k, n))]


case("matmul", matrix_shapes, lambda x, y: x @ y, np.matmul, near=8)
case("matmul of vectors", shaped((5,), (5, 3)), lambda x, y: F.matmul(x, y), np.matmul, near=8)
case("linear", shaped((2, 3, 5), (4, 5), (4,)), F.linear, lambda x, w, b: x @ w.T + b, near=8)
case("einsum", shaped((2, 3, 4), (2, 4, 5)), lambda x, y: F.einsum("bij,bjk->kb", x, y), lambda x,
     y: np.einsum("bij,bjk->kb", x, y), near=16)
case("einsum diagonal", shaped((3, 3), (3,)), lambda x, y: F.einsum("ii,i", x, y), lambda x, y: np.einsum("ii,i", x, y),
     near=16)
case("tensordot", shaped((2, 3, 4), (3, 4, 2)), F.tensordot, np.tensordot, near=16)


def convolved(x, w, bias=None, stride=(1, 1), pads=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """By its definition, one output position at a time."""
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    kernel = w.shape[2:]
    sizes = [(x.shape[i + 2] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(len(kernel))]
    y = np.zeros((x.shape[0], w.shape[0], *sizes))
    each_in, each_out = w.shape[1], w.shape[0] // groups
    for place in product(*map(range, sizes)):
        window = x[(slice(None), slice(None),
                    *(slice(p * s, p * s + d * (k - 1) + 1, d) for p, s, d, k in zip(place, stride, dilation, kernel)))]
        for g in range(groups):
            part = window[:, g * each_in:(g + 1) * each_in]
            y[(slice(None), slice(g * each_out, (g + 1) * each_out), *place)] = np.tensordot(
                part, w[g * each_out:(g + 1) * each_out], [list(range(1, part.ndim))] * 2)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(sizes))


def transposed(x, w, stride, groups):
    """The transposed convolution, scattering each input element."""
    each_in, each_out, kernel = x.shape[1] // groups, w.shape[1], w.shape[2:]
    y = np.zeros((x.shape[0], each_out * groups, *((x.shape[i + 2] - 1) * stride + kernel[i] for i in range(2))))
    for place in product(*map(range, x.shape[2:])):
        for g in range(groups):
            there = (slice(None), slice(g * each_out, (g + 1) * each_out),
                     *(slice(p * stride, p * stride + k) for p, k in zip(place, kernel)))
            y[there] += np.tensordot(x[(slice(None), slice(g * each_in, (g + 1) * each_in), *place)],
                                     w[g * each_in:(g + 1) * each_in], 1)
    return y


case("conv2d", shaped((2, 3, 5, 6), (4, 3, 3, 2), (4,)), lambda x, w, b: F.conv2d(x, w, b, padding=1, stride=(2, 1)),
     lambda x, w, b: convolved(x, w, b, (2, 1), ((1, 1), (1, 1))), near=32)
case("conv2d of groups", shaped((1, 4, 7, 5), (6, 2, 2, 2)), lambda x, w: F.conv2d(x, w, dilation=(2, 1), groups=2),
     lambda x, w: convolved(x, w, dilation=(2, 1), groups=2), near=32)
case("conv2d depthwise", shaped((1, 3, 5, 5), (3, 1, 3, 3)), lambda x, w: F.conv2d(x, w, padding="same", groups=3),
     lambda x, w: convolved(x, w, pads=((1, 1), (1, 1)), groups=3), near=32)
case("conv1d", shaped((2, 3, 7), (2, 3, 3), (2,)), lambda x, w, b: F.conv1d(x, w, b, stride=2),
     lambda x, w, b: convolved(x, w, b, (2,), ((0, 0),), (1,)), near=32)
case("conv3d", shaped((1, 2, 3, 4, 3), (2, 2, 2, 2, 2)), F.conv3d, lambda x,
     w: convolved(x, w, None, (1,) * 3, ((0, 0),) * 3, (1,) * 3), near=32)
case("conv_transpose2d", shaped((1, 4, 3, 2), (4, 3, 3, 2)), lambda x, w: F.conv_transpose2d(x, w, stride=2, groups=2),
     lambda x, w: transposed(x, w, 2, 2), near=32)
case("conv_transpose2d padded", shaped((1, 2, 3, 3), (2, 3, 3, 3)), lambda x,
     w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1),
     lambda x, w: np.pad(transposed(x, w, 2, 1), [(0, 0), (0, 0), (0, 1), (0, 1)])[:, :, 1:, 1:][:, :, :6, :6], near=32)


case("conv_transpose1d", shaped((1, 4, 3), (4, 3, 3)), lambda x, w: F.conv_transpose1d(x, w, stride=2, groups=2),
     lambda x, w: transposed(x[..., None], w[..., None], 2, 2)[..., 0], near=32)
case("conv_transpose3d", shaped((1, 2, 1, 3, 2), (2, 1, 1, 2, 2)), F.conv_transpose3d,
     lambda x, w: transposed(x[:, :, 0], w[:, :, 0], 1, 1)[:, :, None], near=32)


# ---- pooling, resampling

def windows_of(x, kernel, stride):
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(-2, -1))
    return view[..., ::stride[0], ::stride[1], :, :]


case("max_pool2d", shaped((2, 2, 6, 5)), lambda x: F.max_pool2d(x, (2, 3), stride=(2, 1)),
     lambda x: windows_of(x, (2, 3), (2, 1)).max((-2, -1)))
case("max_pool2d padded", shaped((1, 2, 5, 5)), lambda x: F.max_pool2d(x, 3, 2, 1),
     lambda x: windows_of(np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf), (3, 3),
                          (2, 2)).max((-2, -1)))
case("max_pool2d positions", shaped((1, 1, 4, 4)), lambda x: F.max_pool2d(x, 2, return_indices=True)[1],
     lambda x: np.array([[[[8 * r + 2 * c + 4 * (k // 2) + k % 2 for c in range(2)
                            for k in [x[0, 0, 2 * r:2 * r + 2, 2 * c:2 * c + 2].argmax()]]
                           for r in range(2)]]]))
case("max_unpool2d", shaped((1, 1, 4, 4)), lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), (4, 4)),
     lambda x: np.where(x == np.repeat(np.repeat(windows_of(x, (2, 2), (2, 2)).max((-2, -1)), 2, 2), 2, 3), x, 0))
case("avg_pool2d", shaped((2, 2, 6, 5)), lambda x: F.avg_pool2d(x, 2),
     lambda x: windows_of(x, (2, 2), (2, 2)).mean((-2, -1)), near=4)
case("max_pool1d", shaped((2, 2, 6)), lambda x: F.max_pool1d(x, 2), lambda x: x.reshape(2, 2, 3, 2).max(-1))
case("max_pool3d", shaped((1, 1, 4, 2, 2)), lambda x: F.max_pool3d(x, 2),
     lambda x: x.reshape(1, 1, 2, 8).max(-1)[..., None, None])
case("avg_pool3d", shaped((1, 1, 4, 2, 2)), lambda x: F.avg_pool3d(x, 2),
     lambda x: x.reshape(1, 1, 2, 8).mean(-1)[..., None, None], near=4)
case("avg_pool1d", shaped((2, 2, 6)), lambda x: F.avg_pool1d(x, 3, 1),
     lambda x: (x[..., :-2] + x[..., 1:-1] + x[..., 2:]) / 3, near=4)
case("lp_pool2d", lambda rng: [rng.uniform(0.1, 1, (1, 2, 4, 4))], lambda x: F.lp_pool2d(x, 2, 2),
     lambda x: np.sqrt((windows_of(x, (2, 2), (2, 2)) ** 2).sum((-2, -1))), ulps=32)
case("adaptive_avg_pool2d", shaped((1, 2, 6, 5)), lambda x: F.adaptive_avg_pool2d(x, (3, 1)),
     lambda x: x.reshape(1, 2, 3, 2, 5).mean((3, 4))[..., None],
     near=4)
case("adaptive_max_pool2d", shaped((1, 2, 5, 4)), lambda x: F.adaptive_max_pool2d(x, (2, None)),
     lambda x: np.stack([x[:, :, :3].max(2), x[:, :, 2:].max(2)], 2))
case("global_avg_pool and global_max_pool", shaped((2, 3, 4, 5)), lambda x: F.global_avg_pool(x) + F.global_max_pool(x),
     lambda x: x.mean((2, 3), keepdims=True) + x.max((2, 3), keepdims=True), near=8)
case("interpolate nearest", shaped((1, 2, 3, 4)), lambda x: F.interpolate(x, scale_factor=2),
     lambda x: x.repeat(2, 2).repeat(2, 3))


def bilinear(x, height, width):
    """align_corners=True"""
    rows, columns = np.linspace(0, x.shape[2] - 1, height), np.linspace(0, x.shape[3] - 1, width)
    top, left = np.minimum(rows.astype(int), x.shape[2] - 2), np.minimum(columns.astype(int), x.shape[3] - 2)
    down, right = (rows - top)[:, None], columns - left
    corner = [x[:, :, top + i][:, :, :, left + j] for i in (0, 1) for j in (0, 1)]
    above, below = (1 - right) * corner[0] + right * corner[1], (1 - right) * corner[2] + right * corner[3]
    return (1 - down) * above + down * below


case("interpolate bilinear", shaped((1, 2, 3, 4)),
     lambda x: F.interpolate(x, (5, 7), mode="bilinear", align_corners=True),
     lambda x: bilinear(x, 5, 7), ulps=16, near=16)
case("grid_sample", lambda rng: [rng.normal(size=(1, 2, 3, 4)),
                                 np.stack(np.meshgrid(np.linspace(-1, 1, 3), np.linspace(-1, 1, 5)), -1)[None]],
     lambda x, g: F.grid_sample(x, g, align_corners=True), lambda x, g: bilinear(x, 5, 3), ulps=32, near=64,
     dtypes=("f32", "f64"))
case("pixel_shuffle and pixel_unshuffle", shaped((1, 8, 2, 3)),
     lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2) + F.pixel_shuffle(x, 2).sum() * 0, lambda x: x)
case("fold and unfold", shaped((1, 2, 4, 4)), lambda x: F.fold(F.unfold(x, 2, stride=2), (4, 4), 2, stride=2),
     lambda x: x)


# ---- normalisations, losses, attention

def normalised(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


case("layer_norm", shaped((2, 3, 6), (6,), (6,)), lambda x, w, b: F.layer_norm(x, 6, w, b), lambda x, w,
     b: normalised(x, -1) * w + b, ulps=16, near=16)
case("rms_norm", shaped((2, 3, 6), (6,)), lambda x, w: F.rms_norm(x, (6,), w), lambda x,
     w: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w,
     ulps=16)
case("group_norm", shaped((2, 4, 3, 2), (4,)), lambda x, w: F.group_norm(x, 2, w),
     lambda x, w: normalised(x.reshape(2, 2, 12), -1).reshape(x.shape) * w[:, None, None], ulps=16, near=16)
case("instance_norm", shaped((2, 3, 4, 2)), F.instance_norm, lambda x: normalised(x, (2, 3)), ulps=16, near=16)
case("batch_norm", lambda rng: [rng.normal(size=(2, 3, 4)), rng.normal(size=3), rng.uniform(0.5, 2, 3),
                                rng.normal(size=3)],
     lambda x, m, v, w: F.batch_norm(x, m, v, w), lambda x, m, v,
     w: (x - m[:, None]) / np.sqrt(v[:, None] + 1e-5) * w[:, None], ulps=16, near=16)
case("batch_norm of the batch", shaped((4, 3, 5)), lambda x: F.batch_norm(x, None, None, training=True),
     lambda x: normalised(x, (0, 2)), ulps=16, near=16)
case("normalize", shaped((3, 4)), F.normalize, lambda x: x / np.linalg.norm(x, axis=1, keepdims=True), ulps=16)
case("local_response_norm", shaped((1, 5, 2)), lambda x: F.local_response_norm(x, 3, 0.1),
     lambda x: x / (1 + 0.1 / 3 * sum(np.pad(x**2, [(0, 0), (1, 1), (0, 0)])[:, i:i + 5] for i in range(3))) ** 0.75,
     ulps=32)


def cross_entropy(x, t):
    return -np.log(softmax(x, 1))[np.arange(len(t)), t].mean()


case("cross_entropy", beside(shaped((5, 4)), positions(5, below=4)), F.cross_entropy, cross_entropy, ulps=32, near=8)
case("cross_entropy of probabilities", lambda rng: [rng.normal(size=(3, 4)), softmax(rng.normal(size=(3, 4)), 1)],
     F.cross_entropy,
     lambda x, p: -(np.log(softmax(x, 1)) * p).sum(1).mean(), ulps=32, near=8)
case("cross_entropy smoothed and ignoring", lambda rng: [rng.normal(size=(4, 3)), np.array([2, -100, 0, 1], np.int32)],
     lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1),
     lambda x, t: -np.mean([(0.9 * np.eye(3)[i] + 0.1 / 3) @ row for row,
                            i in zip(np.log(softmax(x, 1)), t) if i >= 0]), ulps=32, near=8)
case("nll_loss", beside(shaped((5, 4)), positions(5, below=4)), lambda x, t: F.nll_loss(-F.abs(x), t, reduction="sum"),
     lambda x, t: np.abs(x)[np.arange(5), t].sum(), ulps=4, near=16)
case("mse_loss", normal(2, 2), F.mse_loss, lambda x, y: ((x - y) ** 2).mean(), ulps=16)
case("l1_loss", normal(2, 2), lambda x, y: F.l1_loss(x, y, "none"), lambda x, y: np.abs(x - y), ulps=4, near=4)
HUBER = lambda d, delta: np.where(np.abs(d) < delta, d * d / 2, delta * (np.abs(d) - delta / 2))  # noqa: E731
case("huber_loss", normal(2, 2), lambda x, y: F.huber_loss(x, y, delta=0.5), lambda x, y: HUBER(x - y, 0.5).mean(),
     ulps=32)
case("smooth_l1_loss", normal(2, 2), lambda x, y: F.smooth_l1_loss(x, y, beta=0.5), lambda x,
     y: (HUBER(x - y, 0.5) / 0.5).mean(), ulps=32)
case("binary_cross_entropy", lambda rng: [rng.uniform(0.1, 0.9, (3, 4)), rng.uniform(0, 1, (3, 4))],
     F.binary_cross_entropy,
     lambda x, y: -(y * np.log(x) + (1 - y) * np.log(1 - x)).mean(), ulps=32)
case("binary_cross_entropy_with_logits", lambda rng: [rng.normal(size=(3, 4)), rng.uniform(0, 1, (3, 4))],
     F.binary_cross_entropy_with_logits,
     lambda x, y: (softplus(x) - x * y).mean(), ulps=32, near=8)
case("kl_div", lambda rng: [rng.normal(size=(3, 4)), rng.uniform(0.1, 1, (3, 4))], F.kl_div, lambda x,
     y: (y * (np.log(y) - x)).mean(), ulps=64, near=16)


def attention(q, k, v, causal):
    k, v = (np.repeat(part, q.shape[-3] // part.shape[-3], -3) for part in (k, v))
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    return softmax(scores, -1) @ v


case("scaled_dot_product_attention", shaped((2, 4, 3, 8), (2, 2, 5, 8), (2, 2, 5, 6)), F.scaled_dot_product_attention,
     lambda q, k, v: attention(q, k, v, False), ulps=32, near=16)
case("scaled_dot_product_attention causal", shaped((1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8)), lambda q, k,
     v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
     lambda q, k, v: attention(q, k, v, True), ulps=32, near=16)


def rotated(x, interleaved):
    width, length = x.shape[-1], x.shape[-2]
    angle = np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    a, b = (x[..., ::2], x[..., 1::2]) if interleaved else np.split(x, 2, -1)
    turned = a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)
    return np.stack(turned, -1).reshape(x.shape) if interleaved else np.concatenate(turned, -1)


for layout in ("half_split", "interleaved"):
    case(f"rotary_embedding {layout}", shaped((2, 3, 8)), lambda x,
         layout=layout: F.rotary_embedding(x, *F.rotary_tables(Tensor.arange(3), 8), layout),
         lambda x, layout=layout: rotated(x, layout == "interleaved"), ulps=16, near=64,
         dtypes=("f16", "bf16", "f32"))  # f64 turns in f32 too
case("sinusoidal_positions", shaped((1,)), lambda x: F.sinusoidal_positions(4, 6) + x.cast("f32") * 0,
     lambda x: np.stack([np.sin(a := np.arange(4)[:, None] / 10000 ** (np.arange(0, 6, 2) / 6)), np.cos(a)],
                        -1).reshape(4, 6), ulps=64, near=64,
     dtypes=("f32",))
