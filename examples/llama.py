"""LLaMA with a key-value cache: one job reads the prompt, a second one writes all the tokens that follow.

    python3 examples/llama.py                                     # a toy of random weights; the price of 7B
    python3 examples/llama.py --weights Llama-2-7b-hf --prompt 1 450 937 6593
"""
from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import quarry
from quarry import Tensor, functional as F, nn


@dataclass(frozen=True)
class Config:
    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int = 2048
    epsilon: float = 1e-6
    theta: float = 10_000.0
    dtype: str = "bf16"

    def cache_shape(self) -> tuple[int, int, int]:
        return self.kv_heads, self.context, self.dim // self.heads


LLAMA_7B = Config(dim=4096, hidden=11008, layers=32, heads=32, kv_heads=32, vocabulary=32000)
TOY = Config(dim=64, hidden=172, layers=2, heads=4, kv_heads=2, vocabulary=256, context=64, dtype="f32")
Past = tuple[Tensor, Tensor]  # keys and values of all positions of a layer


class Attention(nn.Module):
    def __init__(self, config: Config):
        self.head = config.dim // config.heads
        self.q_proj, self.o_proj = (nn.Linear(config.dim, config.dim, bias=False) for _ in "qo")
        self.k_proj, self.v_proj = (nn.Linear(config.dim, config.kv_heads * self.head, bias=False) for _ in "kv")

    def forward(self, x: Tensor, turns: tuple, position: Tensor | int, past: Past, mask: Tensor) -> tuple[Tensor, Past]:
        def heads(y: Tensor) -> Tensor:
            return y.reshape(len(x), -1, self.head).transpose(0, 1)

        def remember(old: Tensor, new: Tensor) -> Tensor:  # one row is written in place; a prompt comes at the start
            return F.row_update(old, 1, position, new) if len(x) == 1 else F.cat([new, old[:, len(x):]], 1)

        query, key = (F.rotary_embedding(heads(projection(x)), *turns) for projection in (self.q_proj, self.k_proj))
        keys, values = remember(past[0], key), remember(past[1], heads(self.v_proj(x)))
        y = F.scaled_dot_product_attention(query, keys, values, mask)
        return self.o_proj(y.transpose(0, 1).reshape(len(x), -1)), (keys, values)


class FeedForward(nn.Module):
    def __init__(self, config: Config):
        self.gate_proj, self.up_proj = (nn.Linear(config.dim, config.hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(config.hidden, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config: Config):
        self.self_attn, self.mlp = Attention(config), FeedForward(config)
        self.input_layernorm, self.post_attention_layernorm = (nn.RMSNorm(config.dim, config.epsilon) for _ in range(2))


class Llama(nn.Module):
    """The modules are named as the tensors of a Hugging Face checkpoint."""

    def __init__(self, config: Config):
        self.config, self.model = config, nn.Module()
        self.model.embed_tokens = nn.Embedding(config.vocabulary, config.dim)
        self.model.layers = [Layer(config) for _ in range(config.layers)]
        self.model.norm = nn.RMSNorm(config.dim, eps=config.epsilon)
        self.lm_head = nn.Linear(config.dim, config.vocabulary, bias=False)
        self.cast(config.dtype)

    def forward(self, tokens: Tensor, position: Tensor | int, cache: list[Past]) -> tuple[Tensor, list[Past]]:
        """tokens (n) at position, position + 1, ... -> the scores of what follows the last one, and the new cache."""
        places = Tensor.arange(len(tokens)) + position
        mask = Tensor.arange(self.config.context) <= places.unsqueeze(1)
        turns = F.rotary_tables(places, self.config.dim // self.config.heads, self.config.theta)
        x, new_cache = self.model.embed_tokens(tokens), []
        for layer, past in zip(self.model.layers, cache):
            y, present = layer.self_attn(layer.input_layernorm(x), turns, position, past, mask)
            new_cache.append(present)
            x = x + y
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.lm_head(self.model.norm(x[-1])), new_cache


def from_checkpoint(folder: Path) -> Llama:
    """The model in a folder of Hugging Face's: config.json and safetensors files."""
    told = json.loads((folder / "config.json").read_text())
    if told.get("rope_scaling"):
        raise ValueError(f"{folder}: rope_scaling is not supported")
    model = Llama(Config(told["hidden_size"], told["intermediate_size"], told["num_hidden_layers"],
                         told["num_attention_heads"], told.get("num_key_value_heads", told["num_attention_heads"]),
                         told["vocab_size"], epsilon=told["rms_norm_eps"], theta=told.get("rope_theta", 10_000.0)))
    weights = {name: tensor for file in folder.glob("*.safetensors")
               for name, tensor in quarry.safetensors.load_tensors(file).items() if not name.endswith("inv_freq")}
    weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])  # tied in small models
    model.load_state_dict(weights)
    return model


class Writer:
    """Continues a prompt. Token, position and cache stay on the device from step to step."""

    def __init__(self, model: Llama):
        self.model, c = model, model.config
        self.cache = [tuple(Tensor.zeros(c.cache_shape(), dtype=c.dtype) for _ in "kv") for _ in range(c.layers)]
        self.token, self.position = Tensor.zeros(1, dtype="i32"), Tensor.zeros(dtype="i32")
        self.read = quarry.jit(lambda tokens: self.follow(tokens, 0))
        self.write = quarry.jit(lambda: self.follow(self.token, self.position))

    def follow(self, tokens: Tensor, position: Tensor | int) -> Tensor:
        """The likeliest token after these, and all state moved on to there."""
        scores, cache = self.model(tokens, position, self.cache)
        for old, new in zip(self.cache, cache):
            old[0].assign(new[0]), old[1].assign(new[1])
        self.position.assign(Tensor(position) + len(tokens))
        return self.token.assign(scores.argmax().reshape(1))

    def generate(self, prompt: list[int], count: int) -> list[int]:
        if not 0 < len(prompt) <= self.model.config.context - count:
            raise ValueError(f"{len(prompt)} tokens and {count} more: the context is {self.model.config.context}")
        first = self.read(Tensor(prompt, dtype="i32")).item()
        return [first, *self.write.job(steps=count - 1).run().ravel().tolist()]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--weights", type=Path, help="a folder with config.json and safetensors files")
    arguments.add_argument("--prompt", type=int, nargs="+", default=[1, 15, 27], help="token numbers")
    options = arguments.parse_args()
    model = from_checkpoint(options.weights) if options.weights else Llama(TOY)
    print("tokens:", Writer(model).generate(options.prompt, count=20))
    print("7B, one token:", Writer(Llama(LLAMA_7B)).write.job().quote())


if __name__ == "__main__":
    main()
