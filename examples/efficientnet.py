"""EfficientNet-B0 with torchvision's parameter names. Training has dropout, but drops no whole blocks.

    python3 examples/efficientnet.py                                  # the price of B0; trains a small one
    python3 examples/efficientnet.py --weights efficientnet_b0.safetensors --image cat.jpg
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

import quarry
from quarry import Tensor, functional as F, nn
from resnet import classify, learn_stripes

# Table 1 of the paper: kernel, expansion, channels, layers, stride.
B0 = ((3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1), (5, 6, 192, 4, 2),
      (3, 6, 320, 1, 1))


class ConvNorm(nn.Sequential):
    """Convolution and batch norm, then swish unless `linear`."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
                 linear: bool = False):
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs))
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x if self.linear else F.silu(x)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeezed: int):
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.sigmoid(self.fc2(F.silu(self.fc1(x.mean(axis=(2, 3), keepdim=True)))))


class InvertedBottleneck(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, expansion: int, stride: int):
        hidden = inputs * expansion
        layers = [ConvNorm(inputs, hidden)] if expansion > 1 else []
        self.block = nn.Sequential(*layers, ConvNorm(hidden, hidden, kernel, stride, groups=hidden),
                                   SqueezeExcite(hidden, max(1, inputs // 4)), ConvNorm(hidden, outputs, linear=True))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.residual else self.block(x)


class EfficientNet(nn.Module):
    def __init__(self, classes: int = 1000, width: float = 1.0, dropout: float = 0.2, table: Sequence[tuple] = B0):
        def scaled(channels: int) -> int:
            """To a multiple of 8, and not more than a tenth down, as the paper's code does."""
            rounded = max(8, int(channels * width + 4) // 8 * 8)
            return rounded if rounded >= 0.9 * channels * width else rounded + 8

        inputs = scaled(32)
        stages: list[nn.Module] = [ConvNorm(3, inputs, 3, 2)]
        for kernel, expansion, channels, layers, stride in table:
            outputs, blocks = scaled(channels), []
            for number in range(layers):
                blocks.append(InvertedBottleneck(inputs, outputs, kernel, expansion, stride if number == 0 else 1))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        last = 4 * inputs
        self.features = nn.Sequential(*stages, ConvNorm(inputs, last))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> Tensor:
        """x (images, 3, height, width) -> logits (images, classes)."""
        return self.classifier(self.features(x).mean(axis=(2, 3)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--weights", help="a safetensors file of EfficientNet-B0")
    arguments.add_argument("--image", help="what to classify with it")
    options = arguments.parse_args()
    if options.weights and options.image:
        return classify(EfficientNet(), options.weights, options.image)
    photo = {"x": quarry.input("x", (1, 3, 224, 224))}
    print("EfficientNet-B0, 1 image:", quarry.jit(EfficientNet().eval().forward).job(inputs=photo).quote())
    learn_stripes(EfficientNet(classes=4, width=0.25, table=B0[:2]))  # its first stages, narrow


if __name__ == "__main__":
    main()
