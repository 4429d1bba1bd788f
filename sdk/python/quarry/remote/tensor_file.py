"""Arrays as safetensors files on the wire: written part by part without a copy, hashed as a stream.

A bf16 array is its bits, as uint16: NumPy has no bfloat16 and the wire has no unsigned 16-bit integer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ..dtypes import NUMPY_OF
from ..safetensors import head
from .errors import bad_answer

WIRE_OF = {dtype: name for name, dtype in NUMPY_OF.items()}
CHUNK_BYTES = 1 << 20
MAX_RESULT_HEAD_BYTES = 1 << 20  # of a result: one tensor
MAX_RANK = 16


def value_text(dtype: str, shape) -> str:
    """"f32[2, 3]", as the service says it."""
    return f"{dtype}[{', '.join(map(str, shape))}]"


class TensorFile:
    """A safetensors file made of arrays that stay where they are. Equal arrays under equal names have an equal hash."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        """`arrays` are as the engine stores them: contiguous, little-endian, in the wire's dtypes."""
        stored = {name: (arrays[name], WIRE_OF[arrays[name].dtype]) for name in sorted(arrays)}
        self.parts = [memoryview(head(stored))]
        self.parts += [memoryview(array.reshape(-1).view(np.uint8)) for array, _ in stored.values()]
        self.bytes = sum(part.nbytes for part in self.parts)

    def chunks(self, begin: int = 0, sent: Callable[[int], None] | None = None) -> Iterator[memoryview]:
        """The bytes from `begin` on, in pieces; `sent` hears how far it is when the next piece is asked for."""
        at = 0
        for part in self.parts:
            for start in range(max(begin - at, 0), part.nbytes, CHUNK_BYTES):
                piece = part[start:start + CHUNK_BYTES]
                yield piece
                if sent:
                    sent(at + start + piece.nbytes)
            at += part.nbytes

    def sha256(self, hashed: Callable[[int], None] | None = None) -> str:
        digest = hashlib.sha256()
        for piece in self.chunks(0, hashed):
            digest.update(piece)
        return digest.hexdigest()


def check_head(text: bytes, name: str, dtype: str, shape: tuple[int, ...], data_bytes: int) -> None:
    """That the header of a result's file is that of the one tensor it must hold."""
    try:
        header = json.loads(text)
        entry = header[name]
        found = str(entry["dtype"]).lower(), tuple(entry["shape"]), list(entry["data_offsets"])
        only = set(header) <= {name, "__metadata__"}
    except (ValueError, RecursionError, LookupError, TypeError):
        raise bad_answer(f"the result {name!r} is not a safetensors file with that tensor") from None
    if not only or found != (dtype, shape, [0, data_bytes]):
        raise bad_answer(f"the result {name!r} should be {value_text(dtype, shape)}, its file holds something else")
