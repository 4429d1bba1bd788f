"""examples/resnet.py and efficientnet.py against independent NumPy: results, a training step, and what they cost."""
from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

os.environ.setdefault("QUARRY_ON", "interpreter")
sys.path.append(str(Path(__file__).parents[2] / "examples"))

import quarry
import reference_vision as reference
from efficientnet import EfficientNet
from graph_flops import contraction_flops
from quarry import Tensor, nn
from resnet import BasicBlock, Bottleneck, ResNet, classify, resnet18, resnet50, training_step

CLASSES, RATE, MOMENTUM = 5, 0.05, 0.9


def small_resnet(block: type) -> ResNet:
    return ResNet(block, [1, 2, 1, 1], classes=CLASSES, width=4)


def small_efficientnet() -> EfficientNet:
    return EfficientNet(classes=CLASSES, width=0.125, dropout=0)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable]] = {
    "ResNet of basic blocks": (lambda: small_resnet(BasicBlock), reference.resnet),
    "ResNet of bottlenecks": (lambda: small_resnet(Bottleneck), reference.resnet),
    "EfficientNet": (small_efficientnet, reference.efficientnet_b0),
}


def weights_for(model: nn.Module) -> dict[str, np.ndarray]:
    random, weights = np.random.default_rng(11), {}
    for name, value in model.state_dict().items():
        if len(value.shape) > 1:
            array = random.normal(0, np.prod(value.shape[1:]) ** -0.5, value.shape)
        else:
            array = random.uniform(0.5, 1.5, value.shape) if name.endswith(("weight", "var")) else (
                random.normal(0, 0.2, value.shape))
        weights[name] = array.astype(np.float32)
    return weights


def batch() -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(1).normal(size=(4, 3, 48, 40)).astype(np.float32), np.array([0, 3, 1, 4], np.int32)


class AsInNumPy(unittest.TestCase):
    def test_scores_of_images(self) -> None:
        for name, (make, expected_of) in MODELS.items():
            with self.subTest(name):
                model = make().eval()
                weights = weights_for(model)
                model.load_state_dict(weights)
                expected = expected_of(reference.Tape(weights, training=False), batch()[0]).data
                np.testing.assert_allclose(model(Tensor(batch()[0])).numpy(), expected, rtol=1e-3, atol=1e-4)

    def test_two_training_steps(self) -> None:
        """Losses, weights and running statistics after SGD with momentum, as one job of two steps."""
        for name, (make, expected_of) in MODELS.items():
            with self.subTest(name):
                model = make()
                weights, (images, labels) = weights_for(model), batch()
                model.load_state_dict(weights)
                job = training_step(model, RATE, MOMENTUM).job(steps=2, keep="each", feed={
                    "images": np.stack([images, images[::-1]]), "labels": np.stack([labels, labels])})
                losses, after, velocity = np.asarray(job.run()).ravel(), weights, {}
                for step, seen in enumerate((images, images[::-1])):
                    loss, after, velocity = reference.train_step(expected_of, after, velocity, seen, labels, RATE,
                                                                 MOMENTUM)
                    self.assertAlmostEqual(losses[step] / loss, 1, delta=1e-3)
                found = model.state_dict()
                for key, value in after.items():
                    change = np.abs(value - weights[key]).max()
                    np.testing.assert_allclose(found[key].numpy() - weights[key], value - weights[key], rtol=0.01,
                                               atol=0.01 * change + 1e-6, err_msg=f"{name} {key}")


def parameter_count(model: nn.Module) -> int:
    return sum(np.prod(value.shape, dtype=int) for value in model.parameters())


def one_image(model: nn.Module) -> quarry.Graph:
    """Captured, so that weights are inputs: what it costs to make random ones is not the model's."""
    return quarry.jit(model.eval().forward).job(inputs={"x": quarry.input("x", (1, 3, 224, 224))}).graph


