"""The networks of Stable Diffusion 1.4 by the names of its diffusers checkpoint: text encoder, UNet, VAE decoder.

    python3 examples/stable_diffusion.py       # the price of the UNet; text_to_image.py makes pictures with all three
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

import quarry
from quarry import Tensor, functional as F

GROUPS, HEADS = 32, 8
Find = Callable[[str, tuple[int, ...]], Tensor]  # a weight by its name in the checkpoint and its shape


class Part:
    """A part of a network by its name: part["conv1"].conv(x, 320) uses conv1.weight and conv1.bias of that part."""

    def __init__(self, find: Find, name: str = ""):
        self.find, self.name = find, name

    def __getitem__(self, name: str) -> Part:
        return Part(self.find, f"{self.name}{name}.")

    def __call__(self, name: str, *shape: int) -> Tensor:
        return self.find(self.name + name, shape)

    def linear(self, x: Tensor, outputs: int, bias: bool = True) -> Tensor:
        return F.linear(x, self("weight", outputs, x.shape[-1]), self("bias", outputs) if bias else None)

    def conv(self, x: Tensor, outputs: int, kernel: int = 3, stride: int = 1) -> Tensor:
        weight, bias = self("weight", outputs, x.shape[1], kernel, kernel), self("bias", outputs)
        return F.conv2d(x, weight, bias, stride, kernel // 2)

    def layer_norm(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self("weight", x.shape[-1]), self("bias", x.shape[-1]))

    def group_norm(self, x: Tensor, epsilon: float) -> Tensor:
        return F.group_norm(x, GROUPS, self("weight", x.shape[1]), self("bias", x.shape[1]), epsilon)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, is_causal: bool = False) -> Tensor:
    query, key, value = (x.reshape(*x.shape[:2], heads, -1).transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value, is_causal=is_causal).transpose(1, 2).flatten(2)


def attention(part: Part, x: Tensor, seen: Tensor, heads: int, bias: bool = False) -> Tensor:
    """x (images, positions, width) looks at seen (images, positions, any width)."""
    query, width = part["to_q"].linear(x, x.shape[-1], bias), x.shape[-1]
    key, value = (part[name].linear(seen, width, bias) for name in ("to_k", "to_v"))
    return part["to_out.0"].linear(attend(query, key, value, heads), width)


def encode_text(model: Part, tokens: Tensor, width: int = 768, layers: int = 12, vocabulary: int = 49408) -> Tensor:
    """tokens (prompts, 77) -> (prompts, 77, width)."""
    text = model["text_model"]
    x = F.embedding(tokens, text["embeddings.token_embedding"]("weight", vocabulary, width))
    x = x + text["embeddings.position_embedding"]("weight", tokens.shape[1], width)
    for layer in (text[f"encoder.layers.{number}"] for number in range(layers)):
        y = layer["layer_norm1"].layer_norm(x)
        query, key, value = (layer[f"self_attn.{name}_proj"].linear(y, width) for name in "qkv")
        x = x + layer["self_attn.out_proj"].linear(attend(query, key, value, width // 64, is_causal=True), width)
        y = layer["mlp.fc1"].linear(layer["layer_norm2"].layer_norm(x), 4 * width)
        x = x + layer["mlp.fc2"].linear(y * F.sigmoid(1.702 * y), width)
    return text["final_layer_norm"].layer_norm(x)


def residual(part: Part, x: Tensor, outputs: int, epsilon: float, time: Tensor | None = None) -> Tensor:
    y = part["conv1"].conv(F.silu(part["norm1"].group_norm(x, epsilon)), outputs)
    if time is not None:
        y = y + part["time_emb_proj"].linear(F.silu(time), outputs)[:, :, None, None]
    y = part["conv2"].conv(F.silu(part["norm2"].group_norm(y, epsilon)), outputs)
    return y + (x if x.shape[1] == outputs else part["conv_shortcut"].conv(x, outputs, kernel=1))


def transformer(part: Part, x: Tensor, text: Tensor) -> Tensor:
    """Pixels look at each other and at the text."""
    block, width = part["transformer_blocks.0"], x.shape[1]
    y = part["proj_in"].conv(part["norm"].group_norm(x, 1e-6), width, kernel=1).flatten(2).transpose(1, 2)
    normal = block["norm1"].layer_norm(y)
    y = y + attention(block["attn1"], normal, normal, HEADS)
    y = y + attention(block["attn2"], block["norm2"].layer_norm(y), text, HEADS)
    hidden, gate = F.chunk(block["ff.net.0.proj"].linear(block["norm3"].layer_norm(y), 8 * width), 2, -1)
    y = y + block["ff.net.2"].linear(hidden * F.gelu(gate), width)
    return x + part["proj_out"].conv(y.transpose(1, 2).reshape(*x.shape), width, kernel=1)


def unet(model: Part, latent: Tensor, time: Tensor, text: Tensor, channels: tuple = (320, 640, 1280, 1280)) -> Tensor:
    """latent (images, 4, height, width), time_features (images, channels[0]), text (images, 77, 768) -> the noise."""
    time = F.silu(model["time_embedding.linear_1"].linear(time, 4 * channels[0]))
    time = model["time_embedding.linear_2"].linear(time, 4 * channels[0])

    def layer(block: Part, number: int, x: Tensor, width: int, attends: bool) -> Tensor:
        x = residual(block[f"resnets.{number}"], x, width, 1e-5, time)
        return transformer(block[f"attentions.{number}"], x, text) if attends else x

    x, deepest = model["conv_in"].conv(latent, channels[0]), len(channels) - 1
    passed = [x]
    for level, width in enumerate(channels):
        block = model[f"down_blocks.{level}"]
        for number in range(2):
            x = layer(block, number, x, width, level < deepest)
            passed.append(x)
        if level < deepest:
            x = block["downsamplers.0.conv"].conv(x, width, stride=2)
            passed.append(x)
    x = layer(model["mid_block"], 0, x, width, True)
    x = layer(model["mid_block"], 1, x, width, False)
    for level, width in enumerate(reversed(channels)):
        block = model[f"up_blocks.{level}"]
        for number in range(3):
            x = layer(block, number, F.cat([x, passed.pop()], 1), width, level > 0)
        if level < deepest:
            x = block["upsamplers.0.conv"].conv(F.interpolate(x, scale_factor=2), width)
    return model["conv_out"].conv(F.silu(model["conv_norm_out"].group_norm(x, 1e-5)), 4)


def decode(model: Part, latent: Tensor, channels: tuple = (128, 256, 512, 512)) -> Tensor:
    """latent (images, 4, height, width) -> (images, 3, 8 * height, 8 * width), from -1 to 1."""
    decoder, width = model["decoder"], channels[-1]
    x = decoder["conv_in"].conv(model["post_quant_conv"].conv(latent / 0.18215, 4, kernel=1), width)
    x = residual(decoder["mid_block.resnets.0"], x, width, 1e-6)
    middle = decoder["mid_block.attentions.0"]
    y = middle["group_norm"].group_norm(x, 1e-6).flatten(2).transpose(1, 2)
    x = x + attention(middle, y, y, heads=1, bias=True).transpose(1, 2).reshape(*x.shape)
    x = residual(decoder["mid_block.resnets.1"], x, width, 1e-6)
    for level, width in enumerate(reversed(channels)):
        for number in range(3):
            x = residual(decoder[f"up_blocks.{level}.resnets.{number}"], x, width, 1e-6)
        if level < len(channels) - 1:
            x = decoder[f"up_blocks.{level}.upsamplers.0.conv"].conv(F.interpolate(x, scale_factor=2), width)
    return decoder["conv_out"].conv(F.silu(decoder["conv_norm_out"].group_norm(x, 1e-6)), 3)


def time_features(timesteps: np.ndarray, width: int) -> np.ndarray:
    """What the UNet is told of the timesteps (n): cosines and sines, (n, width)."""
    angles = np.asarray(timesteps)[:, None] * 10_000.0 ** (-np.arange(width // 2) / (width // 2))
    return np.concatenate([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


if __name__ == "__main__":
    network = Part(quarry.input)
    latent, time, text = (quarry.input(*given) for given in (
        ("latent", (2, 4, 64, 64)), ("time", (2, 320)), ("text", (2, 77, 768))))
    print("UNet, 2 images:", quarry.quote(unet(network, latent, time, text)))
