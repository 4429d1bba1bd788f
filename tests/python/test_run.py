"""quarry.run: graphs as dicts, JSON and CBOR, with steps, carry, feed, keep and seed; and what wrong ones get."""
import json
import os
import signal
import threading
import unittest

import numpy as np

import quarry
from quarry import GraphError, RunError, Tensor, TensorError

# y = a * x + b, and a running total: total' = total + y
GRAPH = {
    "version": 1,
    "nodes": [
        {"op": "INPUT", "name": "x", "dtype": "f32", "shape": [3]},
        {"op": "INPUT", "name": "a", "dtype": "f32", "shape": []},
        {"op": "INPUT", "name": "total", "dtype": "f32", "shape": [3]},
        {"op": "RESHAPE", "src": [1], "shape": [1]},
        {"op": "EXPAND", "src": [3], "shape": [3]},
        {"op": "MUL", "src": [0, 4]},
        {"op": "ADD", "src": [2, 5]}],
    "outputs": {"y": 5, "total": 6}}
X = np.array([1, 2, 3], np.float32)
INPUTS = {"x": X, "a": 2.0, "total": np.zeros(3, np.float32)}
RANDOM = {"version": 1, "nodes": [{"op": "RAND", "dtype": "f32", "shape": [4], "stream": 7}], "outputs": {"r": 0}}
PLACES = ("interpreter", "opencl:0")


class Forms(unittest.TestCase):
    def test_a_graph_comes_as_a_dict_json_cbor_or_graph(self):
        for place in PLACES:
            graph = quarry.Graph.parse(GRAPH)
            for form in (GRAPH, json.dumps(GRAPH), json.dumps(GRAPH).encode(), graph.cbor(), bytearray(graph.cbor()),
                         graph):
                result = quarry.run(form, INPUTS, on=place)
                np.testing.assert_array_equal(result["y"], 2 * X)
                np.testing.assert_array_equal(result["total"], 2 * X)

    def test_numbers_and_lists_become_the_inputs_dtype(self):
        result = quarry.run(GRAPH, {"x": [1, 2, 3], "a": 2, "total": Tensor([0.0, 0.0, 0.0])}, on="interpreter")
        np.testing.assert_array_equal(result["y"], 2 * X)
        self.assertEqual(result["y"].dtype, np.float32)

    def test_big_endian_and_strided_arrays_are_read_right(self):
        wide = np.arange(6, dtype=">f4")[::2] + 1
        result = quarry.run(GRAPH, {**INPUTS, "x": wide}, on="interpreter")
        np.testing.assert_array_equal(result["y"], [2, 6, 10])

    def test_bf16_goes_in_as_bits_or_floats_and_comes_out_as_float32(self):
        graph = quarry.build({"y": quarry.input("x", (3,), "bf16") * 2})
        for given in (np.array([0x3F80, 0x4000, 0x4040], np.uint16), X, X.astype(np.float64)):
            result = quarry.run(graph, {"x": given}, on="interpreter")["y"]
            self.assertEqual(result.dtype, np.float32)
            np.testing.assert_array_equal(result, 2 * X)

    def test_the_same_program_has_the_same_id(self):
        reordered = {**GRAPH, "nodes": [*GRAPH["nodes"], {"op": "STEP"}]}
        self.assertEqual(quarry.Graph.parse(GRAPH).id, quarry.Graph.parse(json.loads(json.dumps(reordered))).id)
        self.assertEqual(quarry.Graph.parse(quarry.Graph.parse(GRAPH).json()).id, quarry.Graph.parse(GRAPH).id)


