"""ResNet and EfficientNet in NumPy, forward and one training step, written from the papers by torchvision's names.

Every layer has its derivative beside it, worked out by hand: a Tape remembers how to walk back. float64, and no code in
common with the examples.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference_layers import conv2d, seen_through, sigmoid

Weights = dict[str, np.ndarray]


class Value:
    """An array, and the derivative of the loss by it once Tape.walk_back() came by."""

    def __init__(self, data: np.ndarray):
        self.data = data
        self.slope = np.zeros_like(data)


class Tape:
    """Layers over Values. In training, batch norms use the batch and update the running statistics in `weights`."""

    def __init__(self, weights: Weights, training: bool):
        self.weights = {name: Value(np.asarray(value, np.float64)) for name, value in weights.items()}
        self.training = training
        self.way_back: list[Callable[[], None]] = []

    def __getitem__(self, name: str) -> Value:
        return self.weights[name]

    def result(self, data: np.ndarray, give_back: Callable[[np.ndarray], None]) -> Value:
        y = Value(data)
        self.way_back.append(lambda: give_back(y.slope))
        return y

    def walk_back(self, loss: Value) -> None:
        loss.slope = np.ones_like(loss.data)
        for give_back in reversed(self.way_back):
            give_back()

    def conv2d(self, x: Value, name: str, stride: int = 1, groups: int = 1) -> Value:
        """Padded by half the kernel, without or with a bias."""
        weight, bias = self[name + ".weight"], self.weights.get(name + ".bias")
        padding = weight.data.shape[-1] // 2

        def give_back(slope: np.ndarray) -> None:
            by_x, by_weight = conv2d_slopes(x.data, weight.data, slope, stride, padding, groups)
            x.slope += by_x
            weight.slope += by_weight
            if bias is not None:
                bias.slope += slope.sum((0, 2, 3))
        return self.result(conv2d(x.data, weight.data, bias.data if bias else None, stride, padding, groups), give_back)

    def batch_norm(self, x: Value, name: str, momentum: float = 0.1, epsilon: float = 1e-5) -> Value:
        scale, shift = self[name + ".weight"], self[name + ".bias"]
        mean, variance = self[name + ".running_mean"].data, self[name + ".running_var"].data
        if self.training:
            running = mean, variance
            mean, variance = x.data.mean((0, 2, 3)), x.data.var((0, 2, 3))
            count = x.data.size / mean.size
            self[name + ".running_mean"].data = (1 - momentum) * running[0] + momentum * mean
            self[name + ".running_var"].data = (1 - momentum) * running[1] + momentum * variance * count / (count - 1)
        deviation = np.sqrt(variance + epsilon)[:, None, None]
        normal = (x.data - mean[:, None, None]) / deviation

        def give_back(slope: np.ndarray) -> None:
            scale.slope += (slope * normal).sum((0, 2, 3))
            shift.slope += slope.sum((0, 2, 3))
            slope = slope * scale.data[:, None, None]
            if self.training:
                slope = slope - slope.mean((0, 2, 3), keepdims=True)
                slope = slope - normal * (slope * normal).mean((0, 2, 3), keepdims=True)
            x.slope += slope / deviation
        return self.result(normal * scale.data[:, None, None] + shift.data[:, None, None], give_back)

    def relu(self, x: Value) -> Value:
        def give_back(slope: np.ndarray) -> None:
            x.slope += slope * (x.data > 0)
        return self.result(np.maximum(x.data, 0), give_back)

    def sigmoid(self, x: Value) -> Value:
        y = sigmoid(x.data)

        def give_back(slope: np.ndarray) -> None:
            x.slope += slope * y * (1 - y)
        return self.result(y, give_back)

    def multiply(self, x: Value, y: Value) -> Value:
        """y may have one pixel for all of x's."""
        def give_back(slope: np.ndarray) -> None:
            x.slope += slope * y.data
            by_y = slope * x.data
            y.slope += by_y if y.data.shape == x.data.shape else by_y.sum((2, 3), keepdims=True)
        return self.result(x.data * y.data, give_back)

    def swish(self, x: Value) -> Value:
        return self.multiply(x, self.sigmoid(x))

    def add(self, x: Value, y: Value) -> Value:
        def give_back(slope: np.ndarray) -> None:
            x.slope += slope
            y.slope += slope
        return self.result(x.data + y.data, give_back)

    def mean_pixel(self, x: Value) -> Value:
        def give_back(slope: np.ndarray) -> None:
            x.slope += slope / (x.data.shape[2] * x.data.shape[3])
        return self.result(x.data.mean((2, 3), keepdims=True), give_back)

    def max_pool(self, x: Value) -> Value:
        """3 x 3, stride 2, padding 1."""
        height, width = (x.data.shape[2] + 1) // 2, (x.data.shape[3] + 1) // 2
        padded = np.pad(x.data, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        windows = np.stack([seen_through(padded, place // 3, place % 3, 2, height, width) for place in range(9)])

        def give_back(slope: np.ndarray) -> None:
            chosen, spread = windows.argmax(0), np.zeros_like(padded)
            for place in range(9):
                seen_through(spread, place // 3, place % 3, 2, height, width)[...] += slope * (chosen == place)
            x.slope += spread[:, :, 1:-1, 1:-1]
        return self.result(windows.max(0), give_back)

    def classify(self, x: Value, name: str) -> Value:
        """(images, channels, 1, 1) -> (images, classes)."""
        weight, bias, features = self[name + ".weight"], self[name + ".bias"], x.data[:, :, 0, 0]

        def give_back(slope: np.ndarray) -> None:
            x.slope += (slope @ weight.data)[:, :, None, None]
            weight.slope += slope.T @ features
            bias.slope += slope.sum(0)
        return self.result(features @ weight.data.T + bias.data, give_back)

    def cross_entropy(self, logits: Value, labels: np.ndarray) -> Value:
        shares = np.exp(logits.data - logits.data.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        images = np.arange(len(labels))

        def give_back(slope: np.ndarray) -> None:
            logits.slope += slope * (shares - np.eye(shares.shape[1])[labels]) / len(labels)
        return self.result(-np.log(shares[images, labels]).mean(), give_back)


def conv2d_slopes(x: np.ndarray, weight: np.ndarray, slope: np.ndarray, stride: int, padding: int, groups: int
                  ) -> tuple[np.ndarray, np.ndarray]:
    """The loss's derivatives by x and by weight, from those by their convolution."""
    images, _, height, width = x.shape
    out_height, out_width = slope.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    by_x, by_weight = np.zeros_like(padded), np.zeros_like(weight)
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    grouped_slope = slope.reshape(images, groups, -1, out_height, out_width)
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            seen = seen_through(padded, row, column, stride, out_height, out_width)
            kernel = grouped[..., row, column]
            spread = np.einsum("ngohw,goc->ngchw", grouped_slope, kernel).reshape(seen.shape)
            seen_through(by_x, row, column, stride, out_height, out_width)[...] += spread
            seen = seen.reshape(images, groups, -1, out_height, out_width)
            by_kernel = np.einsum("ngohw,ngchw->goc", grouped_slope, seen)
            by_weight[:, :, row, column] = by_kernel.reshape(weight.shape[:2])
    return by_x[:, :, padding:padding + height, padding:padding + width], by_weight


def resnet(tape: Tape, images: np.ndarray) -> Value:
    """ResNet as torchvision has it: the stride of a bottleneck is at its 3 x 3 convolution. Depth and width follow from
    the weights."""
    def conv_norm(x: Value, conv: str, norm: str, stride: int = 1) -> Value:
        return tape.batch_norm(tape.conv2d(x, conv, stride), norm)

    x = tape.max_pool(tape.relu(conv_norm(Value(images), "conv1", "bn1", 2)))
    for stage in range(1, 5):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in tape.weights:
            name, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            if name + "conv3.weight" in tape.weights:
                y = tape.relu(conv_norm(x, name + "conv1", name + "bn1"))
                y = tape.relu(conv_norm(y, name + "conv2", name + "bn2", stride))
                y = conv_norm(y, name + "conv3", name + "bn3")
            else:
                y = tape.relu(conv_norm(x, name + "conv1", name + "bn1", stride))
                y = conv_norm(y, name + "conv2", name + "bn2")
            if name + "downsample.0.weight" in tape.weights:
                x = conv_norm(x, name + "downsample.0", name + "downsample.1", stride)
            x = tape.relu(tape.add(x, y))
            block += 1
    return tape.classify(tape.mean_pixel(x), "fc")


def efficientnet_b0(tape: Tape, images: np.ndarray) -> Value:
    """Table 1 of the EfficientNet paper. Blocks and channels follow from the weights; dropout is left out."""
    def conv_norm(x: Value, name: str, stride: int = 1, groups: int = 1) -> Value:
        return tape.batch_norm(tape.conv2d(x, name + ".0", stride, groups), name + ".1")

    def inverted_bottleneck(x: Value, name: str, stride: int) -> Value:
        """Expand (not the first stage, which has one layer less), filter by channel, squeeze and excite, project."""
        y, layer = x, 0
        if f"{name}.block.3.0.weight" in tape.weights:
            y, layer = tape.swish(conv_norm(y, f"{name}.block.0")), 1
        y = tape.swish(conv_norm(y, f"{name}.block.{layer}", stride, groups=y.data.shape[1]))
        gate = tape.swish(tape.conv2d(tape.mean_pixel(y), f"{name}.block.{layer + 1}.fc1"))
        y = tape.multiply(y, tape.sigmoid(tape.conv2d(gate, f"{name}.block.{layer + 1}.fc2")))
        y = conv_norm(y, f"{name}.block.{layer + 2}")
        return tape.add(x, y) if x.data.shape == y.data.shape else y

    x = tape.swish(conv_norm(Value(images), "features.0", 2))
    for stage, stride in enumerate((1, 2, 2, 2, 1, 2, 1), 1):
        block = 0
        while f"features.{stage}.{block}.block.0.0.weight" in tape.weights:
            x = inverted_bottleneck(x, f"features.{stage}.{block}", stride if block == 0 else 1)
            block += 1
    x = tape.swish(conv_norm(x, "features.8"))
    return tape.classify(tape.mean_pixel(x), "classifier.1")


def train_step(model: Callable[[Tape, np.ndarray], Value], weights: Weights, velocity: Weights, images: np.ndarray,
               labels: np.ndarray, rate: float, momentum: float) -> tuple[float, Weights, Weights]:
    """The loss before the step, and weights (running statistics too) and velocity after it."""
    tape = Tape(weights, training=True)
    loss = tape.cross_entropy(model(tape, images), labels)
    tape.walk_back(loss)
    after = {name: value.data for name, value in tape.weights.items()}
    speed = {}
    for name, value in tape.weights.items():
        if "running" not in name:
            speed[name] = momentum * velocity.get(name, 0) + value.slope
            after[name] = value.data - rate * speed[name]
    return float(loss.data), after, speed
