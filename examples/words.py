"""Invents words: a transformer of 230,000 parameters learns a dictionary, letter by letter, as one job.

    python3 examples/words.py

Its loss on words it never saw stands beside that of the pair model, which knows how often a letter follows another.
"""
from __future__ import annotations

import argparse

import numpy as np

import quarry
from quarry import Tensor, functional as F, nn, optim

LETTERS, LONGEST = 27, 15  # 0 is the end of a word, and what stands before its first letter


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), is_causal=True)
        return x + self.down(F.relu(self.up(self.norm2(x))))


class Speller(nn.Module):
    def __init__(self, width: int = 96, heads: int = 4, layers: int = 2, longest: int = LONGEST):
        self.letters, self.places = nn.Embedding(LETTERS, width), nn.Embedding(longest + 1, width)
        for table in (self.letters, self.places):  # N(0, 1) would drown what the blocks add
            table.weight.assign(table.weight * 0.02)
        self.blocks = [Block(width, heads) for _ in range(layers)]
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, LETTERS, bias=False)

    def forward(self, letters: Tensor) -> Tensor:
        """letters (words, places) -> logits of the letter after each (words, places, 27)."""
        x = self.letters(letters) + self.places(Tensor.arange(letters.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def nats(model: Speller, words: Tensor) -> Tensor:
    """words (n, 2 + longest), 0 around each -> the loss summed over letters and ends."""
    letters = words.cast("i32")
    before, after = letters[:, :-1], letters[:, 1:]
    after = F.where((before == 0) & (after == 0), -100, after)  # nothing comes after the end
    return F.cross_entropy(model(before).reshape(-1, LETTERS), after.reshape(-1), reduction="sum")


def predictions(words: np.ndarray) -> int:
    """How many letters and ends there are to predict."""
    return int((words != 0).sum()) + words.size // words.shape[-1]


def trainer(model: Speller, optimiser: optim.AdamW):
    """A step that learns from one batch of words at a given rate; returns its loss in nats a letter."""
    @quarry.jit
    def step(words: Tensor, rate: Tensor) -> Tensor:
        optimiser.zero_grad()
        optimiser.lr = rate
        letters = (words != 0).cast("f32").sum() + words.shape[0]
        loss = nats(model, words) / letters
        loss.backward()
        optimiser.step()
        return loss
    return step


def writer(model: Speller, count: int):
    """A step that adds a letter to each of `count` words, drawn as the model thinks likely."""
    words, place = Tensor.zeros(count, LONGEST + 1, dtype="i32"), Tensor.zeros(1, dtype="i32")

    @quarry.jit
    def step() -> Tensor:
        logits = F.take(model(words), place, axis=1).reshape(count, LETTERS)
        drawn = (logits - F.log(-F.log(Tensor.rand(count, LETTERS) + 1e-9))).argmax(-1)
        place.assign(place + 1)
        words.assign(F.where(Tensor.arange(LONGEST + 1) == place, drawn.cast("i32").reshape(count, 1), words))
        return words
    return step


def read_words(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Those of the letters a to z as (n, 2 + longest): to learn from, and one in 25 held out."""
    with open(path) as file:
        words = sorted({word for word in file.read().split() if word.isascii() and word.isalpha() and word.islower()})
    words = [word for word in words if len(word) <= LONGEST]
    array = np.zeros((len(words), LONGEST + 2), np.uint8)
    for row, word in zip(array, words):
        row[1:len(word) + 1] = np.frombuffer(word.encode(), np.uint8) - ord("a") + 1
    array = np.random.default_rng(1).permutation(array)
    return array[len(array) // 25:], array[:len(array) // 25]


def pair_model(learnt: np.ndarray, held_out: np.ndarray) -> float:
    """Nats a letter of the counted pairs on the words held out."""
    def pairs(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        before, after = words[:, :-1].ravel(), words[:, 1:].ravel()
        return before[(before != 0) | (after != 0)], after[(before != 0) | (after != 0)]

    counts = np.ones((LETTERS, LETTERS))
    np.add.at(counts, pairs(learnt), 1)
    return float(-np.log(counts / counts.sum(1, keepdims=True))[pairs(held_out)].mean())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--words", default="/usr/share/dict/words", help="a file with a word a line")
    arguments.add_argument("--epochs", type=float, default=2.5)
    options = arguments.parse_args()
    quarry.manual_seed(1)
    learnt, held_out = read_words(options.words)
    batches = learnt[:len(learnt) // 128 * 128].reshape(-1, 128, LONGEST + 2)
    steps = int(len(batches) * options.epochs)
    rates = 3e-3 * np.minimum(np.arange(1, steps + 1) / 100, np.linspace(1, 0.02, steps))

    model = Speller()
    step = trainer(model, optim.AdamW(model.parameters(), lr=0, betas=(0.9, 0.98), weight_decay=0.1))
    job = step.job(steps=steps, feed={"words": (batches, True), "rate": rates.astype(np.float32)}, keep="each")
    print(f"{sum(p.size for p in model.parameters()):,} parameters, {len(learnt):,} words, {steps} steps:", job.quote())
    losses = job.run()
    print(quarry.line_chart([part.mean() for part in np.array_split(losses, 120)], f" steps 1 to {steps}: nats a letter"))

    tested = held_out[:len(held_out) // 128 * 128]
    testing = quarry.jit(lambda words: nats(model, words)).job(steps=len(tested) // 128, keep="each",
                                                               feed={"words": tested.reshape(-1, 128, LONGEST + 2)})
    ours, pairs = testing.run().sum() / predictions(tested), pair_model(learnt, tested)
    print(f"words held out: {ours:.3f} nats a letter; pairs of letters: {pairs:.3f}; better by {pairs - ours:.3f}")
    invented = writer(model, 10).job(steps=LONGEST, keep="last").run()
    print("invented:", *(bytes(row[1:] + 96).decode().split("`")[0] for row in invented.astype(np.uint8)))


if __name__ == "__main__":
    main()
