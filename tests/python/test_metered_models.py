"""The table of models in docs/metering.md says what the examples count."""
from __future__ import annotations

import os
import re
import sys
import unittest
from dataclasses import replace
from pathlib import Path

import numpy as np

os.environ.setdefault("QUARRY_ON", "interpreter")
ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "examples"))

import quarry
from efficientnet import EfficientNet
from graph_flops import contraction_flops
from llama import LLAMA_7B, Llama, Writer
from quarry import nn
from resnet import resnet50, training_step
from stable_diffusion import Part, unet


def photo(model: nn.Module) -> quarry.Graph:
    return quarry.jit(model.eval().forward).job(inputs={"x": quarry.input("x", (1, 3, 224, 224))}).graph


def training(model: nn.Module) -> quarry.Graph:
    return training_step(model).job(feed={"images": np.zeros((1, 16, 3, 224, 224), np.float32),
                                          "labels": np.zeros((1, 16), np.int32)}).graph


def token(context: int) -> quarry.Graph:
    return Writer(Llama(replace(LLAMA_7B, context=context))).write.job().graph


def noise() -> quarry.Graph:
    latent, time, text = (quarry.input(*given) for given in (
        ("latent", (2, 4, 64, 64)), ("time", (2, 320)), ("text", (2, 77, 768))))
    return quarry.build(unet(Part(quarry.input), latent, time, text))


MODELS = {  # row: how its graph is made, and how many things that is
    "EfficientNet-B0, 1 image of 224 x 224": (lambda: photo(EfficientNet()), 1),
    "ResNet-50, 1 image of 224 x 224": (lambda: photo(resnet50()), 1),
    "ResNet-50, a step of SGD with momentum, per image of 16": (lambda: training(resnet50()), 16),
    "LLaMA-7B, one token, bf16, cache of 9 positions": (lambda: token(9), 1),
    "LLaMA-7B, one token, bf16, cache of 1,024 positions": (lambda: token(1024), 1),
    "Stable Diffusion 1.4, UNet, 2 latents of 64 x 64": (noise, 1),
}


class Table(unittest.TestCase):
    def test_figures_are_what_is_counted(self) -> None:
        page = (ROOT / "docs" / "metering.md").read_text()
        table = page[page.index("## Models"):]
        rows = re.findall(r"^\| (.+?) \| ([\d.,]+) G \| .+? \| ([\d.,]+) G \|$", table, re.MULTILINE)
        self.assertEqual([row[0] for row in rows], list(MODELS))
        for name, *written in rows:
            make, number = MODELS[name]
            graph, (flops, products) = make(), (1e9 * float(figure.replace(",", "")) for figure in written)
            self.assertAlmostEqual(graph.count()["flops"] / number / flops, 1, delta=0.005)
            self.assertAlmostEqual(contraction_flops(graph.json()) / number / products, 1, delta=0.001)


if __name__ == "__main__":
    unittest.main()
