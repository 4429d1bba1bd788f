"""LLaMA in NumPy, written from the definition of the architecture: float64, one position and one head at a time.

It knows the names of a Hugging Face checkpoint and shares no code with examples/llama.py.
"""
from __future__ import annotations

import numpy as np


def root_mean_square_norm(x: np.ndarray, weight: np.ndarray, epsilon: float) -> np.ndarray:
    return x / np.sqrt(np.mean(x * x) + epsilon) * weight


def rotate(head: np.ndarray, position: int, theta: float) -> np.ndarray:
    """Element i and element i + half of a head are one complex number, turned by position * theta^(-2i / size)."""
    half = head.shape[0] // 2
    turn = np.exp(1j * position * theta ** (-np.arange(half) / half))
    turned = (head[:half] + 1j * head[half:]) * turn
    return np.concatenate([turned.real, turned.imag])


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def swish(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


class Llama:
    """Takes tokens one by one and remembers the keys and values of all of them."""

    def __init__(self, weights: dict[str, np.ndarray], heads: int, kv_heads: int, epsilon: float, theta: float):
        self.weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
        self.heads, self.kv_heads, self.epsilon, self.theta = heads, kv_heads, epsilon, theta
        self.layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("model.layers."))
        self.past: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(self.layers)]

    def attention(self, layer: int, x: np.ndarray) -> np.ndarray:
        prefix = f"model.layers.{layer}.self_attn."
        queries, keys, values = (self.weights[prefix + name + "_proj.weight"] @ x for name in "qkv")
        position = len(self.past[layer])
        keys = np.stack([rotate(key, position, self.theta) for key in keys.reshape(self.kv_heads, -1)])
        self.past[layer].append((keys, values.reshape(self.kv_heads, -1)))
        results = []
        for head, query in enumerate(queries.reshape(self.heads, -1)):
            query = rotate(query, position, self.theta)
            shared = head * self.kv_heads // self.heads  # several queries share one key and value
            scores = np.array([query @ past_keys[shared] for past_keys, _ in self.past[layer]])
            shares = softmax(scores / np.sqrt(query.shape[0]))
            results.append(sum(share * past[1][shared] for share, past in zip(shares, self.past[layer])))
        return self.weights[prefix + "o_proj.weight"] @ np.concatenate(results)

    def feed_forward(self, layer: int, x: np.ndarray) -> np.ndarray:
        prefix = f"model.layers.{layer}.mlp."
        gate = swish(self.weights[prefix + "gate_proj.weight"] @ x)
        return self.weights[prefix + "down_proj.weight"] @ (gate * (self.weights[prefix + "up_proj.weight"] @ x))

    def logits_after(self, token: int) -> np.ndarray:
        """The scores of every token to follow `token`, which follows all that were given before."""
        x = self.weights["model.embed_tokens.weight"][token]
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            x = x + self.attention(layer, self.norm(x, prefix + "input_layernorm"))
            x = x + self.feed_forward(layer, self.norm(x, prefix + "post_attention_layernorm"))
        return self.weights["lm_head.weight"] @ self.norm(x, "model.norm")

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        return root_mean_square_norm(x, self.weights[name + ".weight"], self.epsilon)

    def generate(self, prompt: list[int], count: int) -> list[int]:
        """The `count` tokens that follow the prompt, the likeliest each time."""
        for token in prompt:
            logits = self.logits_after(token)
        tokens = [int(np.argmax(logits))]
        while len(tokens) < count:
            tokens.append(int(np.argmax(self.logits_after(tokens[-1]))))
        return tokens


def parameter_shapes(dim: int, hidden: int, layers: int, heads: int, kv_heads: int, vocabulary: int
                     ) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a Hugging Face LLaMA checkpoint."""
    kv_dim = dim // heads * kv_heads
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, dim)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        shapes |= {
            prefix + "self_attn.q_proj.weight": (dim, dim),
            prefix + "self_attn.k_proj.weight": (kv_dim, dim),
            prefix + "self_attn.v_proj.weight": (kv_dim, dim),
            prefix + "self_attn.o_proj.weight": (dim, dim),
            prefix + "mlp.gate_proj.weight": (hidden, dim),
            prefix + "mlp.up_proj.weight": (hidden, dim),
            prefix + "mlp.down_proj.weight": (dim, hidden),
            prefix + "input_layernorm.weight": (dim,),
            prefix + "post_attention_layernorm.weight": (dim,),
        }
    return shapes | {"model.norm.weight": (dim,), "lm_head.weight": (vocabulary, dim)}
