"""What one process knows beside its tensors: which values are realised, the random streams, and the step that is being
captured."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

import _quarry

if TYPE_CHECKING:
    from .capturing import Capture
    from .tensor import Tensor

# Streams of captured steps are numbered apart from those of other tensors, and from 0 in each capture: so the same step
# gives the same graph, and its random numbers are not those that its weights were made of.
CAPTURED_STREAMS = 1 << 31


class Watched:
    """Tensors that are not kept alive, in the order in which they were added. (A WeakSet would compare them, which is
    an operation.)"""

    def __init__(self) -> None:
        self._by_id: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()

    def add(self, tensor: Tensor) -> None:
        self._by_id[id(tensor)] = tensor

    def discard(self, tensor: Tensor) -> None:
        self._by_id.pop(id(tensor), None)

    def clear(self) -> None:
        self._by_id.clear()

    def __contains__(self, tensor: Tensor) -> bool:
        return id(tensor) in self._by_id

    def __iter__(self) -> Iterator[Tensor]:
        return iter(list(self._by_id.values()))


class Context:
    """Not for several threads at once, as the tensors themselves."""

    def __init__(self) -> None:
        self.realised = _quarry.no_values()
        self.seed = 0
        self.next_stream = 0
        self.capture: Capture | None = None
        self.assigned = Watched()  # and not realised since
        self.losses = Watched()  # went backward since the last step of an optimiser
        self.trainable = Watched()

    def stream(self) -> int:
        """A stream of random numbers that nothing else uses."""
        if self.capture is not None:
            return CAPTURED_STREAMS + self.capture.take_stream()
        self.next_stream += 1
        return self.next_stream - 1


context = Context()


def manual_seed(seed: int) -> None:
    """Random tensors made from now on depend on `seed` and the order of the calls alone. Without it the seed is 0."""
    if not 0 <= seed < 2**64:
        raise ValueError(f"a seed is from 0 to 2^64 - 1, not {seed}")
    context.seed, context.next_stream = int(seed), 0
