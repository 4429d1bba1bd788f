"""safetensors files: load and save. A file is not trusted: offsets, overlaps, sizes and dtypes are checked before
anything is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

import _quarry
from _quarry import GraphError, TensorError

from .dtypes import NUMPY_OF, for_people, storage
from .tensor import Tensor


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
    return _quarry.write_safetensors_header(
        [(name, dtype, array.shape, array.nbytes) for name, (array, dtype) in stored.items()], dict(metadata or {}))


def _stored(name: str, value: Any) -> tuple[np.ndarray, str]:
    if not isinstance(name, str) or name == "__metadata__":
        raise TensorError(f"{name!r} is no name of a tensor")
    return (value.stored(), value.dtype) if isinstance(value, Tensor) else storage(value)


def _read(path: str | os.PathLike) -> dict[str, tuple[np.ndarray, str]]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(8)
        try:
            rest = _quarry.safetensors_header_bytes(first, size) - len(first)
            entries = _quarry.parse_safetensors_header(first + file.read(rest), size)
        except GraphError as error:
            raise SafetensorsError(f"{os.fspath(path)}: {error}") from None
        tensors = {}
        for name, (dtype, shape, offset, count) in entries.items():
            file.seek(offset)
            data = np.fromfile(file, np.uint8, count)
            if data.nbytes != count:
                raise SafetensorsError(f"{path}: the file ends inside of tensor {name!r}")
            array = data.view(NUMPY_OF[dtype]).reshape(shape)
            tensors[name] = (array if dtype != "bool" else data.astype(bool).reshape(shape), dtype)
        return tensors
