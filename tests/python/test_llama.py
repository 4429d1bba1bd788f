"""examples/llama.py against an independent NumPy implementation, and the cost of LLaMA-7B."""
from __future__ import annotations

import json
import os
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import numpy as np

os.environ.setdefault("QUARRY_ON", "interpreter")
sys.path.append(str(Path(__file__).parents[2] / "examples"))

import quarry
import reference_llama
from graph_flops import contraction_flops
from llama import LLAMA_7B, Config, Llama, Writer, from_checkpoint

TOY = Config(dim=32, hidden=48, layers=2, heads=4, kv_heads=2, vocabulary=50, context=24, epsilon=0.01,
             theta=300.0, dtype="f32")
PROMPT = [7, 31, 2, 18, 44]


def toy_weights(config: Config = TOY) -> dict[str, np.ndarray]:
    """Large enough that the tokens do not depend on rounding."""
    random = np.random.default_rng(3)
    shapes = reference_llama.parameter_shapes(config.dim, config.hidden, config.layers, config.heads, config.kv_heads,
                                              config.vocabulary)
    return {name: (random.normal(1 if len(shape) == 1 else 0, 0.3, shape)).astype(np.float32)
            for name, shape in shapes.items()}


def toy_model(config: Config = TOY) -> Llama:
    model = Llama(config)
    model.load_state_dict(toy_weights(config))
    return model


def reference(config: Config = TOY) -> reference_llama.Llama:
    return reference_llama.Llama(toy_weights(config), config.heads, config.kv_heads, config.epsilon, config.theta)


class Names(unittest.TestCase):
    def test_parameters_are_those_of_a_hugging_face_checkpoint(self) -> None:
        shapes = {name: value.shape for name, value in Llama(TOY).state_dict().items()}
        self.assertEqual(shapes, reference_llama.parameter_shapes(32, 48, 2, 4, 2, 50))

    def test_7b_has_the_known_number_of_parameters(self) -> None:
        sizes = [np.prod(value.shape, dtype=int) for value in Llama(LLAMA_7B).state_dict().values()]
        self.assertEqual(sum(sizes), 6_738_415_616)


class Tokens(unittest.TestCase):
    def test_prompt_and_continuation_are_the_references_token_for_token(self) -> None:
        self.assertEqual(Writer(toy_model()).generate(PROMPT, 12), reference().generate(PROMPT, 12))

    def test_heads_with_keys_of_their_own_are_the_references_too(self) -> None:
        config = Config(dim=24, hidden=40, layers=1, heads=3, kv_heads=3, vocabulary=40, context=16, dtype="f32")
        self.assertEqual(Writer(toy_model(config)).generate(PROMPT[:1], 9), reference(config).generate(PROMPT[:1], 9))

    def test_scores_after_the_prompt_are_the_references(self) -> None:
        model, expected = toy_model(), reference()
        scores, _ = model(quarry.Tensor(PROMPT, dtype="i32"), 0, Writer(model).cache)
        for token in PROMPT:
            wanted = expected.logits_after(token)
        np.testing.assert_allclose(scores.numpy(), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())

    def test_a_writer_begins_anew_with_each_prompt(self) -> None:
        writer = Writer(toy_model())
        writer.generate(PROMPT, 4)
        self.assertEqual(writer.generate([9], 6), reference().generate([9], 6))

    def test_what_does_not_fit_in_the_context_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "the context is 24"):
            Writer(toy_model()).generate(PROMPT, 20)
        with self.assertRaises(ValueError):
            Writer(toy_model()).generate([], 3)

    def test_a_writer_goes_on_where_it_stopped(self) -> None:
        writer = Writer(toy_model())
        first = writer.generate(PROMPT, 4)
        more = writer.write.job(steps=5).run().ravel().tolist()
        self.assertEqual(first + more, reference().generate(PROMPT, 9))

    def test_bf16_scores_are_the_references_to_three_digits(self) -> None:
        model, expected = toy_model(replace(TOY, dtype="bf16")), reference()
        scores, _ = model(quarry.Tensor(PROMPT, dtype="i32"), 0, Writer(model).cache)
        for token in PROMPT:
            wanted = expected.logits_after(token)
        np.testing.assert_allclose(scores.numpy(), wanted, atol=0.03 * np.abs(wanted).max())


class Checkpoints(unittest.TestCase):
    TOLD = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 50, "rms_norm_eps": 1e-6, "max_position_embeddings": 24}

    def folder(self, files: dict[str, dict[str, np.ndarray]], **told: object) -> Path:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "config.json").write_text(json.dumps(self.TOLD | told))
        for name, tensors in files.items():
            quarry.safetensors.save(folder / name, tensors)
        return folder

    def test_a_folder_of_several_files_is_read(self) -> None:
        weights = toy_weights()
        names = sorted(weights)
        turns = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32)}  # in old files, not needed
        model = from_checkpoint(self.folder({"a.safetensors": {name: weights[name] for name in names[:9]},
                                             "b.safetensors": {name: weights[name] for name in names[9:]} | turns}))
        for name, value in model.state_dict().items():
            np.testing.assert_allclose(value.numpy(), weights[name], rtol=2 ** -8)

    def test_one_table_may_be_both_ends(self) -> None:
        weights = toy_weights()
        del weights["lm_head.weight"]
        model = from_checkpoint(self.folder({"model.safetensors": weights}))
        self.assertEqual(model.lm_head.weight.numpy().tolist(), model.model.embed_tokens.weight.numpy().tolist())

    def test_what_it_would_compute_wrongly_it_refuses(self) -> None:
        with self.assertRaisesRegex(ValueError, "rope_scaling"):
            from_checkpoint(self.folder({}, rope_scaling={"type": "linear", "factor": 2.0}))
        with self.assertRaisesRegex(quarry.TensorError, "not in the model"):
            from_checkpoint(self.folder({"model.safetensors": toy_weights() | {"model.norm.bias": np.ones(32)}}))


def matrix_products_of_7b(context: int) -> int:
    """Multiplications and additions of one token: every weight of a matrix once, and every position of the cache."""
    layer = 4 * 4096 ** 2 + 3 * 4096 * 11008
    return 2 * (32 * (layer + 2 * context * 4096) + 4096 * 32000)


class Cost(unittest.TestCase):
    """One token of LLaMA-7B at the end of a full cache."""

    def assert_costs(self, context: int, gflop: float, delta: float) -> None:
        job = Writer(Llama(replace(LLAMA_7B, context=context))).write.job()
        self.assertAlmostEqual(contraction_flops(job.graph.json()) / matrix_products_of_7b(context), 1, delta=0.001)
        self.assertAlmostEqual(job.graph.count(carry=job.carry)["flops"] / (gflop * 1e9), 1, delta=delta)

    def test_with_a_cache_of_9_positions_it_is_13_49_gflop(self) -> None:
        self.assert_costs(9, 13.488, 0.03)

    def test_a_cache_of_1024_positions_adds_4_to_12_percent(self) -> None:
        self.assert_costs(1024, 13.488 * 1.08, 0.04)

    def test_the_cache_is_updated_in_place_where_the_job_carries_it(self) -> None:
        """A step that rewrote both caches would write 2 x 32 x 2048 x 4096 bf16 numbers."""
        job = Writer(Llama(LLAMA_7B)).write.job()
        saved = job.graph.count()["bytes"] - job.graph.count(carry=job.carry)["bytes"]
        self.assertGreater(saved, 2 * 32 * 2048 * 4096 * 2)


if __name__ == "__main__":
    unittest.main()
