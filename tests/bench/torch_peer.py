"""Measures with PyTorch what engine_bench measured: names of cases come in, one a line, and JSON lines go out.

A name is "WORK SHAPE DTYPE", e.g. "row sum 32768x4096 bf16". Cases that PyTorch has no counterpart for are left out."""

import json
import sys
import time

import torch

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
READ, READ_AND_WRITTEN = 1, 2
# What is timed, and how often the shape's bytes are moved; a matmul counts 2 n^3 operations instead.
WORK = {
    "copy": (lambda x: x.clone(), READ_AND_WRITTEN),
    "x + 1": (lambda x: x + 1, READ_AND_WRITTEN),
    "EXP": (torch.exp, READ_AND_WRITTEN),
    "row sum": (lambda x: x.sum(1), READ),
    "row max": (lambda x: x.amax(1), READ),
    "column sum": (lambda x: x.sum(0), READ),
    "transpose": (lambda x: x.t().contiguous(), READ_AND_WRITTEN),
}


def best_seconds(run, device):
    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    run()
    wait()
    best, spent = float("inf"), 0.0
    while spent < 0.5:
        start = time.perf_counter()
        run()
        wait()
        seconds = time.perf_counter() - start
        best, spent = min(best, seconds), spent + seconds
    return best


def measured(name, device):
    work, shape, dtype = name.rsplit(" ", 2)
    extents = [int(extent) for extent in shape.split("x")]
    x = torch.rand(extents, device=device).to(DTYPES[dtype])
    if work.startswith("matmul"):
        y = torch.rand(extents, device=device).to(DTYPES[dtype])
        right = y.t() if work.endswith("NT") else y
        return 2 * extents[0] ** 3 / best_seconds(lambda: x @ right, device) / 1e9
    run, moved = WORK[work]
    return moved * x.numel() * x.element_size() / best_seconds(lambda: run(x), device) / 1e9


def main():
    torch.backends.cuda.matmul.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() and "--processor" not in sys.argv else "cpu"
    for name in sys.stdin.read().splitlines():
        if name.rsplit(" ", 2)[0] in WORK or name.startswith("matmul"):
            print(json.dumps({"name": name, "value": measured(name, device)}), flush=True)


if __name__ == "__main__":
    main()
