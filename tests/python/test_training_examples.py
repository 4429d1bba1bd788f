"""examples/words.py and examples/mnist.py: training steps at toy size against independent NumPy, what training in general
must hold to (mixed precision with loss scaling, running statistics, dropout), and that they learn what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np

os.environ.setdefault("QUARRY_ON", "interpreter")
EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.append(str(EXAMPLES))

import _quarry
import mnist
import quarry
import reference_training as reference
import words
from quarry import Tensor, functional as F, nn, optim

WIDTH, HEADS, LAYERS, LONGEST = 8, 2, 2, 5
SIZE, CHANNELS, RATE = 8, 3, 0.02
Weights = reference.Weights


def fill(model: nn.Module, seed: int) -> Weights:
    """Random weights for the model, also returned."""
    random, weights = np.random.default_rng(seed), {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        spread = 0.5 if value.ndim < 2 else max(value.shape[1:]) ** -0.5
        array = random.normal(0, spread, value.shape)
        is_scale = "norm" in name and name.endswith(("weight", "var"))
        weights[name] = (np.abs(array) + 0.5 if is_scale else array).astype(np.float32)
    model.load_state_dict(weights)
    return {name: value.astype(np.float64) for name, value in weights.items()}


class TrainingCase(unittest.TestCase):
    def assert_moved_alike(self, model: nn.Module, before: Weights, after: Weights, share: float = 0.01) -> None:
        """What training changed is what it changed in NumPy."""
        found = model.state_dict()
        for name, value in after.items():
            change = value - before[name]
            np.testing.assert_allclose(found[name].numpy() - before[name], change, rtol=share,
                                       atol=share * np.abs(change).max() + 2e-6, err_msg=name)


class Words(TrainingCase):
    def toy_batches(self) -> np.ndarray:
        random = np.random.default_rng(3)
        batches = np.zeros((3, 6, LONGEST + 2), np.uint8)
        for word in batches.reshape(-1, LONGEST + 2):
            length = random.integers(1, LONGEST + 1)
            word[1:length + 1] = random.integers(1, words.LETTERS, length)
        return batches

    def test_three_steps_of_training_are_those_of_numpy(self) -> None:
        model = words.Speller(WIDTH, HEADS, LAYERS, LONGEST)
        weights, rates = fill(model, 1), np.array([0.01, 0.02, 0.005], np.float32)
        step = words.trainer(model, optim.AdamW(model.parameters(), lr=0, betas=(0.9, 0.98), weight_decay=0.1))
        losses = step.job(steps=3, feed={"words": self.toy_batches(), "rate": rates}).run()
        before, adam, expected = weights, reference.AdamW((0.9, 0.98), 0.1), []
        for batch, rate in zip(self.toy_batches().astype(np.int64), rates):
            loss, slopes, _ = reference.slopes_of(weights, lambda tape: reference.speller(tape, batch, HEADS, LAYERS))
            weights = adam.step(weights, slopes, float(rate))
            expected.append(loss)
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        for layer in range(LAYERS):  # a bias of all keys changes no share: AdamW makes steps of its slope's rounding
            name = f"blocks.{layer}.attention.in_proj_bias"
            weights[name][WIDTH:2 * WIDTH] = model.state_dict()[name].numpy()[WIDTH:2 * WIDTH]
        self.assert_moved_alike(model, before, weights)

    def test_a_letter_is_guessed_from_those_before_it_alone(self) -> None:
        model = words.Speller(WIDTH, HEADS, LAYERS, LONGEST)
        fill(model, 2)
        letters = self.toy_batches()[0][:, :-1].astype(np.int32)
        changed = letters.copy()
        changed[:, 3:] = 26 - changed[:, 3:]
        seen, guessed = model(Tensor(letters)).numpy(), model(Tensor(changed)).numpy()
        np.testing.assert_array_equal(seen[:, :3], guessed[:, :3])
        self.assertGreater(np.abs(seen[:, 3:] - guessed[:, 3:]).max(), 1e-3)

    def test_the_pair_model_knows_how_often_letters_follow(self) -> None:
        learnt = np.array([[0, 1, 2, 0], [0, 1, 1, 0]])  # and one more of each pair to begin with
        expected = -np.log([3 / 29, 2 / 30, 2 / 28]).mean()
        self.assertAlmostEqual(words.pair_model(learnt, learnt[:1]), expected)
        self.assertEqual(words.predictions(learnt), 6)

    def test_words_are_written_a_letter_a_step_from_the_first_on(self) -> None:
        quarry.manual_seed(5)
        model = words.Speller(WIDTH, HEADS, LAYERS)
        steps = words.writer(model, 4).job(steps=words.LONGEST).run()
        for number, written in enumerate(steps):
            self.assertEqual(np.abs(written[:, number + 2:]).sum(), 0)
            np.testing.assert_array_equal(written[:, :number + 1], steps[-1][:, :number + 1])
        self.assertGreater(len(np.unique(steps[-1])), 10)


class Digits(TrainingCase):
    def toy(self, dtype: str = "f32", dropout: float = 0.0) -> tuple[mnist.Net, Weights]:
        model = mnist.Net(CHANNELS, SIZE, dropout, dtype)
        return model, fill(model, 4)

    def batches(self, steps: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng(5)
        return {"images": random.normal(0, 1, (steps, 6, 1, SIZE, SIZE)).astype(np.float32),
                "labels": random.integers(0, 10, (steps, 6)).astype(np.int32)}

    def train_in_numpy(self, weights: Weights, feed: dict[str, np.ndarray],
                       masks: np.ndarray | None = None) -> tuple[list[float], Weights]:
        adam, losses = reference.AdamW(), []
        for number, (images, labels) in enumerate(zip(feed["images"], feed["labels"])):
            mask = 1.0 if masks is None else masks[number]
            loss, slopes, moved = reference.slopes_of(
                weights, lambda tape: tape.cross_entropy(reference.digits(tape, images, mask), labels))
            weights = adam.step(moved, slopes, RATE)
            losses.append(loss)
        return losses, weights

    def test_training_and_running_statistics_are_those_of_numpy(self) -> None:
        model, before = self.toy()
        feed = self.batches(3)
        losses = mnist.trainer(model, optim.AdamW(model.parameters(), lr=RATE)).job(steps=3, feed=feed).run()
        expected, after = self.train_in_numpy(before, feed)
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        self.assertIn("norm1.running_var", after)
        self.assert_moved_alike(model, before, after)

    def test_running_statistics_are_what_counts_once_trained(self) -> None:
        model, weights = self.toy()
        images = self.batches(1)["images"][0]
        expected = reference.digits(reference.Tape(weights, training=False), images).data
        np.testing.assert_allclose(model.eval()(Tensor(images)).numpy(), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(model.eval()(Tensor(images[:1])).numpy(), expected[:1], rtol=1e-4, atol=1e-5)

    def test_dropout_has_a_fresh_mask_in_each_step_and_slopes_go_through_it(self) -> None:
        model, before = self.toy(dropout=0.25)
        for name in ("norm1.bias", "norm2.bias"):  # no feature is 0 by itself
            before[name] = np.full_like(before[name], 10)
        model.load_state_dict({name: value.astype(np.float32) for name, value in before.items()})
        optimiser, feed = optim.AdamW(model.parameters(), lr=RATE), self.batches(4)

        @quarry.jit
        def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            features = model.train().features(images)
            loss = F.cross_entropy(model.scores(features), labels)
            loss.backward()
            optimiser.step()
            return loss, features

        losses, features = step.job(steps=4, feed=feed, seed=9).run()
        masks = features != 0
        self.assertAlmostEqual(masks.mean(), 0.75, delta=0.1)
        for one in range(4):
            for other in range(one):
                self.assertGreater((masks[one] != masks[other]).mean(), 0.2)
        expected, after = self.train_in_numpy(before, feed, masks / 0.75)
        np.testing.assert_allclose(losses, expected, rtol=1e-3)
        self.assert_moved_alike(model, before, after, share=0.02)
        again = step.job(steps=4, feed=feed, seed=9).run()[1]
        np.testing.assert_array_equal(again != 0, masks)  # they are the seed's
        whole = model.eval().features(Tensor(feed["images"][0])).numpy()
        self.assertTrue((whole != 0).all())

    def test_mixed_precision_learns_what_f32_learns(self) -> None:
        for dtype, share in (("f16", 0.05), ("bf16", 0.2)):
            with self.subTest(dtype):
                model, before = self.toy(dtype)
                feed, scaler = self.batches(3), optim.LossScaler(init_scale=256)
                optimiser = optim.SGD(model.parameters(), lr=RATE)
                losses = mnist.trainer(model, optimiser, scaler).job(steps=3, feed=feed).run()
                plain, _ = self.toy()
                expected = mnist.trainer(plain, optim.SGD(plain.parameters(), lr=RATE)).job(steps=3, feed=feed).run()
                np.testing.assert_allclose(losses, expected, rtol=share)
                self.assertTrue(all(parameter.dtype == "f32" for parameter in model.parameters()))
                for name in ("conv1.weight", "conv2.weight", "linear.weight"):
                    moved, wanted = (found.state_dict()[name].numpy() - before[name] for found in (model, plain))
                    self.assertLess(np.linalg.norm(moved - wanted), 2 * share * np.linalg.norm(wanted), name)


class LossScaling(unittest.TestCase):
    """y = x w in f16, w kept in f32, momentum as state: against NumPy, which rounds to f16 where the step does."""
    x = np.random.default_rng(6).normal(0, 1, (6, 5, 4)).astype(np.float16)
    target = np.random.default_rng(7).normal(0, 1, (6, 5, 2)).astype(np.float32)
    rate, momentum = 0.1, 0.5

    def train(self, x: np.ndarray, scaler: optim.LossScaler) -> tuple[np.ndarray, np.ndarray]:
        """The weights and the scale after each step."""
        weight = Tensor(np.ones((4, 2), np.float32), requires_grad=True)
        optimiser = optim.SGD([weight], lr=self.rate, momentum=self.momentum)

        @quarry.jit
        def step(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            optimiser.zero_grad()
            loss = F.mse_loss((x @ weight.cast("f16")).cast("f32"), target)
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            return weight, scaler.current

        return step.job(steps=len(x), feed={"x": x, "target": self.target}).run()

    def train_in_numpy(self, x: np.ndarray, scale: float, growth_interval: int) -> tuple[list[np.ndarray], list[float]]:
        weight, speed, good, weights, scales = np.ones((4, 2)), np.zeros((4, 2)), 0, [], []
        with np.errstate(all="ignore"):
            for inputs, target in zip(x.astype(np.float64), self.target):
                y = (inputs @ weight.astype(np.float16)).astype(np.float16).astype(np.float64)
                by_y = (scale * 2 * (y - target) / y.size).astype(np.float16).astype(np.float64)
                slope = (inputs.T @ by_y).astype(np.float16).astype(np.float64) / scale
                good, is_finite = good + 1, bool(np.isfinite(slope).all())
                if is_finite:
                    speed = self.momentum * speed + slope
                    weight = weight - self.rate * speed
                if not is_finite or good == growth_interval:
                    scale, good = scale * (2 if is_finite else 0.5), 0
                weights.append(weight)
                scales.append(scale)
        return weights, scales

    def test_a_step_whose_gradient_is_not_finite_changes_nothing_but_the_scale(self) -> None:
        x = self.x.copy()
        x[3, 1, 2] = np.inf
        x[4] *= np.float16(3e4)  # finite, but its products are not
        weights, scales = self.train(x, optim.LossScaler(init_scale=512, growth_interval=2))
        expected, expected_scales = self.train_in_numpy(x, 512, 2)
        self.assertEqual(expected_scales, [512, 1024, 1024, 512, 256, 256])
        np.testing.assert_array_equal(scales, expected_scales)
        np.testing.assert_array_equal(weights[3], weights[2])
        np.testing.assert_array_equal(weights[4], weights[2])
        self.assertTrue(np.isfinite(weights).all())
        np.testing.assert_allclose(weights, expected, rtol=2e-3, atol=2e-3)

    def test_a_scale_that_is_too_large_comes_down_until_training_begins(self) -> None:
        weights, scales = self.train(self.x, optim.LossScaler(init_scale=2.0**19))
        expected, expected_scales = self.train_in_numpy(self.x, 2.0**19, 2000)
        np.testing.assert_array_equal(scales, expected_scales)
        self.assertEqual(scales[0], 2.0**18)
        np.testing.assert_array_equal(weights[0], np.ones((4, 2)))
        self.assertGreater(np.abs(weights[-1] - 1).max(), 0.01)
        np.testing.assert_allclose(weights, expected, rtol=2e-3, atol=2e-3)


@unittest.skipUnless(any(device["backend"] == "opencl" for device in _quarry.devices()), "no OpenCL device")
class AtFullSize(unittest.TestCase):
    def run_example(self, name: str, *arguments: str) -> str:
        result = subprocess.run([sys.executable, str(EXAMPLES / name), *arguments], text=True, capture_output=True,
                                env={**os.environ, "QUARRY_ON": "opencl"})
        self.assertEqual(result.returncode, 0, result.stderr)
        print(result.stdout)
        return result.stdout

    def test_digits_held_out_are_read_at_97_percent_and_an_unknown_typeface_nearly_as_well(self) -> None:
        said = self.run_example("mnist.py")
        # A device's order of summation moves this one by half a percent: 96.9 to 97.4 were seen.
        self.assertGreaterEqual(float(re.search(r"never seen: ([\d.]+)%", said)[1]), 95)
        self.assertGreaterEqual(float(re.search(r"new drawings: ([\d.]+)%", said)[1]), 97)

    def test_a_quarter_of_an_epoch_beats_the_pair_model(self) -> None:
        if not Path("/usr/share/dict/words").exists():
            self.skipTest("no word list; Debian's package is wamerican")
        said = self.run_example("words.py", "--epochs", "0.25")
        self.assertGreater(float(re.search(r"better by ([-\d.]+)", said)[1]), 0.1)
        self.assertEqual(len(said[said.index("invented:"):].split()), 11)


if __name__ == "__main__":
    unittest.main()
