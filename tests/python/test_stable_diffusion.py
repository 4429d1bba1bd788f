"""examples/stable_diffusion.py and text_to_image.py against independent NumPy, and the cost of the full networks."""
from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

os.environ.setdefault("QUARRY_ON", "interpreter")
sys.path.append(str(Path(__file__).parents[2] / "examples"))

import quarry
import reference_stable_diffusion as reference
from graph_flops import contraction_flops
from quarry import Tensor
from stable_diffusion import Part, decode, encode_text, time_features, unet
from text_to_image import checkpoint, sampler

GROUPS, HEADS = 32, 8


class ToyWeights:
    """Random weights in the shapes that a network asks for, under the names that it asks by. A small scale makes every
    variance small, so that the epsilon of each norm shows."""

    def __init__(self, scale: float = 1.0) -> None:
        self.random, self.scale = np.random.default_rng(5), scale
        self.arrays: dict[str, np.ndarray] = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in self.arrays:
            if len(shape) == 1 and name.endswith("weight"):  # of a norm
                array = self.random.normal(1, 0.3, shape)
            else:
                array = self.scale * self.random.normal(0, np.prod(shape[1:]) ** -0.5, shape)
            self.arrays[name] = array.astype(np.float32)
        return Tensor(self.arrays[name])


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class AsInNumPy(unittest.TestCase):
    def assert_close(self, found: np.ndarray, expected: np.ndarray) -> None:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())

    def test_text_encoder(self) -> None:
        tokens = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]], np.int32)
        for scale in (1, 0.01):
            weights = ToyWeights(scale)
            found = encode_text(Part(weights), Tensor(tokens), width=128, layers=2, vocabulary=11).numpy()
            self.assert_close(found, reference.encode_text(weights.arrays, tokens, heads=2))

    def test_unet(self) -> None:
        latent, text, timesteps = numbers(2, 4, 4, 6), numbers(2, 5, 24, seed=1), np.array([1, 821])
        for scale in (1, 0.01):
            weights = ToyWeights(scale)
            found = unet(Part(weights), Tensor(latent), Tensor(time_features(timesteps, 32)), Tensor(text), (32, 64))
            self.assert_close(found.numpy(), reference.unet(weights.arrays, latent, timesteps, text, HEADS, GROUPS))

    def test_decoder(self) -> None:
        latent = numbers(1, 4, 2, 4)
        for scale in (1, 0.01):
            weights = ToyWeights(scale)
            found = decode(Part(weights), Tensor(latent), (32, 64)).numpy()
            self.assertEqual(found.shape, (1, 3, 4, 8))
            self.assert_close(found, reference.decode_latent(weights.arrays, latent, GROUPS))

    def test_all_steps_of_the_sampler_as_one_job(self) -> None:
        weights, noise, text = ToyWeights(), numbers(1, 4, 4, 4), numbers(2, 5, 24, seed=1)
        found = sampler(Part(weights), noise, Tensor(text), steps=3, guidance=4.0, channels=(32, 64)).run()
        self.assert_close(np.asarray(found), reference.sample(weights.arrays, noise, text, 3, 4.0, HEADS, GROUPS))


class Checkpoints(unittest.TestCase):
    def test_files_of_16_bits_with_the_older_names_of_an_attention_are_read(self) -> None:
        weights = ToyWeights()
        expected = decode(Part(weights), Tensor(numbers(1, 4, 4, 4)), (32, 64)).numpy()
        older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        stored = {}
        for name, array in weights.arrays.items():
            for new, old in older.items():
                name = name.replace(f".{new}.", f".{old}.")
            stored[name] = array.astype(np.float16)
        with tempfile.TemporaryDirectory() as folder:
            quarry.safetensors.save(Path(folder) / "vae.safetensors", stored)
            read = Part(checkpoint(Path(folder) / "vae.safetensors"))
        found = decode(read, Tensor(numbers(1, 4, 4, 4)), (32, 64)).numpy()
        np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def parameters(build) -> tuple[int, quarry.Graph]:
    """How many there are in the graph of build(part), and that graph."""
    shapes: dict[str, tuple[int, ...]] = {}

    def find(name: str, shape: tuple[int, ...]) -> Tensor:
        shapes[name] = shape
        return quarry.input(name, shape)

    graph = quarry.build({"out": build(Part(find))})
    return sum(np.prod(shape, dtype=int) for shape in shapes.values()), graph


def full_unet(model: Part) -> Tensor:
    return unet(model, quarry.input("latent", (2, 4, 64, 64)), quarry.input("time", (2, 320)),
                quarry.input("text", (2, 77, 768)))


def unet_contractions(images: int, size: int, positions: int, text: int, widths: tuple[int, ...]) -> int:
    """Multiplications and additions of the UNet's products, from its drawing: one image's pixels at a time."""
    def convolution(pixels: int, inputs: int, outputs: int, kernel: int = 3) -> int:
        return pixels * inputs * outputs * kernel ** 2

    def residual(pixels: int, inputs: int, outputs: int) -> int:
        shortcut = convolution(pixels, inputs, outputs, 1) if inputs != outputs else 0
        return (convolution(pixels, inputs, outputs) + 4 * widths[0] * outputs + convolution(pixels, outputs, outputs)
                + shortcut)

    def transformer(pixels: int, width: int) -> int:
        projections = 2 * width ** 2 + 4 * width ** 2 + 2 * width ** 2 + 8 * width ** 2 + 4 * width ** 2
        looks = 2 * pixels * pixels * width + 2 * pixels * positions * width
        return pixels * projections + 2 * positions * text * width + looks

    total = widths[0] * 4 * widths[0] + (4 * widths[0]) ** 2 + convolution(size ** 2, 4, widths[0])
    inputs, passed, pixels = widths[0], [widths[0]], size ** 2
    for level, width in enumerate(widths):
        for _ in range(2):
            total += residual(pixels, inputs, width) + (transformer(pixels, width) if level < 3 else 0)
            inputs = width
            passed.append(width)
        if level < 3:
            pixels //= 4
            total += convolution(pixels, width, width)
            passed.append(width)
    total += 2 * residual(pixels, inputs, inputs) + transformer(pixels, inputs)
    for level, width in reversed(list(enumerate(widths))):
        for _ in range(3):
            total += residual(pixels, inputs + passed.pop(), width) + (transformer(pixels, width) if level < 3 else 0)
            inputs = width
        if level > 0:
            pixels *= 4
            total += convolution(pixels, width, width)
    return 2 * images * (total + convolution(pixels, inputs, 4))


class FullSize(unittest.TestCase):
    def test_networks_have_the_known_numbers_of_parameters(self) -> None:
        self.assertEqual(parameters(full_unet)[0], 859_520_964)
        tokens, latent = quarry.input("tokens", (1, 77), "i32"), quarry.input("latent", (1, 4, 64, 64))
        self.assertEqual(parameters(lambda text_encoder: encode_text(text_encoder, tokens))[0], 123_060_480)
        self.assertEqual(parameters(lambda vae: decode(vae, latent))[0], 49_490_199)

    def test_unet_costs_1619_gflop(self) -> None:
        graph = parameters(full_unet)[1]
        self.assertAlmostEqual(graph.count()["flops"] / 1618.76e9, 1, delta=0.03)
        expected = unet_contractions(images=2, size=64, positions=77, text=768, widths=(320, 640, 1280, 1280))
        self.assertAlmostEqual(contraction_flops(graph.json()) / expected, 1, delta=0.001)


if __name__ == "__main__":
    unittest.main()
