"""Builds the extension module `_quarry` with CMake, from the repository that this folder lies in.

QUARRY_BUILD_DIR names a build tree whose module is taken as it is; without it one is made for this interpreter under
build/.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

REPOSITORY = Path(__file__).resolve().parents[2]
FILE_NAME = "_quarry" + sysconfig.get_config_var("EXT_SUFFIX")


class CMakeBuild(build_ext):
    def build_extension(self, extension: Extension) -> None:
        given = os.environ.get("QUARRY_BUILD_DIR")
        built = (Path(given) if given else self.compile()) / "python" / FILE_NAME
        if not built.exists():
            raise SystemExit(f"{built} does not exist: build the target _quarry in {built.parents[1]} "
                             f"with {sys.executable}")
        target = Path(self.get_ext_fullpath(extension.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if self.inplace:
            target.symlink_to(built.resolve())  # an editable install follows the build tree
        else:
            shutil.copyfile(built, target)
            subprocess.run(["strip", "--strip-unneeded", str(target)], check=False)

    def compile(self) -> Path:
        """Builds `_quarry` alone, for the interpreter that runs this."""
        build = REPOSITORY / "build" / f"python-{sys.implementation.cache_tag}"
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        subprocess.run(["cmake", "-S", str(REPOSITORY), "-B", str(build), *generator, "-DCMAKE_BUILD_TYPE=Release",
                        "-DCMAKE_CXX_FLAGS_RELEASE=-O2", "-DQUARRY_ONLY_PYTHON=ON",
                        f"-DPython_EXECUTABLE={sys.executable}"], check=True)
        subprocess.run(["cmake", "--build", str(build), "--target", "_quarry", "--parallel"], check=True)
        return build


setup(ext_modules=[Extension("_quarry", sources=[])], cmdclass={"build_ext": CMakeBuild})
