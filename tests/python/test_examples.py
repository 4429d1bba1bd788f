"""The examples as a user finds them: short, and running as they are. What they compute is in tests of their own."""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


class Examples(unittest.TestCase):
    def test_each_has_less_than_150_lines_and_stands_in_the_list(self) -> None:
        listed = (EXAMPLES / "README.md").read_text()
        for path in EXAMPLES.glob("*.py"):
            self.assertLess(len(path.read_text().splitlines()), 150, path.name)
            self.assertIn(f"`{path.name}`", listed)

    def test_those_that_take_a_moment_run_without_any_argument(self) -> None:
        for name, expected in {"llama": "7B, one token: ", "stable_diffusion": "UNet, 2 images: "}.items():
            with tempfile.TemporaryDirectory() as folder:
                ran = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], cwd=folder, capture_output=True, text=True,
                                     env=os.environ | {"QUARRY_ON": "interpreter"})
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertIn(expected, ran.stdout)

    def test_each_says_what_it_takes(self) -> None:
        for name in ("efficientnet", "llama", "resnet", "text_to_image"):
            ran = subprocess.run([sys.executable, EXAMPLES / f"{name}.py", "--help"], capture_output=True, text=True)
            self.assertIn("--weights", ran.stdout, ran.stderr)


if __name__ == "__main__":
    unittest.main()
