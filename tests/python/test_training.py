"""Training: optimisers against NumPy, steps captured as one job, running statistics, dropout, loss scaling."""
import copy
import os
import tempfile
import unittest
import unittest.mock

import numpy as np

import quarry
from quarry import Tensor, TensorError, functional as F, nn, optim

os.environ["QUARRY_ON"] = "interpreter"  # quick for graphs that run a few times; tests name other devices
RNG = np.random.default_rng(7)
X = RNG.normal(size=(6, 4, 5)).astype(np.float32)  # six batches
Y = RNG.normal(size=(6, 4, 3)).astype(np.float32)
W = RNG.normal(size=(3, 5)).astype(np.float32)
B = RNG.normal(size=3).astype(np.float32)


def numpy_gradients(w, b, x, y):
    """Of mean((x w^T + b - y)^2)."""
    slope = 2 * (x @ w.T + b - y) / y.size
    return slope.T @ x, slope.sum(0)


class NumpySGD:
    def __init__(self, lr, momentum=0.0, weight_decay=0.0, nesterov=False, dampening=0.0):
        self.settings, self.buffers = (lr, momentum, weight_decay, nesterov, dampening), {}

    def update(self, key, w, g):
        lr, momentum, decay, nesterov, dampening = self.settings
        g = g + decay * w
        if momentum:
            self.buffers[key] = momentum * self.buffers[key] + (1 - dampening) * g if key in self.buffers else g
            g = g + momentum * self.buffers[key] if nesterov else self.buffers[key]
        return w - lr * g