def resnet50_products() -> tuple[int, int]:
    """Terms of all sums of products of one image, and of its first convolution: He et al., table 1."""
    first = 112 ** 2 * 7 ** 2 * 3 * 64
    total, inputs, size = first, 64, 56
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for block in range(blocks):
            halves = stage > 0 and block == 0
            total += size ** 2 * inputs * width
            size //= 2 if halves else 1
            total += size ** 2 * (9 * width * width + width * 4 * width)
            total += size ** 2 * inputs * 4 * width if block == 0 else 0
            inputs = 4 * width
    return total + inputs * 1000, first


def efficientnet_products() -> int:
    """Tan and Le, table 1: (kernel, expansion, outputs, layers, stride) of each stage."""
    total, inputs, size = 112 ** 2 * 9 * 3 * 32, 32, 112
    for kernel, expansion, outputs, layers, stride in (
            (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1),
            (5, 6, 192, 4, 2), (3, 6, 320, 1, 1)):
        for layer in range(layers):
            hidden = expansion * inputs
            total += size ** 2 * inputs * hidden if expansion > 1 else 0
            size //= stride if layer == 0 else 1
            total += size ** 2 * (hidden * kernel ** 2 + hidden * outputs) + 2 * hidden * (inputs // 4)
            inputs = outputs
    return total + size ** 2 * 320 * 1280 + 1280 * 1000


class Checkpoints(unittest.TestCase):
    def test_a_photo_is_classified_with_the_weights_of_a_file(self) -> None:
        """Such files hold how many batches a batch norm saw, which nothing needs."""
        model = small_resnet(BasicBlock)
        weights, photo = weights_for(model), np.random.default_rng(2).integers(0, 256, (224, 224, 3), np.uint8)
        pixels = (photo / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        scores = reference.resnet(reference.Tape(weights, training=False), pixels.transpose(2, 0, 1)[None]).data[0]
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
            Image.fromarray(photo).save(f"{folder}/photo.png")
            quarry.safetensors.save(f"{folder}/w", weights | {"bn1.num_batches_tracked": np.array(7)})
            classify(model, f"{folder}/w", f"{folder}/photo.png")
        shares = np.exp(scores) / np.exp(scores).sum()
        expected = [f"class {label}: {shares[label]:.1%}" for label in np.argsort(-scores)]
        self.assertEqual(printed.getvalue().splitlines(), expected)


class FullSize(unittest.TestCase):
    def assert_costs(self, graph: quarry.Graph, gflop: float, contractions: int, number: int = 1) -> None:
        self.assertAlmostEqual(contraction_flops(graph.json()) / contractions, 1, delta=0.001)
        self.assertAlmostEqual(graph.count()["flops"] / number / (gflop * 1e9), 1, delta=0.03)

    def test_models_have_the_known_numbers_of_parameters(self) -> None:
        self.assertEqual(parameter_count(resnet18()), 11_689_512)
        self.assertEqual(parameter_count(resnet50()), 25_557_032)
        self.assertEqual(parameter_count(EfficientNet()), 5_288_548)

    def test_efficientnet_b0_costs_0_848_gflop_an_image(self) -> None:
        self.assert_costs(one_image(EfficientNet()), 0.848, 2 * efficientnet_products())

    def test_resnet50_costs_8_26_gflop_an_image(self) -> None:
        self.assert_costs(one_image(resnet50()), 8.262, 2 * resnet50_products()[0])

    def test_training_resnet50_costs_24_66_gflop_an_image(self) -> None:
        """Forward, and the slopes by weights and by inputs, except that nobody needs those by the images."""
        products, first = resnet50_products()
        graph = training_step(resnet50()).job(steps=1, feed={
            "images": np.zeros((1, 16, 3, 224, 224), np.float32), "labels": np.zeros((1, 16), np.int32)}).graph
        self.assert_costs(graph, 24.66, 2 * 16 * (3 * products - first), number=16)


if __name__ == "__main__":
    unittest.main()
