"""Reads digits: a small convolutional network learns from renderings of this machine's fonts, as one job.

    python3 examples/mnist.py            # in f32
    python3 examples/mnist.py --half     # mixed precision: computes in f16, keeps its weights in f32, scales the loss

Digits are drawn in random size, place, rotation and noise. What is reported is how many of new drawings are read right,
and how many in a typeface that was held out: DejaVu Serif Bold.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import quarry
from quarry import Tensor, functional as F, nn, optim

SIZE, BATCH = 28, 100
FONTS = "/usr/share/fonts/truetype/dejavu/DejaVu{}.ttf"  # Debian: fonts-dejavu-core
SEEN, HELD_OUT = ("Sans", "Sans-Bold", "SansMono", "SansMono-Bold", "Serif"), ("Serif-Bold",)


def render(fonts: Sequence[str], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """images f32 (count, 1, 28, 28) from 0 to 1, labels i32 (count,)"""
    random = np.random.default_rng(seed)
    faces = [[ImageFont.truetype(FONTS.format(font), size) for size in range(14, 25)] for font in fonts]
    labels = random.integers(0, 10, count).astype(np.int32)
    images = np.empty((count, 1, SIZE, SIZE), np.float32)
    for image, label in zip(images, labels):
        face = faces[random.integers(len(faces))][random.integers(11)]
        left, top, right, bottom = face.getbbox(str(label))
        x, y = random.uniform(-3, 3, 2) + SIZE / 2
        picture = Image.new("L", (SIZE, SIZE))
        ImageDraw.Draw(picture).text((x - (left + right) / 2, y - (top + bottom) / 2), str(label), 255, face)
        image[0] = np.asarray(picture.rotate(random.uniform(-15, 15), Image.BILINEAR), np.float32) / 255
    return np.clip(images + random.normal(0, 0.1, images.shape), 0, 1).astype(np.float32), labels


class Net(nn.Module):
    """Two convolutions and a linear layer, whose arithmetic is done in `dtype`."""

    def __init__(self, channels: int = 16, size: int = SIZE, dropout: float = 0.25, dtype: str = "f32"):
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(2 * channels)
        self.drop, self.linear = nn.Dropout(dropout), nn.Linear(2 * channels * (size // 4) ** 2, 10)
        self.dtype = dtype

    def features(self, images: Tensor) -> Tensor:
        """images (n, 1, size, size) -> (n, 2 channels (size / 4)^2)"""
        x = images
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2)):
            x = F.conv2d(x.cast(self.dtype), conv.weight.cast(self.dtype), padding=1)
            x = F.max_pool2d(F.relu(norm(x)), 2)
        return self.drop(x.flatten(1))

    def scores(self, features: Tensor) -> Tensor:
        """features (n, 2 channels (size / 4)^2) -> logits f32 (n, 10)"""
        logits = F.linear(features.cast(self.dtype), self.linear.weight.cast(self.dtype))
        return logits.cast("f32") + self.linear.bias

    def forward(self, images: Tensor) -> Tensor:
        return self.scores(self.features(images))


def trainer(model: Net, optimiser: optim.Optimizer, scaler: optim.LossScaler | None = None):
    """A step that learns from one batch; with a scaler, a step whose gradients are not finite changes nothing."""
    @quarry.jit
    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(model.train()(images), labels)
        if scaler is None:
            loss.backward()
            optimiser.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimiser)
        return loss
    return step


def accuracy(model: Net, images: np.ndarray, labels: np.ndarray) -> float:
    job = quarry.jit(lambda images: model.eval()(images).argmax(-1)).job(
        steps=len(images) // BATCH, feed={"images": images.reshape(-1, BATCH, *images.shape[1:])})
    return float((job.run().ravel() == labels).mean())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--half", action="store_true", help="compute in f16")
    arguments.add_argument("--steps", type=int, default=400)
    options = arguments.parse_args()
    quarry.manual_seed(1)
    images, labels = render(SEEN, 200 * BATCH, seed=1)

    model = Net(dtype="f16" if options.half else "f32")
    optimiser = optim.AdamW(model.parameters(), lr=2e-3)
    scaler = optim.LossScaler() if options.half else None
    job = trainer(model, optimiser, scaler).job(steps=options.steps, feed={
        "images": images.reshape(-1, BATCH, 1, SIZE, SIZE), "labels": labels.reshape(-1, BATCH)})
    print(f"{len(images):,} digits, {options.steps} steps:", job.quote())
    losses = job.run()
    for first in range(0, options.steps, max(1, options.steps // 6)):
        print(f"step {first:3}: loss {losses[first:first + 20].mean():.3f}")
    print(f"right on new drawings: {accuracy(model, *render(SEEN, 20 * BATCH, seed=2)):.2%}")
    print(f"right in a typeface never seen: {accuracy(model, *render(HELD_OUT, 20 * BATCH, seed=3)):.2%}")


if __name__ == "__main__":
    main()
