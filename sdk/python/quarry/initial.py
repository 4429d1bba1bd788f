"""The random values that layers start with: those of Tensor.rand and Tensor.randn, but drawn here and only when they
are needed. A model that is only counted or quoted draws none, its weights are inputs of its graph, and no kernel is
compiled for each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

import _quarry
from _quarry import TensorError

from .context import context
from .tensor import Tensor

BLOCKS_AT_ONCE = 1 << 16  # words that stay in a processor's cache


class Deferred:
    """The value of an INPUT, made when it is first asked for."""

    def __init__(self, make: Callable[[], np.ndarray]):
        self._make: Callable[[], np.ndarray] | None = make

    def array(self) -> np.ndarray:
        if self._make is not None:
            self._array = self._make()
            self._array.flags.writeable = False
            self._make = None
        return self._array


def uniform(bound: float, *shape: int) -> Tensor:
    """In [-bound, bound), trainable."""
    def values(unit: np.ndarray) -> np.ndarray:
        return unit * np.float32(2 * bound) + np.float32(-bound)
    return _weight(shape, lambda count, seed, stream: values(random_f32(count, seed, stream)))


def normal(*shape: int) -> Tensor:
    """Of mean 0 and deviation 1, trainable."""
    def values(count: int, seed: int, stream: int) -> np.ndarray:
        pairs = (count + 1) // 2
        unit = random_f32(2 * pairs, seed, stream)
        radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - unit[:pairs]))
        angle = unit[pairs:] * np.float32(2 * math.pi)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
    return _weight(shape, values)


def _weight(shape: Sequence[int], values: Callable[[int, int, int], np.ndarray]) -> Tensor:
    if any(size < 0 for size in shape):
        raise TensorError(f"sizes are 0 or more, not {list(shape)}")
    seed, stream, count = context.seed, context.stream(), math.prod(shape)
    payload = Deferred(lambda: np.ascontiguousarray(values(count, seed, stream).reshape(shape), np.float32))
    tensor = Tensor.of(_quarry.input("", "f32", list(shape), payload))
    tensor.requires_grad = True
    return tensor


def random_f32(count: int, seed: int, stream: int) -> np.ndarray:
    """The first `count` elements of RAND at step 0 (docs/graph-format.md): Philox4x32-10."""
    words = np.empty(((count + 3) // 4, 4), np.uint32)
    for first in range(0, len(words), BLOCKS_AT_ONCE):
        part = words[first:first + BLOCKS_AT_ONCE]
        _philox(np.arange(first, first + len(part), dtype=np.uint64), seed, stream, part)
    return (words.reshape(-1)[:count] >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def _philox(block: np.ndarray, seed: int, stream: int, words: np.ndarray) -> None:
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [block & mask, block >> half, np.uint64(0), np.uint64(stream)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        low, high = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(high >> half) ^ c[1] ^ np.uint64(key[0]), high & mask, (low >> half) ^ c[3] ^ np.uint64(key[1]),
             low & mask]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    for position in range(4):
        words[:, position] = c[position]