class NumpyAdam:
    def __init__(self, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
        self.settings, self.moments = (lr, *betas, eps, weight_decay, decoupled), {}

    def update(self, key, w, g):
        lr, b1, b2, eps, decay, decoupled = self.settings
        if decoupled:
            w = w - lr * decay * w
        else:
            g = g + decay * w
        t, m, v = self.moments.get(key, (0, 0.0, 0.0))
        t, m, v = t + 1, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        self.moments[key] = t, m, v
        return w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


OPTIMISERS = {
    "sgd": (optim.SGD, NumpySGD, {"lr": 0.1}),
    "momentum": (optim.SGD, NumpySGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    "nesterov": (optim.SGD, NumpySGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "dampening": (optim.SGD, NumpySGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    "adam": (optim.Adam, NumpyAdam, {"lr": 0.02, "weight_decay": 0.1}),
    "adamw": (optim.AdamW, lambda **s: NumpyAdam(**s, decoupled=True),
              {"lr": 0.02, "weight_decay": 0.1, "betas": (0.8, 0.99)}),
}


class Model(nn.Module):
    def __init__(self):
        self.weight, self.bias = Tensor(W, requires_grad=True), Tensor(B, requires_grad=True)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


def training(kind):
    model = Model()
    optimiser = OPTIMISERS[kind][0](model.parameters(), **OPTIMISERS[kind][2])

    @quarry.jit
    def step(x, y):
        optimiser.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimiser.step()
        return loss
    return model, optimiser, step


def numpy_training(kind, steps):
    theirs = OPTIMISERS[kind][1](**OPTIMISERS[kind][2])
    w, b, losses = W.astype(np.float64), B.astype(np.float64), []
    for s in range(steps):
        x, y = X[s % 6].astype(np.float64), Y[s % 6].astype(np.float64)
        losses.append(((x @ w.T + b - y) ** 2).mean())
        dw, db = numpy_gradients(w, b, x, y)
        w, b = theirs.update("w", w, dw), theirs.update("b", b, db)
    return w, b, losses


class Optimisers(unittest.TestCase):
    def test_each_optimiser_follows_numpy_as_one_job(self):
        for kind in OPTIMISERS:
            model, _, step = training(kind)
            losses = step.job(steps=9, feed={"x": X, "y": Y}).run(on="interpreter")
            w, b, wanted = numpy_training(kind, 9)
            np.testing.assert_allclose(losses, wanted, rtol=2e-5, err_msg=kind)
            np.testing.assert_allclose(model.weight.numpy(), w, rtol=1e-4, atol=1e-6, err_msg=kind)
            np.testing.assert_allclose(model.bias.numpy(), b, rtol=1e-4, atol=1e-6, err_msg=kind)

    def test_a_job_step_by_step_calls_and_eager_steps_agree(self):
        for on, kind in (("opencl:0", "adamw"), ("interpreter", "nesterov")):
            patch = unittest.mock.patch.dict(os.environ, QUARRY_ON=on)
            patch.start()
            self.addCleanup(patch.stop)
            model, _, step = training(kind)
            losses = step.job(steps=4, feed={"x": X, "y": Y}).run()
            by_call, _, one = training(kind)
            called = [one(X[s], Y[s]).item() for s in range(4)]
            np.testing.assert_allclose(called, losses, rtol=1e-5)
            np.testing.assert_allclose(by_call.weight.numpy(), model.weight.numpy(), rtol=1e-5)
            eager, optimiser, _ = training(kind)
            for s in range(4):
                optimiser.zero_grad()
                loss = F.mse_loss(eager(Tensor(X[s])), Tensor(Y[s]))
                loss.backward()
                optimiser.step()
                self.assertAlmostEqual(loss.item(), losses[s], places=4)
            np.testing.assert_allclose(eager.weight.numpy(), model.weight.numpy(), rtol=1e-5)

    def test_a_job_goes_on_where_the_last_one_ended(self):
        model, _, step = training("adam")
        step.job(steps=4, feed={"x": X, "y": Y}).run(on="interpreter")
        step.job(steps=5, feed={"x": X, "y": Y}, first_step=4).run(on="interpreter")
        np.testing.assert_allclose(model.weight.numpy(), numpy_training("adam", 9)[0], rtol=1e-4, atol=1e-6)

    def test_training_goes_on_from_saved_state(self):
        model, optimiser, step = training("adamw")
        step.job(steps=4, feed={"x": X, "y": Y}).run()
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("model", "optimiser")]
            for part, path in zip((model, optimiser), paths):
                quarry.safetensors.save(path, part.state_dict())
            other, resumed, on = training("adamw")
            for part, path in zip((other, resumed), paths):
                part.load_state_dict(quarry.safetensors.load(path))
        for go_on in (step, on):
            go_on.job(steps=2, feed={"x": X, "y": Y}, first_step=4).run()
        np.testing.assert_array_equal(other.weight.numpy(), model.weight.numpy())
        with self.assertRaisesRegex(TensorError, "first_moments.0"):
            resumed.load_state_dict({})

    def test_the_learning_rate_may_change_between_steps_without_a_new_graph(self):
        model, optimiser, step = training("sgd")
        step(X[0], Y[0])
        optimiser.lr = 0.0
        before = model.weight.numpy()
        step(X[1], Y[1])
        np.testing.assert_array_equal(model.weight.numpy(), before)
        self.assertEqual(len(step._programs), 1)

    def test_weights_keep_their_dtype(self):
        for dtype in ("f16", "bf16", "f64"):
            w = Tensor(W, dtype, requires_grad=True)
            optimiser = optim.Adam([w], lr=0.1)

            @quarry.jit
            def step():
                optimiser.zero_grad()
                loss = (w.cast("f32") ** 2).sum()
                loss.backward()
                optimiser.step()
                return loss
            losses = step.job(steps=3).run(on="interpreter")
            self.assertLess(losses[2], losses[0])
            self.assertEqual((w.dtype, optimiser.first_moments[0].dtype), (dtype, "f64" if dtype == "f64" else "f32"))

    def test_gradients_are_clipped_by_their_common_norm(self):
        a, b = Tensor([3.0], requires_grad=True), Tensor([4.0], requires_grad=True)
        (a * 3 + b * 4).sum().backward()
        optim.clip_grad_norm([a, b], 1.0)
        np.testing.assert_allclose([a.grad.item(), b.grad.item()], [0.6, 0.8], rtol=1e-5)

    def test_wrong_parameters_are_refused(self):
        for params in ([], [Tensor([1.0])], [3]):
            with self.assertRaises(TensorError):
                optim.SGD(params, lr=0.1)


class Capturing(unittest.TestCase):
    def test_what_a_step_assigns_is_carried_and_the_rest_is_read_when_it_runs(self):
        total, factor = Tensor(0.0), Tensor(np.float32(2))

        @quarry.jit
        def step(x):
            total.assign(total + x * factor)
            return {"total": total, "parts": [x, None, 3]}
        result = step.job(steps=3, feed={"x": np.array([1, 2, 3], np.float32)}).run(on="interpreter")
        np.testing.assert_array_equal(result["total"], [2, 6, 12])
        np.testing.assert_array_equal(result["parts"][0], [1, 2, 3])
        self.assertEqual(result["parts"][1:], [None, 3])
        self.assertEqual(total.item(), 12)
        factor.assign(10.0)
        self.assertEqual(step(Tensor(np.float32(1)))["total"].item(), 22)

    def test_a_swap_uses_the_values_of_before(self):
        a, b = Tensor([1.0]), Tensor([2.0])

        @quarry.jit
        def step():
            old = a + 0
            a.assign(b)
            b.assign(old)
            return a
        np.testing.assert_array_equal(step.job(steps=3).run(on="interpreter")[:, 0], [2, 1, 2])
        self.assertEqual((a.item(), b.item()), (2, 1))

    def test_capturing_leaves_everything_as_it_was_when_it_fails(self):
        w = Tensor([1.0], requires_grad=True)
        (w * 2).sum().backward()

        @quarry.jit
        def step(x):
            w.assign(w + x)
            w.numpy()
        with self.assertRaisesRegex(TensorError, "cannot look at values"):
            step(np.float32(1))
        self.assertEqual((w.item(), w.grad.item()), (1, 2))
        self.assertEqual((w + 1).item(), 2)

    def test_each_set_of_shapes_is_a_graph_and_numbers_are_part_of_it(self):
        @quarry.jit
        def step(x, power=2):
            return (x ** power).sum()
        self.assertEqual(step(np.float32([1, 2])).item(), 5)
        self.assertEqual(step(np.float32([1, 2, 3])).item(), 14)
        self.assertEqual(step(np.float32([1, 2]), power=3).item(), 9)
        self.assertEqual(step(np.float32([3, 4])).item(), 25)
        self.assertEqual(len(step._programs), 3)

    def test_a_graph_does_not_depend_on_what_else_is_alive(self):
        _, _, step = training("adam")
        before = step.job(feed={"x": X, "y": Y}).graph.id
        others = [training("sgd") for _ in range(3)]
        _, _, step = training("adam")
        self.assertEqual(step.job(feed={"x": X, "y": Y}).graph.id, before)
        self.assertEqual(len(others), 3)

    def test_a_copied_model_is_trained_apart(self):
        model = Model()
        other = copy.deepcopy(model)
        F.mse_loss(model(Tensor(X[0])), Tensor(Y[0])).backward()
        self.assertIsNone(other.weight.grad)
        np.testing.assert_array_equal(other.weight.numpy(), W)
        model.weight.assign(model.weight + 1)
        np.testing.assert_array_equal(other.weight.numpy(), W)

    def test_jobs_are_quoted_without_running(self):
        _, _, step = training("adam")
        job = step.job(steps=1000, feed={"x": X, "y": Y})
        quote = job.quote()
        self.assertGreater(quote.flops, 0)
        self.assertGreater(quote.metered_flops, quote.flops)
        self.assertEqual(quote.steps, 1000)
        self.assertEqual(quarry.quote(job).metered_flops, quote.metered_flops)
        self.assertEqual(len(job.carry), 7)  # two weights, four moments, the count of updates

    def test_wrong_arguments_are_refused(self):
        _, _, step = training("sgd")
        with self.assertRaises(TypeError):
            step.job(steps=2, feed={"x": X})
        with self.assertRaisesRegex(TensorError, "slice"):
            step.job(steps=2, feed={"x": np.float32(3), "y": Y})
        with self.assertRaises((TensorError, quarry.GraphError)):
            step.job(steps=0, feed={"x": X, "y": Y}).run(on="interpreter")
        with self.assertRaisesRegex(quarry.GraphError, "6 slices"):
            step.job(steps=9, feed={"x": (X, False), "y": (Y, False)}).run(on="interpreter")

    def test_large_shapes_are_built_and_quoted_without_values(self):
        x = quarry.input("x", (8, 4096), "bf16")
        y = quarry.input("w", (11008, 4096), "bf16")
        quote = quarry.quote(F.linear(x, y))
        self.assertEqual(quote.flops, 2 * 8 * 4096 * 11008)


class Layers(unittest.TestCase):
    def test_batch_norm_follows_the_batches_and_uses_them_afterwards(self):
        data = RNG.normal(2, 3, size=(3, 8, 4, 2, 2)).astype(np.float32)
        norm = nn.BatchNorm2d(4, momentum=0.3)

        @quarry.jit
        def step(x):
            return norm(x)
        output = step.job(steps=3, feed={"x": data}).run(on="interpreter")
        mean, variance = np.zeros(4), np.ones(4)
        for batch, normalised in zip(data.astype(np.float64), output):
            axes = (0, 2, 3)
            centred, spread = batch - batch.mean(axes, keepdims=True), batch.var(axes, keepdims=True)
            np.testing.assert_allclose(normalised, centred / np.sqrt(spread + 1e-5), rtol=1e-4, atol=1e-5)
            mean, variance = 0.7 * mean + 0.3 * batch.mean(axes), 0.7 * variance + 0.3 * batch.var(axes, ddof=1)
        np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-5)
        np.testing.assert_allclose(norm.running_var.numpy(), variance, rtol=1e-5)
        norm.eval()
        column = (slice(None), None, None)
        np.testing.assert_allclose(norm(Tensor(data[0])).numpy(),
                                   (data[0] - mean[column]) / np.sqrt(variance[column] + 1e-5), rtol=1e-4, atol=1e-5)

    def test_dropout_masks_differ_by_step_by_call_and_by_seed(self):
        drop = nn.Dropout(0.5)

        @quarry.jit
        def step(x):
            return drop(x), drop(x)
        x = np.ones(400, np.float32)
        first, second = step.job(steps=3, inputs={"x": x}, seed=1).run(on="interpreter")
        masks = [*first, *second]
        for number, mask in enumerate(masks):
            self.assertEqual(set(mask), {0, 2})
            self.assertLess(abs(mask.mean() - 1), 0.2)
            for other in masks[:number]:
                self.assertLess(abs(np.corrcoef(mask, other)[0, 1]), 0.25)
        again, _ = step.job(steps=3, inputs={"x": x}, seed=1).run(on="opencl:0")
        np.testing.assert_array_equal(again, first)
        other, _ = step.job(steps=3, inputs={"x": x}, seed=2).run(on="interpreter")
        self.assertFalse((other == first).all())
        self.assertFalse((step(x)[0].numpy() == step(x)[0].numpy()).all())
        drop.eval()
        np.testing.assert_array_equal(drop(Tensor(x)).numpy(), x)

    def test_dropout_lets_the_gradient_through_its_own_mask(self):
        x = Tensor(np.ones(100, np.float32), requires_grad=True)
        y = F.dropout(x, 0.5)
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.numpy())

    def test_state_goes_through_a_file(self):
        def model():
            return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), F.relu, nn.Identity(),
                                 nn.Linear(3, 2, bias=False))
        quarry.manual_seed(1)
        one, other = model(), model()
        self.assertEqual(list(one.state_dict()),
                         ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "4.weight"])
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            quarry.state.save(one, path)
            quarry.state.load(other, path)
            with self.assertRaisesRegex(TensorError, "missing 0.weight"):
                other.load_state_dict({})
        for (name, a), b in zip(one.state_dict().items(), other.state_dict().values()):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
        with self.assertRaisesRegex(TensorError, r"4.weight is \[2, 3\], given \[2\]"):
            other.load_state_dict({**one.state_dict(), "4.weight": np.zeros(2)})

    def test_layers_start_with_the_numbers_of_rand_drawn_when_they_are_needed(self):
        quarry.manual_seed(2**40 + 5)
        layer, table = nn.Linear(7, 3), nn.Embedding(5, 3)
        self.assertEqual(quarry.build(layer(quarry.input("x", (1, 7)))).open_inputs, ["x"])
        self.assertIn("lazy", repr(layer.weight))
        quarry.manual_seed(2**40 + 5)
        bound = 7**-0.5
        np.testing.assert_array_equal(layer.weight.numpy(), Tensor.rand(3, 7, low=-bound, high=bound).numpy())
        Tensor.rand(1)
        np.testing.assert_allclose(table.weight.numpy(), Tensor.randn(5, 3).numpy(), rtol=1e-4, atol=1e-6)

    def test_models_too_large_for_this_machine_are_quoted(self):
        layer = nn.Linear(2**20, 2**20, bias=False)
        self.assertEqual(quarry.quote(layer(quarry.input("x", (1, 2**20)))).flops, 2 * 2**40)

    def test_parameters_are_found_once_wherever_they_are(self):
        class Odd(nn.Module):
            def __init__(self):
                self.shared = nn.Linear(2, 2)
                self.layers = [self.shared, (nn.Linear(2, 3), {"x": nn.LayerNorm(3)})]
                self.table = Tensor([1.0])

            def forward(self, x):
                return x
        odd = Odd()
        self.assertEqual(len(odd.parameters()), 6)
        self.assertIn("layers.1.1.x.weight", odd.state_dict())
        odd.eval()
        self.assertFalse(odd.layers[1][1]["x"].training)
        self.assertIn("LayerNorm", repr(odd))

    def test_attention_is_that_of_its_parts(self):
        quarry.manual_seed(3)
        layer = nn.MultiheadAttention(8, 2)
        x = RNG.normal(size=(2, 5, 8)).astype(np.float32)
        w, b = layer.in_proj_weight.numpy(), layer.in_proj_bias.numpy()
        q, k, v = (part.reshape(2, 5, 2, 4).transpose(0, 2, 1, 3) for part in np.split(x @ w.T + b, 3, -1))
        scores = q @ k.swapaxes(-1, -2) / 2 + np.where(np.tril(np.ones((5, 5))), 0, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(2, 5, 8)
        wanted = mixed @ layer.out_proj.weight.numpy().T + layer.out_proj.bias.numpy()
        np.testing.assert_allclose(layer(Tensor(x), is_causal=True).numpy(), wanted, rtol=1e-4, atol=1e-6)
        t = Tensor(x)
        np.testing.assert_allclose(layer(t, t, Tensor(x), mask=F.causal_mask(5)).numpy(), wanted, rtol=1e-4, atol=1e-6)


class LossScaling(unittest.TestCase):
    def test_a_step_with_a_gradient_that_is_not_finite_changes_nothing_but_the_scale(self):
        w = Tensor(W, "f16", requires_grad=True)
        optimiser, scaler = optim.Adam([w], lr=0.01), optim.LossScaler(init_scale=2.0**10, growth_interval=2)

        @quarry.jit
        def step(x):
            optimiser.zero_grad()
            loss = ((w * x) ** 2).sum()
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            return w, scaler.current, optimiser._updates, optimiser.first_moments[0]
        feed = np.array([1, 1, 1, 300, 1, np.inf, 1], np.float16)
        weights, scales, updates, moments = step.job(steps=7, feed={"x": feed}).run(on="interpreter")
        good = [True, True, True, False, True, False, True]
        np.testing.assert_array_equal(updates, np.cumsum(good))
        np.testing.assert_array_equal(scales, 2.0**10 * np.array([1, 2, 2, 1, 1, 0.5, 0.5]))
        for s in range(1, 7):
            self.assertEqual((weights[s] == weights[s - 1]).all(), not good[s])
            self.assertEqual((moments[s] == moments[s - 1]).all(), not good[s])
        self.assertTrue(np.isfinite(weights).all() and np.isfinite(moments).all())

    def test_scaled_training_is_training(self):
        plain, _, step = training("adam")
        losses = step.job(steps=5, feed={"x": X, "y": Y}).run(on="interpreter")
        model, scaler = Model(), optim.LossScaler()
        optimiser = optim.Adam(model.parameters(), **OPTIMISERS["adam"][2])

        @quarry.jit
        def scaled(x, y):
            optimiser.zero_grad()
            loss = F.mse_loss(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            return loss
        np.testing.assert_allclose(scaled.job(steps=5, feed={"x": X, "y": Y}).run(on="interpreter"), losses, rtol=1e-5)
        np.testing.assert_allclose(model.weight.numpy(), plain.weight.numpy(), rtol=1e-4, atol=1e-7)


if __name__ == "__main__":
    unittest.main()
