"""The command line without a service: strict flags, output paths, what is said to a typo, completion and the manual."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from quarry_service import counting_graph, safetensors  # noqa: E402

QUARRY = Path(os.environ["QUARRY_BIN"]) / "quarry"
SUBCOMMANDS = ("up", "demo", "run", "graph", "devices", "onnx", "quote", "submit", "jobs", "job", "cancel", "get", "account", "usage")


class Flags(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="quarry-cli-")
        self.addCleanup(scratch.cleanup)
        self.data = Path(scratch.name)
        self.graph = self.data / "count.json"
        self.graph.write_text(json.dumps(counting_graph(4)))
        self.x = self.data / "x.safetensors"
        self.x.write_bytes(safetensors({"x": ("I32", [4], struct.pack("<4i", 1, 2, 3, 4))}))
        self.job = [str(self.graph), "--input", f"x={self.x}", "--device", "interpreter"]

    def quarry(self, *arguments, code=0, **options):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QUARRY_")}
        environment |= {"HOME": str(self.data), **options.pop("environment", {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        done = subprocess.run([str(QUARRY), *arguments], text=True, env=environment, timeout=300, **options)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def run_to(self, name, *arguments, code=0):
        return self.quarry("run", *self.job, "--to", str(self.data / name), *arguments, code=code)

    def test_a_number_is_decimal_and_in_its_range_or_refused_with_the_range(self):
        self.assertIn("10 steps", self.run_to("ten", "--carry", "x=x_next", "--steps", "010").stderr)
        largest = str(2**64 - 1)
        self.run_to("seed", "--seed", largest)
        for flag, bad in (("--steps", "0"), ("--steps", "-1"), ("--steps", "1e3"), ("--steps", "0x10"), ("--steps", " 1"),
                          ("--steps", "1.5"), ("--steps", str(2**31)), ("--steps", str(2**64 + 1)), ("--seed", "-1"), ("--seed", str(2**64)),
                          ("--first-step", "-1"), ("--first-step", str(2**63)), ("--checkpoint-every", "0")):
            done = self.run_to("bad", f"{flag}={bad}", code=2)
            self.assertIn("whole number from", done.stderr, f"{flag} {bad}")
            self.assertIn(flag, done.stderr)
        for command, flag, bad in (("up", "--port", "65533"), ("up", "--slots", "0"), ("jobs", "--limit", "201"), ("jobs", "--limit", "07x")):
            self.assertIn("whole number from", self.quarry(command, flag, bad, code=2).stderr)
        self.assertFalse((self.data / "bad").exists())

    def test_a_name_that_is_given_twice_is_refused(self):
        same = f"x={self.x}"
        for flags in (["--input", same], ["--carry", "x=x_next", "--carry", "x=total"], ["--keep", "total=last", "--keep", "total=each"],
                      ["--feed", same, "--feed", same + ",wrap"]):
            self.assertIn("twice", self.run_to("twice", *flags, code=2).stderr)
        self.quarry("run", *self.job, "--steps", "1", "--steps", "2", code=2)

    def test_output_that_cannot_be_written_fails_the_command(self):
        for arguments in (["devices"], ["--json", "devices"], ["graph", "inspect", str(self.graph)], ["--help"], ["man"], ["completion", "bash"]):
            with open("/dev/full", "w") as full:
                self.assertIn("standard output", self.quarry(*arguments, code=1, stdout=full).stderr, arguments)

    def test_a_directory_that_takes_no_file_is_refused_before_anything_is_computed(self):
        for target in ("/proc/nowhere", str(self.graph), "/dev/null/x"):
            done = self.quarry("run", *self.job, "--to", target, "--carry", "x=x_next", "--steps", "2000000000", code=1)
            self.assertIn("cannot write", done.stderr)

    def test_results_are_written_over_only_when_forced(self):
        self.run_to("out")
        file = self.data / "out" / "total.safetensors"
        before = file.read_bytes()
        file.write_bytes(b"mine")
        self.assertIn("--force", self.run_to("out", code=1).stderr)
        self.assertEqual(file.read_bytes(), b"mine")
        self.run_to("out", "--force")
        self.assertEqual(file.read_bytes(), before)

    def test_a_typo_is_answered_with_the_nearest_command_or_flag(self):
        for words, meant in ((["sumbit", "x.json"], "submit"), (["qoute", "x.json"], "quote"), (["graph", "inspct"], "inspect"),
                             (["jobs", "--limt", "3"], "--limit"), (["run", str(self.graph), "--stpes", "3"], "--steps"), (["devces"], "devices")):
            self.assertIn("did you mean", self.quarry(*words, code=2).stderr)
            self.assertIn(meant, json.loads(self.quarry("--json", *words, code=2).stdout)["error"]["detail"])
        self.assertNotIn("did you mean", self.quarry("frobnicate", code=2).stderr)

    def test_a_missing_file_is_bad_input_whichever_it_is(self):
        gone = str(self.data / "gone")
        self.quarry("run", gone, code=3)
        self.quarry("quote", gone, code=3)
        self.quarry("graph", "inspect", gone, code=3)
        self.quarry("onnx", "inspect", gone, code=3)
        self.quarry("run", str(self.graph), "--input", f"x={gone}", code=3)

    def test_onnx_finds_the_python_that_has_the_packages(self):
        onnx = self.data / "empty.onnx"
        onnx.write_bytes(b"not a model")
        bare = self.data / "bin"
        bare.mkdir()
        (bare / "python3").write_text("#!/bin/sh\nexec /usr/bin/python3 -S -I \"$@\"\n")  # a Python without any package
        (bare / "python3").chmod(0o755)
        path = f"{bare}:{os.environ['PATH']}"
        for environment in ({"PATH": path}, {"PATH": path, "VIRTUAL_ENV": str(self.data)}):
            done = self.quarry("onnx", "inspect", str(onnx), code=3, environment=environment)
            self.assertNotIn("cannot_start", done.stderr)
        done = self.quarry("onnx", "inspect", str(onnx), code=1, environment={"QUARRY_PYTHON": str(bare / "python3")})
        self.assertIn("QUARRY_PYTHON", done.stderr)


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What bash offers after these words; the last one is being typed."""
        script = (f"source <('{QUARRY}' completion bash); COMP_WORDS=({' '.join(repr(word) for word in words)}); "
                  f"COMP_CWORD={len(words) - 1}; _quarry; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        done = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return set(done.stdout.split())

    def test_bash_completes_commands_subcommands_and_flags(self):
        self.assertLessEqual(set(SUBCOMMANDS), self.complete("quarry", ""))
        self.assertEqual(self.complete("quarry", "sub"), {"submit"})
        self.assertEqual(self.complete("quarry", "graph", ""), {"inspect"})
        self.assertIn("--watch", self.complete("quarry", "submit", "--w"))
        self.assertIn("--json", self.complete("quarry", "submit", "--j"))
        self.assertEqual(self.complete("quarry", "onnx", "run", "--out"), {"--output"})
        self.assertEqual(self.complete("quarry", "--json", "job", "--wat"), {"--watch"})
        self.assertNotIn("--watch", self.complete("quarry", "devices", "--"))

    def test_the_zsh_script_is_the_same_function_under_bashcompinit(self):
        script = subprocess.run([str(QUARRY), "completion", "zsh"], capture_output=True, text=True, timeout=60).stdout
        self.assertIn("bashcompinit", script)
        self.assertEqual(subprocess.run(["bash", "-n"], input=script, text=True, timeout=60).returncode, 0)

    def test_the_manual_has_every_command_and_flag_and_no_warning_of_groff(self):
        page = subprocess.run([str(QUARRY), "man"], capture_output=True, text=True, timeout=60).stdout
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-rHY=0"], input=page, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        text = subprocess.run(["col", "-bx"], input=done.stdout, capture_output=True, text=True, timeout=60).stdout
        for command in SUBCOMMANDS:
            self.assertIn(f"quarry {command}", text)
        for flag in ("--checkpoint-every", "--watch", "--exact", "--force"):
            self.assertIn(flag, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
