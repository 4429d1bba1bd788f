"""What one process knows beside its tensors: which values are realised, the random streams, and the step that is being captured."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import _quarry

if TYPE_CHECKING:
    from .capturing import Capture
    from .tensor import Tensor

# Streams of captured steps are numbered apart from those of other tensors, and from 0 in each capture: so the same step gives the same
# graph, and its random numbers are not those that its weights were made of.
CAPTURED_STREAMS = 1 << 31


class Context:
    """Not for several threads at once, as the tensors themselves."""

    def __init__(self) -> None:
        self.realised = _quarry.Realised()
        self.seed = 0
        self.next_stream = 0
        self.capture: Capture | None = None
        self.assigned: weakref.WeakSet[Tensor] = weakref.WeakSet()  # not realised since
        self.losses: weakref.WeakSet[Tensor] = weakref.WeakSet()  # went backward since the last step of an optimiser
        self.trainable: weakref.WeakSet[Tensor] = weakref.WeakSet()

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
