"""Pictures from words by Stable Diffusion 1.4: text encoder, all steps of DDIM, and VAE decoder, as three jobs.

    python3 examples/text_to_image.py                         # a toy of random weights, and its price
    python3 examples/text_to_image.py --weights stable-diffusion-v1-4 --tokens 320 2368 --output cat.png
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import quarry
from quarry import Tensor, functional as F
from stable_diffusion import Find, Part, decode, encode_text, time_features, unet

START, END = 49406, 49407  # of a prompt; END also fills the rest of its 77 places
TOY = {"text": {"width": 64, "layers": 2}, "unet": {"channels": (32, 64)}, "vae": {"channels": (32, 64)}}


def checkpoint(path: Path) -> Find:
    """The weights of a safetensors file. Older VAE files have other names for the parts of an attention."""
    renamed = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    tensors = {".".join(renamed.get(word, word) for word in name.split(".")): Tensor(array, "f32")
               for name, array in quarry.safetensors.load(path).items()}
    return lambda name, shape: tensors[name].reshape(shape)  # a 1 x 1 convolution may be stored as a matrix


def random_weights(seed: int = 0) -> Find:
    random, tensors = np.random.default_rng(seed), {}

    def find(name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in tensors:
            spread = 0.02 if len(shape) == 1 else np.prod(shape[1:]) ** -0.5
            around = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
            tensors[name] = Tensor(random.normal(around, spread, shape).astype(np.float32))
        return tensors[name]
    return find


def sampler(model: Part, noise: np.ndarray, text: Tensor, steps: int, guidance: float = 7.5,
            channels: tuple[int, ...] = (320, 640, 1280, 1280)) -> quarry.Job:
    """DDIM from noise (1, 4, height, width) to a latent: the job carries it through all steps. text: the encoded empty
    prompt and prompt."""
    latent, spacing = Tensor(noise), 1000 // steps
    timesteps = np.arange(steps)[::-1] * spacing + 1
    shares = np.cumprod(1 - np.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2)  # how much is signal at a timestep

    @quarry.jit
    def step(time: Tensor, share: Tensor, share_after: Tensor) -> Tensor:
        blank, prompted = F.chunk(unet(model, F.cat([latent, latent], 0), time.expand(2, -1), text, channels), 2, 0)
        noise = blank + guidance * (prompted - blank)
        image = (latent - (1 - share).sqrt() * noise) / share.sqrt()
        return latent.assign(share_after.sqrt() * image + (1 - share_after).sqrt() * noise)

    return step.job(steps=steps, keep="last", feed={
        "time": time_features(timesteps, channels[0])[:, None],
        "share": shares[timesteps].astype(np.float32),
        "share_after": shares[np.maximum(timesteps - spacing, 0)].astype(np.float32)})


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--weights", type=Path, help="the folder of the diffusers checkpoint")
    arguments.add_argument("--tokens", type=int, nargs="+", default=[320, 2368], help="the prompt: a cat")
    arguments.add_argument("--steps", type=int, help="default 50; of the toy 3")
    arguments.add_argument("--output", default="picture.png")
    options = arguments.parse_args()
    folder, sizes, size, steps = options.weights, {"text": {}, "unet": {}, "vae": {}}, 64, options.steps or 50
    if folder:
        parts = {"text_encoder": "model", "unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
        text_encoder, network, vae = (Part(checkpoint(folder / name / f"{file}.safetensors"))
                                      for name, file in parts.items())
    else:
        text_encoder, network, vae = (Part(random_weights(seed)) for seed in range(3))
        sizes, size, steps = TOY, 8, options.steps or 3
    prompts = np.full((2, 77), END, np.int32)
    prompts[:, 0], prompts[1, 1:1 + len(options.tokens)] = START, options.tokens
    text = encode_text(text_encoder, Tensor(prompts), **sizes["text"]).realize()
    job = sampler(network, np.random.default_rng(0).normal(size=(1, 4, size, size)).astype(np.float32), text, steps,
                  **sizes["unet"])
    print(f"{steps} steps:", job.quote())
    pixels = decode(vae, Tensor(job.run()), **sizes["vae"]).numpy()[0].transpose(1, 2, 0)
    from PIL import Image
    Image.fromarray(((pixels.clip(-1, 1) + 1) * 127.5).astype(np.uint8)).save(options.output)
    print("written:", options.output)


if __name__ == "__main__":
    main()
