"""Training steps of examples/words.py and examples/mnist.py in NumPy: layers with derivatives worked out by hand, and AdamW.

No code in common with the examples or the package."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

import reference_layers
import reference_vision
from reference_vision import Value, Weights


class Tape(reference_vision.Tape):
    """What transformers and networks for small images need beside the layers of reference_vision."""

    def linear(self, x: Value, name: str) -> Value:
        """x (.., in) -> (.., out), with a bias if there is one."""
        weight, bias = self[name + ".weight"], self.weights.get(name + ".bias")
        return self.project(x, weight, bias)

    def project(self, x: Value, weight: Value, bias: Value | None) -> Value:
        def give_back(slope: np.ndarray) -> None:
            x.slope += slope @ weight.data
            rows = slope.reshape(-1, slope.shape[-1])
            weight.slope += rows.T @ x.data.reshape(len(rows), -1)
            if bias is not None:
                bias.slope += rows.sum(0)
        return self.result(reference_layers.linear(x.data, weight.data, bias.data if bias else None), give_back)

    def layer_norm(self, x: Value, name: str, epsilon: float = 1e-5) -> Value:
        scale, shift = self[name + ".weight"], self[name + ".bias"]
        centred = x.data - x.data.mean(-1, keepdims=True)
        deviation = np.sqrt((centred ** 2).mean(-1, keepdims=True) + epsilon)
        normal = centred / deviation

        def give_back(slope: np.ndarray) -> None:
            lead = tuple(range(slope.ndim - 1))
            scale.slope += (slope * normal).sum(lead)
            shift.slope += slope.sum(lead)
            slope = slope * scale.data
            slope = slope - slope.mean(-1, keepdims=True) - normal * (slope * normal).mean(-1, keepdims=True)
            x.slope += slope / deviation
        return self.result(normal * scale.data + shift.data, give_back)

    def causal_attention(self, x: Value, name: str, heads: int) -> Value:
        """x (batch, places, width), by PyTorch's MultiheadAttention."""
        projected = self.project(x, self[name + ".in_proj_weight"], self[name + ".in_proj_bias"])
        batch, places, width = x.data.shape
        head = width // heads

        def apart(array: np.ndarray) -> np.ndarray:  # (batch, places, 3 width) -> (3, batch, heads, places, head)
            return array.reshape(batch, places, 3, heads, head).transpose(2, 0, 3, 1, 4)

        query, key, value = apart(projected.data)
        scores = query @ key.swapaxes(-1, -2) / math.sqrt(head)
        scores = np.where(np.tri(places, dtype=bool), scores, -np.inf)
        shares = reference_layers.softmax(scores)

        def give_back(slope: np.ndarray) -> None:
            slope = slope.reshape(batch, places, heads, head).transpose(0, 2, 1, 3)
            by_shares = slope @ value.swapaxes(-1, -2)
            by_scores = shares * (by_shares - (by_shares * shares).sum(-1, keepdims=True)) / math.sqrt(head)
            slopes = np.stack([by_scores @ key, by_scores.swapaxes(-1, -2) @ query, shares.swapaxes(-1, -2) @ slope])
            projected.slope += slopes.transpose(1, 3, 0, 2, 4).reshape(batch, places, 3 * width)

        attended = (shares @ value).transpose(0, 2, 1, 3).reshape(batch, places, width)
        return self.linear(self.result(attended, give_back), name + ".out_proj")

    def embedding(self, ids: np.ndarray, name: str) -> Value:
        table = self[name + ".weight"]

        def give_back(slope: np.ndarray) -> None:
            np.add.at(table.slope, ids, slope)
        return self.result(table.data[ids], give_back)

    def max_pool2(self, x: Value) -> Value:
        """2 x 2, stride 2."""
        images, channels, height, width = x.data.shape
        blocks = x.data.reshape(images, channels, height // 2, 2, width // 2, 2)
        highest = blocks.max((3, 5), keepdims=True)

        def give_back(slope: np.ndarray) -> None:
            x.slope += ((blocks == highest) * slope[:, :, :, None, :, None]).reshape(x.data.shape)
        return self.result(highest[:, :, :, 0, :, 0], give_back)

    def scaled(self, x: Value, factor: np.ndarray) -> Value:
        """Times a constant: a dropout's mask over its share kept."""
        def give_back(slope: np.ndarray) -> None:
            x.slope += slope * factor
        return self.result(x.data * factor, give_back)

    def flatten(self, x: Value) -> Value:
        def give_back(slope: np.ndarray) -> None:
            x.slope += slope.reshape(x.data.shape)
        return self.result(x.data.reshape(len(x.data), -1), give_back)

    def spelling_loss(self, logits: Value, words: np.ndarray) -> Value:
        """The mean over letters and ends of words (n, places + 1), 0 around each."""
        wanted, shares = words[:, 1:], reference_layers.softmax(logits.data)
        counted = (words[:, :-1] != 0) | (wanted != 0)
        rows, columns = np.indices(wanted.shape)

        def give_back(slope: np.ndarray) -> None:
            by_logits = shares - np.eye(shares.shape[-1])[wanted]
            logits.slope += slope * by_logits * counted[..., None] / counted.sum()
        return self.result(-(np.log(shares[rows, columns, wanted]) * counted).sum() / counted.sum(), give_back)


def speller(tape: Tape, words: np.ndarray, heads: int, layers: int) -> Value:
    """The loss of examples/words.py."""
    letters = words[:, :-1]
    places = tape.embedding(np.broadcast_to(np.arange(letters.shape[1]), letters.shape), "places")
    x = tape.add(tape.embedding(letters, "letters"), places)
    for layer in range(layers):
        block = f"blocks.{layer}."
        x = tape.add(x, tape.causal_attention(tape.layer_norm(x, block + "norm1"), block + "attention", heads))
        hidden = tape.relu(tape.linear(tape.layer_norm(x, block + "norm2"), block + "up"))
        x = tape.add(x, tape.linear(hidden, block + "down"))
    return tape.spelling_loss(tape.linear(tape.layer_norm(x, "norm"), "head"), words)


def digits(tape: Tape, images: np.ndarray, mask: np.ndarray | float = 1.0) -> Value:
    """The logits of examples/mnist.py. mask: what dropout multiplies the features with."""
    x = Value(images)
    for number in "12":
        x = tape.batch_norm(tape.conv2d(x, "conv" + number), "norm" + number)
        x = tape.max_pool2(tape.relu(x))
    return tape.linear(tape.scaled(tape.flatten(x), np.asarray(mask)), "linear")


class AdamW:
    """Loshchilov and Hutter's, with PyTorch's defaults."""

    def __init__(self, betas: tuple[float, float] = (0.9, 0.999), decay: float = 0.01):
        self.betas, self.decay, self.updates = betas, decay, 0
        self.first: Weights = {}
        self.second: Weights = {}

    def step(self, weights: Weights, slopes: Weights, rate: float) -> Weights:
        self.updates += 1
        after = dict(weights)
        for name, slope in slopes.items():
            first = self.first[name] = self.betas[0] * self.first.get(name, 0) + (1 - self.betas[0]) * slope
            second = self.second[name] = self.betas[1] * self.second.get(name, 0) + (1 - self.betas[1]) * slope ** 2
            mean = first / (1 - self.betas[0] ** self.updates)
            spread = np.sqrt(second / (1 - self.betas[1] ** self.updates))
            after[name] = weights[name] * (1 - rate * self.decay) - rate * mean / (spread + 1e-8)
        return after


def slopes_of(weights: Weights, loss_of: Callable[[Tape], Value]) -> tuple[float, Weights, Weights]:
    """The loss, its derivatives by the trained weights, and the weights with their running statistics moved on."""
    tape = Tape(weights, training=True)
    loss = loss_of(tape)
    tape.walk_back(loss)
    moved = {name: value.data for name, value in tape.weights.items()}
    return float(loss.data), {name: tape[name].slope for name in weights if "running" not in name}, moved
