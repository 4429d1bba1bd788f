"""docs/python.md does what it says: its blocks are run in order, and what they print is what stands below them."""

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from service_case import ServiceCase

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["QUARRY_BIN"]).parent
TEXT = (ROOT / "docs" / "python.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks():
    """(language, code, what it must print or None, line) of each block that runs."""
    found = [(match[1], match[2], TEXT[:match.start()].count("\n") + 1) for match in BLOCK.finditer(TEXT)]
    for number, (language, code, line) in enumerate(found):
        if language == "text":
            continue
        following = found[number + 1] if number + 1 < len(found) else ("", "", 0)
        yield language, code, following[1] if following[0] == "text" else None, line


class Tutorial(ServiceCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        scratch = tempfile.TemporaryDirectory(prefix="quarry-test-")
        cls.addClassCleanup(scratch.cleanup)
        cls.directory = Path(scratch.name)

    def shell(self, code, directory, **variables):
        environment = {**os.environ, "PATH": f"{BUILD / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin", **variables}
        done = subprocess.run(["bash", "-e", "-c", code], cwd=directory, env=environment, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, f"{code}\n{done.stdout}\n{done.stderr}")

    def test_every_block_runs_and_prints_what_the_page_says(self):
        languages = {language for language, _, _, _ in blocks()}
        self.assertEqual(languages, {"python", "sh"})
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        names, checker = {"__name__": "tutorial"}, doctest.OutputChecker()
        for language, code, expected, line in blocks():
            with self.subTest(line=line):
                if language == "sh":
                    if "install" not in code:
                        self.shell(code, self.directory)
                    continue
                said = io.StringIO()
                with contextlib.redirect_stdout(said):
                    exec(compile("\n" * line + code, "docs/python.md", "exec"), names)
                if expected is not None:
                    self.assertTrue(checker.check_output(expected, said.getvalue(), doctest.ELLIPSIS),
                                    f"docs/python.md, line {line}, printed\n{said.getvalue()}")

    def test_what_is_installed_is_the_package(self):
        """The install block, with the extension module that is built already, into a folder of the test."""
        code = next(code for language, code, _, _ in blocks() if "pip install" in code)
        copy, target = self.directory / "clone", self.directory / "site"
        shutil.copytree(ROOT / "sdk", copy / "sdk",
                        ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "_quarry*.so"))
        shutil.copytree(ROOT / "ops", copy / "ops")
        self.shell(code, copy, QUARRY_BUILD_DIR=str(BUILD), PIP_TARGET=str(target), PIP_NO_INDEX="1", PIP_NO_DEPS="1",
                   PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_ROOT_USER_ACTION="ignore")
        check = (f"import quarry; assert quarry.__file__.startswith('{target}'); "
                 "assert (quarry.Tensor([1.0]) * 2).item() == 2")
        self.shell(f'python3 -c "{check}"', self.directory, PYTHONPATH=str(target))


if __name__ == "__main__":
    unittest.main()
