"""safetensors files: load and save. A file is not trusted: offsets, overlaps, sizes and dtypes are checked before
anything is read."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from _quarry import TensorError

from .dtypes import NUMPY_OF, for_people, storage
from .tensor import Tensor

MAX_HEADER_BYTES = 16 << 20
MAX_RANK = 16
_DTYPE_OF = {name.upper(): name for name in NUMPY_OF}


class SafetensorsError(ValueError):
    """A file that is no safetensors file, or lies about what it holds."""


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """{name: array} of a file; bf16 as float32."""
    return {name: for_people(bits, dtype) for name, (bits, dtype) in _read(path).items()}


def load_tensors(path: str | os.PathLike) -> dict[str, Tensor]:
    """{name: Tensor} of a file, in its dtypes."""
    return {name: Tensor(bits, dtype) for name, (bits, dtype) in _read(path).items()}


def save(path: str | os.PathLike, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Writes arrays or Tensors. The file appears under its name when it is complete."""
    stored = {name: _stored(name, value) for name, value in tensors.items()}
    draft = f"{os.fspath(path)}.{os.getpid()}.part"
    try:
        with open(draft, "wb") as file:
            file.write(head(stored, metadata))
            for array, _ in stored.values():
                file.write(array.reshape(-1).view(np.uint8).data)
        os.replace(draft, path)
    finally:
        if os.path.exists(draft):
            os.remove(draft)


def head(stored: Mapping[str, tuple[np.ndarray, str]], metadata: Mapping[str, str] | None = None) -> bytes:
    """What stands before the arrays of {name: (array, dtype)}, which follow in this order."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (array, dtype) in stored.items():
        header[name] = {"dtype": dtype.upper(), "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _stored(name: str, value: Any) -> tuple[np.ndarray, str]:
    if not isinstance(name, str) or name == "__metadata__":
        raise TensorError(f"{name!r} is no name of a tensor")
    return (value.stored(), value.dtype) if isinstance(value, Tensor) else storage(value)


def _read(path: str | os.PathLike) -> dict[str, tuple[np.ndarray, str]]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        entries, start = _header(file.read(8), file, size)
        tensors = {}
        for name, (dtype, shape, begin, end) in entries.items():
            file.seek(start + begin)
            data = np.fromfile(file, np.uint8, end - begin)
            if data.nbytes != end - begin:
                raise SafetensorsError(f"{path}: the file ends inside of tensor {name!r}")
            array = data.view(NUMPY_OF[dtype]).reshape(shape)
            tensors[name] = (array if dtype != "bool" else data.astype(bool).reshape(shape), dtype)
        return tensors


def _header(first: bytes, file: Any, size: int) -> tuple[dict[str, tuple[str, tuple[int, ...], int, int]], int]:
    length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
    if len(first) < 8 or length > min(MAX_HEADER_BYTES, size - 8):
        raise SafetensorsError(f"no safetensors file: a header of {length} bytes in a file of {size}")
    try:
        header = json.loads(file.read(length), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise SafetensorsError(f"the header is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise SafetensorsError("the header is no JSON object")
    entries = {name: _entry(name, value, size - 8 - length) for name, value in header.items() if name != "__metadata__"}
    _check_overlaps(entries)
    return entries, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands there twice")
    return values


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _entry(name: str, value: Any, data_bytes: int) -> tuple[str, tuple[int, ...], int, int]:
    def wrong(what: str) -> SafetensorsError:
        return SafetensorsError(f"tensor {name!r}: {what}")

    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise wrong("needs dtype, shape and data_offsets, and nothing else")
    dtype, shape, offsets = (value[field] for field in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _DTYPE_OF:
        raise wrong(f"dtype {dtype!r} is not one of {', '.join(_DTYPE_OF)}")
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(map(_is_count, shape)):
        raise wrong(f"bad shape {shape!r}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise wrong(f"bad data_offsets {offsets!r}")
    begin, end = offsets
    wanted = NUMPY_OF[_DTYPE_OF[dtype]].itemsize
    for length in shape:
        wanted *= length
    if not begin <= end <= data_bytes:
        raise wrong(f"its bytes {begin} to {end} do not lie in the file, which has {data_bytes} of data")
    if end - begin != wanted:
        raise wrong(f"{dtype}{shape} is {wanted} bytes but data_offsets has {end - begin}")
    return _DTYPE_OF[dtype], tuple(shape), begin, end


def _check_overlaps(entries: Mapping[str, tuple[str, tuple[int, ...], int, int]]) -> None:
    last, last_end = "", 0
    for begin, end, name in sorted((begin, end, name) for name, (_, _, begin, end) in entries.items() if end > begin):
        if begin < last_end:
            raise SafetensorsError(f"tensors {last!r} and {name!r} overlap")
        last, last_end = name, end
