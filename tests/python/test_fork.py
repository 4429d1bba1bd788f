"""A forked child of a process that has used a device is told so at once, instead of waiting for ever."""

import multiprocessing
import os
import signal
import unittest

import numpy as np

import quarry
from quarry import Tensor

PATIENCE_SECONDS = 300


def in_child(body):
    """What a forked child's body returns, or the exception it ends with, as text; fails when the child hangs."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_SECONDS)  # ends a child that hangs, whatever it waits for
        try:
            text = str(body())
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {status}"
    return text


def doubled():
    return (Tensor(np.arange(3, dtype=np.float32)) * 2).numpy().tolist()


class Fork(unittest.TestCase):
    def test_an_operation_in_a_forked_child_raises_and_says_what_to_do(self):
        self.assertEqual(doubled(), [0, 2, 4])
        for body in (doubled, lambda: quarry.run(quarry.build(quarry.input("x", (2,)) + 1), {"x": np.zeros(2, np.float32)})):
            text = in_child(body)
            self.assertIn("forked", text)
            self.assertIn("spawn", text)
        self.assertEqual(doubled(), [0, 2, 4])  # the parent goes on

    def test_building_a_graph_in_a_forked_child_needs_no_device(self):
        doubled()
        self.assertIn("graph_", in_child(lambda: quarry.build(quarry.input("x", (2,)) + 1).id))

    def test_a_spawned_process_has_devices_of_its_own(self):
        doubled()
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            self.assertEqual(pool.apply(doubled), [0, 2, 4])


if __name__ == "__main__":
    unittest.main()
