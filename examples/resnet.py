"""ResNet-18 and ResNet-50 with torchvision's parameter names.

    python3 examples/resnet.py                                        # the price of ResNet-50; trains a small one
    python3 examples/resnet.py --weights resnet50.safetensors --image cat.jpg
"""
from __future__ import annotations

import argparse

import numpy as np

import quarry
from quarry import Tensor, functional as F, nn, optim


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(outputs)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int):
        self.conv1, self.bn1 = conv_norm(inputs, width, 3, stride)
        self.conv2, self.bn2 = conv_norm(width, width, 3)
        self.downsample = nn.Sequential(*conv_norm(inputs, width, 1, stride)) if stride > 1 or inputs != width else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int):
        outputs = 4 * width
        self.conv1, self.bn1 = conv_norm(inputs, width, 1)
        self.conv2, self.bn2 = conv_norm(width, width, 3, stride)
        self.conv3, self.bn3 = conv_norm(width, outputs, 1)
        self.downsample = nn.Sequential(*conv_norm(inputs, outputs, 1, stride)) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    def __init__(self, block: type[BasicBlock | Bottleneck], layers: list[int], classes: int = 1000, width: int = 64):
        self.conv1, self.bn1 = conv_norm(3, width, 7, stride=2)
        inputs = width
        for stage, count in enumerate(layers):
            blocks = []
            for number in range(count):
                blocks.append(block(inputs, width << stage, stride=2 if stage > 0 and number == 0 else 1))
                inputs = block.expansion * width << stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (images, 3, height, width) -> logits (images, classes)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(axis=(2, 3)))


def resnet18(**options: int) -> ResNet:
    return ResNet(BasicBlock, [2, 2, 2, 2], **options)


def resnet50(**options: int) -> ResNet:
    return ResNet(Bottleneck, [3, 4, 6, 3], **options)


def training_step(model: nn.Module, rate: float = 0.05, momentum: float = 0.9) -> quarry.capturing.Step:
    """A step that learns from one batch: weights, velocities and running statistics stay on the device."""
    optimiser = optim.SGD(model.parameters(), lr=rate, momentum=momentum)

    @quarry.jit
    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(model.train()(images), labels)
        loss.backward()
        optimiser.step()
        return loss
    return step


def stripes(count: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Something to learn: noisy stripes; the class is their direction."""
    random, labels = np.random.default_rng(seed), np.arange(count) % 4
    rows, columns = np.mgrid[:size, :size]
    lean = np.array([[1, 0], [0, 1], [1, 1], [1, -1]])[labels]
    waves = np.sin(lean[:, :1, None] * rows + lean[:, 1:, None] * columns + random.uniform(0, 6, (count, 1, 1)))
    return (waves[:, None] + random.normal(0, 0.5, (count, 3, size, size))).astype(np.float32), labels.astype(np.int32)


def learn_stripes(model: nn.Module, rate: float = 0.05) -> None:
    """Trains a small one and shows what it has learnt."""
    images, labels = stripes(16 * 32, 32)
    batches = {"images": images.reshape(16, 32, 3, 32, 32), "labels": labels.reshape(16, 32)}
    job = training_step(model, rate).job(steps=48, feed=batches)
    print("training a small one:", job.quote())
    print("loss by step:", job.run().round(3))
    images, labels = stripes(64, 32, seed=1)
    print(f"right on new stripes: {(model.eval()(Tensor(images)).argmax(-1).numpy() == labels).mean():.0%}")


def classify(model: nn.Module, weights: str, image: str) -> None:
    """Prints the likeliest five of the 1,000 classes."""
    from PIL import Image
    model.load_state_dict(quarry.safetensors.load(weights))
    pixels = np.asarray(Image.open(image).convert("RGB").resize((224, 224)), np.float32) / 255
    pixels = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    shares = F.softmax(model.eval()(Tensor(pixels.transpose(2, 0, 1)[None].astype(np.float32))), -1).numpy()[0]
    for label in shares.argsort()[:-6:-1]:
        print(f"class {label}: {shares[label]:.1%}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--weights", help="a safetensors file of ResNet-50")
    arguments.add_argument("--image", help="what to classify with it")
    options = arguments.parse_args()
    if options.weights and options.image:
        return classify(resnet50(), options.weights, options.image)
    photo = {"x": quarry.input("x", (1, 3, 224, 224))}
    print("ResNet-50, 1 image:", quarry.jit(resnet50().eval().forward).job(inputs=photo).quote())
    learn_stripes(ResNet(BasicBlock, [1, 1, 1, 1], classes=4, width=8), rate=0.02)


if __name__ == "__main__":
    main()
