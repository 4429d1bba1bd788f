"""Layers that the NumPy references of the image models share: plain, float64, slow and easy to check by eye."""
from __future__ import annotations

import math

import numpy as np


def conv2d(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, stride: int = 1, padding: int = 0,
           groups: int = 1) -> np.ndarray:
    """x (images, channels, height, width), weight (out, channels / groups, rows, columns)."""
    images, channels, height, width = x.shape
    out, _, rows, columns = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    out_height, out_width = (height + 2 * padding - rows) // stride + 1, (width + 2 * padding - columns) // stride + 1
    grouped = weight.reshape(groups, out // groups, -1, rows, columns)
    y = np.zeros((images, groups, out // groups, out_height, out_width))
    for row in range(rows):
        for column in range(columns):
            window = seen_through(padded, row, column, stride, out_height, out_width)
            window = window.reshape(images, groups, channels // groups, out_height, out_width)
            y += np.einsum("ngchw,goc->ngohw", window, grouped[..., row, column])
    y = y.reshape(images, out, out_height, out_width)
    return y if bias is None else y + bias[:, None, None]


def seen_through(padded: np.ndarray, row: int, column: int, stride: int, height: int, width: int) -> np.ndarray:
    """A view: the pixel that each of height x width windows sees at its (row, column)."""
    return padded[:, :, row:row + stride * height:stride, column:column + stride * width:stride]


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    y = x @ weight.T
    return y if bias is None else y + bias


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + epsilon) * weight + bias


def group_norm(x: np.ndarray, groups: int, weight: np.ndarray, bias: np.ndarray, epsilon: float) -> np.ndarray:
    grouped = x.reshape(x.shape[0], groups, -1)
    centred = grouped - grouped.mean(-1, keepdims=True)
    normal = (centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + epsilon)).reshape(x.shape)
    return normal * weight[:, None, None] + bias[:, None, None]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def swish(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution's share below x."""
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, heads: int, causal: bool = False) -> np.ndarray:
    """Of (images, positions, width), head by head."""
    size = query.shape[-1] // heads
    y = np.zeros_like(query)
    for image in range(query.shape[0]):
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = query[image, :, part] @ key[image, :, part].T / np.sqrt(size)
            if causal:
                scores[np.triu(np.ones_like(scores), 1) == 1] = -np.inf
            y[image, :, part] = softmax(scores) @ value[image, :, part]
    return y
