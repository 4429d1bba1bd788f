"""Stable Diffusion 1.4 in NumPy: CLIP's text encoder, the UNet, the VAE's decoder and a DDIM sampler, in float64.

Written from the architecture by the names of the diffusers checkpoint; shares no code with the example. The number of
blocks, layers and channels follows from the weights, so it runs at any width.
"""
from __future__ import annotations

import numpy as np

from reference_layers import attention, conv2d, gelu, group_norm, layer_norm, linear, sigmoid, swish

Weights = dict[str, np.ndarray]


def below(weights: Weights, prefix: str) -> Weights:
    """The weights of one part, named from there."""
    return {name[len(prefix) + 1:]: value for name, value in weights.items() if name.startswith(prefix + ".")}


def parts(weights: Weights, prefix: str) -> list[Weights]:
    """The weights of prefix.0, prefix.1, ..."""
    numbers = {int(name[len(prefix) + 1:].split(".")[0]) for name in weights if name.startswith(prefix + ".")}
    return [below(weights, f"{prefix}.{number}") for number in sorted(numbers)]


def apply_linear(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return linear(x, weights[name + ".weight"], weights.get(name + ".bias"))


def apply_conv(weights: Weights, name: str, x: np.ndarray, stride: int = 1) -> np.ndarray:
    kernel = weights[name + ".weight"]
    return conv2d(x, kernel, weights[name + ".bias"], stride, kernel.shape[-1] // 2)


def apply_layer_norm(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return layer_norm(x, weights[name + ".weight"], weights[name + ".bias"])


# CLIP's text encoder.

def encode_text(weights: Weights, tokens: np.ndarray, heads: int) -> np.ndarray:
    """tokens (prompts, positions) -> (prompts, positions, width)."""
    model = below(weights, "text_model")
    x = model["embeddings.token_embedding.weight"][tokens]
    x = x + model["embeddings.position_embedding.weight"][:tokens.shape[1]]
    for layer in parts(model, "encoder.layers"):
        normal = apply_layer_norm(layer, "layer_norm1", x)
        query, key, value = (apply_linear(layer, f"self_attn.{name}_proj", normal) for name in "qkv")
        x = x + apply_linear(layer, "self_attn.out_proj", attention(query, key, value, heads, causal=True))
        hidden = apply_linear(layer, "mlp.fc1", apply_layer_norm(layer, "layer_norm2", x))
        x = x + apply_linear(layer, "mlp.fc2", hidden * sigmoid(1.702 * hidden))  # OpenAI's quick GELU
    return apply_layer_norm(model, "final_layer_norm", x)


# What UNet and VAE share.

def residual_block(weights: Weights, x: np.ndarray, groups: int, epsilon: float, time: np.ndarray | None = None
                   ) -> np.ndarray:
    y = swish(group_norm(x, groups, weights["norm1.weight"], weights["norm1.bias"], epsilon))
    y = apply_conv(weights, "conv1", y)
    if time is not None:
        y = y + apply_linear(weights, "time_emb_proj", swish(time))[:, :, None, None]
    y = swish(group_norm(y, groups, weights["norm2.weight"], weights["norm2.bias"], epsilon))
    y = apply_conv(weights, "conv2", y)
    return y + (apply_conv(weights, "conv_shortcut", x) if "conv_shortcut.weight" in weights else x)


def twice_as_large(x: np.ndarray) -> np.ndarray:
    return x.repeat(2, axis=2).repeat(2, axis=3)


def as_positions(x: np.ndarray) -> np.ndarray:
    """(images, channels, height, width) -> (images, height * width, channels)."""
    return x.reshape(x.shape[0], x.shape[1], -1).transpose(0, 2, 1)


def as_image(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 1).reshape(like.shape)


# The UNet.

def transformer(weights: Weights, x: np.ndarray, text: np.ndarray, heads: int, groups: int) -> np.ndarray:
    y = group_norm(x, groups, weights["norm.weight"], weights["norm.bias"], 1e-6)
    y = as_positions(apply_conv(weights, "proj_in", y))
    for block in parts(weights, "transformer_blocks"):
        for number, source in ((1, None), (2, text)):
            normal = apply_layer_norm(block, f"norm{number}", y)
            seen = normal if source is None else source
            query = apply_linear(block, f"attn{number}.to_q", normal)
            key, value = (apply_linear(block, f"attn{number}.to_{name}", seen) for name in "kv")
            y = y + apply_linear(block, f"attn{number}.to_out.0", attention(query, key, value, heads))
        hidden, gate = np.split(apply_linear(block, "ff.net.0.proj", apply_layer_norm(block, "norm3", y)), 2, axis=-1)
        y = y + apply_linear(block, "ff.net.2", hidden * gelu(gate))
    return x + apply_conv(weights, "proj_out", as_image(y, x))


def time_features(timesteps: np.ndarray, width: int) -> np.ndarray:
    """Cosines, then sines, of the timestep at width / 2 frequencies from 1 down to almost 1 / 10,000."""
    frequencies = 10_000.0 ** (-np.arange(width // 2) / (width // 2))
    angles = np.asarray(timesteps, np.float64)[:, None] * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def unet(weights: Weights, latent: np.ndarray, timesteps: np.ndarray, text: np.ndarray, heads: int, groups: int
         ) -> np.ndarray:
    """The noise in latent (images, 4, height, width) at timesteps (images), given text (images, positions, width)."""
    def residual(block: Weights, x: np.ndarray) -> np.ndarray:
        return residual_block(block, x, groups, 1e-5, time)

    def attend(block: Weights, x: np.ndarray) -> np.ndarray:
        return transformer(block, x, text, heads, groups)

    time = time_features(timesteps, weights["time_embedding.linear_1.weight"].shape[1])
    time = swish(apply_linear(weights, "time_embedding.linear_1", time))
    time = apply_linear(weights, "time_embedding.linear_2", time)
    x = apply_conv(weights, "conv_in", latent)
    passed = [x]
    for block in parts(weights, "down_blocks"):
        attentions = parts(block, "attentions")
        for number, layer in enumerate(parts(block, "resnets")):
            x = residual(layer, x)
            x = attend(attentions[number], x) if attentions else x
            passed.append(x)
        if "downsamplers.0.conv.weight" in block:
            x = apply_conv(block, "downsamplers.0.conv", x, stride=2)
            passed.append(x)
    middle = below(weights, "mid_block")
    x = residual(below(middle, "resnets.0"), x)
    x = attend(below(middle, "attentions.0"), x)
    x = residual(below(middle, "resnets.1"), x)
    for block in parts(weights, "up_blocks"):
        attentions = parts(block, "attentions")
        for number, layer in enumerate(parts(block, "resnets")):
            x = residual(layer, np.concatenate([x, passed.pop()], axis=1))
            x = attend(attentions[number], x) if attentions else x
        if "upsamplers.0.conv.weight" in block:
            x = apply_conv(block, "upsamplers.0.conv", twice_as_large(x))
    x = swish(group_norm(x, groups, weights["conv_norm_out.weight"], weights["conv_norm_out.bias"], 1e-5))
    return apply_conv(weights, "conv_out", x)


# The VAE's decoder.

def decode_latent(weights: Weights, latent: np.ndarray, groups: int) -> np.ndarray:
    """latent (images, 4, height, width) -> pixels (images, 3, 8 * height, 8 * width), about -1 to 1."""
    x = apply_conv(weights, "post_quant_conv", latent / 0.18215)
    decoder = below(weights, "decoder")
    x = apply_conv(decoder, "conv_in", x)
    x = residual_block(below(decoder, "mid_block.resnets.0"), x, groups, 1e-6)
    middle = below(decoder, "mid_block.attentions.0")
    seen = as_positions(group_norm(x, groups, middle["group_norm.weight"], middle["group_norm.bias"], 1e-6))
    query, key, value = (apply_linear(middle, f"to_{name}", seen) for name in "qkv")
    x = x + as_image(apply_linear(middle, "to_out.0", attention(query, key, value, heads=1)), x)
    x = residual_block(below(decoder, "mid_block.resnets.1"), x, groups, 1e-6)
    for block in parts(decoder, "up_blocks"):
        for layer in parts(block, "resnets"):
            x = residual_block(layer, x, groups, 1e-6)
        if "upsamplers.0.conv.weight" in block:
            x = apply_conv(block, "upsamplers.0.conv", twice_as_large(x))
    x = swish(group_norm(x, groups, decoder["conv_norm_out.weight"], decoder["conv_norm_out.bias"], 1e-6))
    return apply_conv(decoder, "conv_out", x)


# The sampler.

def signal_shares() -> np.ndarray:
    """How much of the image's variance is left at each of the 1,000 timesteps of training."""
    betas = np.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2
    return np.cumprod(1 - betas)


def sample(weights: Weights, latent: np.ndarray, text: np.ndarray, steps: int, guidance: float, heads: int,
           groups: int) -> np.ndarray:
    """DDIM without noise of its own: text holds the empty prompt and the prompt, latent is (1, 4, height, width)."""
    shares = signal_shares()
    spacing = 1000 // steps
    for timestep in reversed([1 + number * spacing for number in range(steps)]):
        share = shares[timestep]
        share_before = shares[timestep - spacing] if timestep >= spacing else shares[0]
        noise = unet(weights, np.concatenate([latent, latent]), np.array([timestep, timestep]), text, heads, groups)
        noise = noise[:1] + guidance * (noise[1:] - noise[:1])
        image = (latent - np.sqrt(1 - share) * noise) / np.sqrt(share)
        latent = np.sqrt(share_before) * image + np.sqrt(1 - share_before) * noise
    return latent