class Steps(unittest.TestCase):
    def test_carried_values_go_from_step_to_step(self):
        for place in PLACES:
            result = quarry.run(GRAPH, INPUTS, steps=4, carry={"total": "total"}, keep={"total": "each", "y": "last"},
                                on=place)
            np.testing.assert_array_equal(result["total"], np.outer([1, 2, 3, 4], 2 * X))
            np.testing.assert_array_equal(result["y"], 2 * X)

    def test_a_feed_gives_each_step_its_slice_and_wraps_when_told_to(self):
        fed = np.arange(6, dtype=np.float32).reshape(2, 3)
        inputs = {"a": 1.0, "total": np.zeros(3, np.float32)}
        wrapped = np.stack([fed[0], fed[1], fed[0]])
        for form in ({"x": {"tensor": fed, "wrap": True}}, {"x": (fed, True)}):
            result = quarry.run(GRAPH, inputs, steps=3, feed=form, keep={"y": "each"}, on="interpreter")
            np.testing.assert_array_equal(result["y"], wrapped)
        result = quarry.run(GRAPH, {**inputs, "x": fed}, steps=3, feed={"x": {"wrap": True}}, keep={"y": "each"},
                            on="interpreter")
        np.testing.assert_array_equal(result["y"], wrapped)
        result = quarry.run(GRAPH, inputs, steps=1, first_step=1, feed={"x": fed}, keep=["y"], on="interpreter")
        np.testing.assert_array_equal(result["y"], fed[1])
        with self.assertRaisesRegex(GraphError, "2 slices"):
            quarry.run(GRAPH, inputs, steps=3, feed={"x": fed}, on="interpreter")

    def test_random_numbers_follow_seed_and_step_on_every_device(self):
        one = {place: quarry.run(RANDOM, seed=5, steps=3, keep="each", on=place)["r"] for place in PLACES}
        np.testing.assert_array_equal(*one.values())
        self.assertEqual(len(np.unique(one["interpreter"])), 12)
        other = quarry.run(RANDOM, seed=6, steps=3, keep="each", on="interpreter")["r"]
        self.assertFalse((one["interpreter"] == other).any())
        later = quarry.run(RANDOM, seed=5, first_step=2, on="interpreter")["r"]
        np.testing.assert_array_equal(later, one["interpreter"][2])

    def test_a_graph_is_compiled_once_for_all_numbers_of_steps(self):
        from quarry.running import local_device
        quarry.run(RANDOM, steps=1, on="interpreter")
        before = local_device("interpreter").compiled
        for steps in range(1, 6):
            quarry.run(RANDOM, steps=steps, seed=steps, first_step=steps, on="interpreter")
        self.assertEqual(local_device("interpreter").compiled, before)

    def test_progress_is_told_and_an_exception_in_it_stops_the_run(self):
        heard = []
        quarry.run(RANDOM, steps=50, on="interpreter", progress=lambda done, total: heard.append((done, total)))
        self.assertEqual(heard[-1], (50, 50))

        def tired(done, total):
            raise ZeroDivisionError("enough")
        with self.assertRaisesRegex(ZeroDivisionError, "enough"):
            quarry.run(RANDOM, steps=50, on="interpreter", progress=tired)
        self.assertEqual(quarry.run(RANDOM, on="interpreter")["r"].shape, (4,))

    def test_an_interrupt_stops_a_long_run(self):
        # In the background of a script it would be ignored.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
        with self.assertRaises(KeyboardInterrupt):
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            quarry.run(RANDOM, steps=2**31 - 2, on="interpreter")  # half an hour's

    def test_several_threads_take_turns(self):
        results = []
        def work():
            results.append(quarry.run(GRAPH, INPUTS, steps=20, carry={"total": "total"}, on="interpreter")["total"])
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(results), 4)
        for result in results:
            np.testing.assert_array_equal(result, 40 * X)


class Refusals(unittest.TestCase):
    def refused(self, error, text, *args, **kwargs):
        with self.assertRaisesRegex(error, text) as caught:
            quarry.run(*args, on="interpreter", **kwargs)
        return caught.exception

    def test_a_wrong_shape_names_both_shapes(self):
        self.refused(TensorError, r'"x" is f32\[3\] but f32\[2, 2\]', GRAPH,
                     {**INPUTS, "x": np.zeros((2, 2), np.float32)})

    def test_a_wrong_dtype_names_both_dtypes(self):
        self.refused(TensorError, r'"x" is f32\[3\] but float64\[3\]', GRAPH, {**INPUTS, "x": np.zeros(3)})

    def test_missing_and_unknown_inputs_are_named(self):
        self.refused(TensorError, '"x" has no value: give it f32', GRAPH, {"a": 1.0, "total": X})
        self.refused(TensorError, "'z' is no input of the graph; its inputs are", GRAPH, {**INPUTS, "z": X})

    def test_a_broken_graph_says_where(self):
        broken = json.loads(json.dumps(GRAPH))
        broken["nodes"][6]["src"] = [2, 1]
        error = self.refused(GraphError, "", broken, INPUTS)
        self.assertEqual(error.pointer, "/nodes/6/src")
        self.assertTrue(error.code)
        for text in ("", "{", "[]", b"\xff\x00", b"", {"version": 2}, {"a": float("nan")}, '{"version": 1e999}'):
            self.refused(GraphError, "", text, {})

    def test_what_is_no_graph_is_a_type_error(self):
        for graph in (None, 3, [1], object()):
            self.refused(TypeError, "a graph is", graph, {})

    def test_wrong_steps_seeds_and_keeps(self):
        for steps in (0, -1, 2**31, 1.5, "3", True):
            self.refused(TensorError, "steps is an integer", GRAPH, INPUTS, steps=steps)
        for seed in (-1, 2**64):
            self.refused(TensorError, "seed is an integer", GRAPH, INPUTS, seed=seed)
        self.refused(TensorError, "no output", GRAPH, INPUTS, keep=["z"])
        self.refused(TensorError, '"last" or "each"', GRAPH, INPUTS, keep={"y": "all"})

    def test_wrong_carries_and_feeds(self):
        self.refused(GraphError, "no output", GRAPH, INPUTS, carry={"total": "z"})
        self.refused(GraphError, "no input", GRAPH, INPUTS, carry={"z": "total"})
        self.refused(GraphError, r"f32\[\].*f32\[3\]", GRAPH, INPUTS, carry={"a": "total"})
        self.refused(TensorError, r"f32\[n, 3\] but f32\[3\]", GRAPH, INPUTS, feed={"x": X})
        self.refused(TensorError, "has no array", GRAPH, {"a": 1.0, "total": X}, feed=["x"])

    def test_an_unknown_device_lists_the_known_ones(self):
        with self.assertRaisesRegex(RunError, "interpreter"):
            quarry.run(RANDOM, on="abacus")


if __name__ == "__main__":
    unittest.main()
