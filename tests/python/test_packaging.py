"""The package installs with pip, as a wheel and editable, into an environment of its own, and works there."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = "import quarry; assert quarry.Tensor([1.0, 2.0]).sum().numpy(on='interpreter') == 3; print(quarry.__file__)"


def module_folder():
    """Where the built module is: the build tree is reused."""
    import _quarry
    return Path(_quarry.__file__).resolve().parent


class Packaging(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        # A copy: installing leaves files beside the sources.
        cls.sources = cls.folder / "sdk" / "python"
        shutil.copytree(REPOSITORY / "sdk" / "python", cls.sources,
                        ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info", "_quarry*.so"))
        cls.environment = {**os.environ, "QUARRY_BUILD_DIR": str(module_folder().parent), "PIP_NO_INDEX": "1",
                           "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        cls.environment.pop("PYTHONPATH", None)

    def run_quietly(self, *command, **options):
        done = subprocess.run([str(part) for part in command], env=self.environment, text=True, capture_output=True, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def installed(self, name, *what):
        """Python of a new environment in which pip has installed that."""
        environment = self.folder / name
        self.run_quietly(sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", environment)
        python = environment / "bin" / "python"
        self.run_quietly(python, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", *what)
        return python

    def test_a_wheel_is_built_and_installed(self):
        wheels = self.folder / "wheels"
        self.run_quietly(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", wheels,
                         self.sources)
        wheel, = wheels.iterdir()
        self.assertRegex(wheel.name, r"quarry-[\d.]+-cp3\d+-cp3\d+-linux_\w+\.whl")
        python = self.installed("of_wheel", wheel)
        self.assertIn("of_wheel", self.run_quietly(python, "-c", PROGRAM, cwd="/"))

    def test_an_editable_install_follows_the_sources(self):
        python = self.installed("editable", "-e", self.sources)
        self.assertIn(str(self.sources), self.run_quietly(python, "-c", PROGRAM, cwd="/"))


if __name__ == "__main__":
    unittest.main()
