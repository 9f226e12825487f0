# SPDX-License-Identifier: MIT
"""The zip for Windows, unpacked once for all cases of a script; KIRIM_ZIP names it."""
import functools
import os
import pathlib
import sys
import tempfile
import unittest
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "examples"))

ZIP = os.environ.get("KIRIM_ZIP", "")
CC = os.environ.get("KIRIM_CC", "x86_64-w64-mingw32-gcc")
TRIPLET = "x86_64-w64-mingw32"


@functools.cache
def unpacked():
    """The directory that the zip makes."""
    if not os.path.exists(ZIP):
        raise unittest.SkipTest(f"{ZIP or 'the zip'} is missing: packaging/windows/zip makes it")
    directory = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(directory.cleanup)
    with zipfile.ZipFile(ZIP) as file:
        file.extractall(directory.name)
    root, = pathlib.Path(directory.name).resolve().iterdir()
    return root
