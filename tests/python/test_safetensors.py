"""safetensors files: what was saved comes back, and files that lie are refused before anything is read."""
import json
import os
import random
import struct
import tempfile
import unittest

import numpy as np

from quarry import Tensor, safetensors
from quarry.safetensors import SafetensorsError


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "x.safetensors")

    def write(self, header, data=b"", length=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        with open(self.path, "wb") as file:
            file.write(struct.pack("<Q", len(text) if length is None else length) + text + data)

    def refused(self, text):
        with self.assertRaisesRegex(SafetensorsError, text):
            safetensors.load(self.path)

    def test_every_dtype_comes_back(self):
        arrays = {code: np.array([[0, 1, 2]]).astype(code) for code in ("?", "i1", "u1", "i4", "i8", "f2", "f4", "f8", ">f4")}
        arrays["empty"], arrays["scalar"] = np.zeros((0, 3), np.float32), np.float32(7)
        safetensors.save(self.path, {**arrays, "lazy": Tensor([1.0, 2.0]) * 3, "bf16": Tensor([1.5, -2.0], "bf16")})
        loaded = safetensors.load(self.path)
        for name, array in arrays.items():
            np.testing.assert_array_equal(loaded[name], array)
            self.assertEqual(loaded[name].dtype, np.asarray(array).dtype.newbyteorder("="))
        np.testing.assert_array_equal(loaded["lazy"], [3, 6])
        np.testing.assert_array_equal(loaded["bf16"], np.float32([1.5, -2]))
        self.assertEqual(safetensors.load_tensors(self.path)["bf16"].dtype, "bf16")
        self.assertEqual(os.listdir(os.path.dirname(self.path)), ["x.safetensors"])

    def test_metadata_is_written_and_passed_over(self):
        safetensors.save(self.path, {"a": np.ones(2)}, {"format": "pt"})
        self.assertEqual(list(safetensors.load(self.path)), ["a"])

    def test_offsets_overlaps_sizes_and_dtypes_that_lie_are_refused(self):
        good = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        for change, text in (({"data_offsets": [0, 16]}, "/a/data_offsets"), ({"data_offsets": [8, 0]}, "/a/data_offsets"),
                             ({"data_offsets": [-8, 0]}, "/a/data_offsets"), ({"data_offsets": [0]}, "/a/data_offsets"),
                             ({"data_offsets": [0, 4]}, "8 bytes|has 4"), ({"shape": [3]}, "12 bytes"),
                             ({"shape": [2**62, 4]}, "2\\^62|bytes|elements"), ({"shape": [2**31, 2**31, 2**31]}, "bytes|elements"),
                             ({"shape": [-2]}, "/a/shape"), ({"shape": [True, 2]}, "/a/shape"), ({"shape": "2"}, "/a/shape"),
                             ({"dtype": "F31"}, "F31"), ({"dtype": 4}, "/a/dtype"), ({"more": 1}, "unknown")):
            self.write({"a": {**good, **change}}, bytes(8))
            self.refused(text)
        self.write({"a": good, "b": {**good, "data_offsets": [4, 12]}}, bytes(12))
        self.refused("overlap")

    def test_headers_that_lie_are_refused(self):
        for header, length, text in ((b"{}", 2**63, "the header claims"), (b"{}", 3, "the header claims"), (b"[]", None, "found an array"),
                                     (b"{", None, "not valid JSON"), (b"\xff", None, "not valid JSON"), (b'{"a": 1}', None, "found a number"),
                                     (b'{"a": {}, "a": {}}', None, "needs exactly|repeated"), (b"[" * 100_000, None, "found an array"),
                                     (b"", None, "not valid JSON")):
            self.write(header, length=length)
            self.refused(text)
        with open(self.path, "wb") as file:
            file.write(b"1234")
        self.refused("shorter than the 8 bytes")

    def test_mutated_files_are_read_or_refused(self):
        safetensors.save(self.path, {"a": np.ones((2, 3), np.float32), "b": np.arange(4)})
        with open(self.path, "rb") as file:
            original = file.read()
        chosen = random.Random(5)
        for _ in range(600):
            data = bytearray(original)
            for _ in range(chosen.randrange(1, 4)):
                data[chosen.randrange(len(data))] = chosen.randrange(256)
            with open(self.path, "wb") as file:
                file.write(data[:chosen.randrange(len(data))] if chosen.random() < 0.2 else data)
            try:
                safetensors.load(self.path)
            except SafetensorsError:
                pass


if __name__ == "__main__":
    unittest.main()
