# SPDX-License-Identifier: MIT
"""packaging/abi/compare: what it lets pass, and what it stops."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ABI = HERE.parents[1] / "packaging" / "abi"
sys.path.insert(0, str(HERE.parent / "examples"))
import programs  # noqa: E402  (found by the path above)

RUN_SECONDS_MAX = 60
TEXT = (ABI / "kirim.abi").read_text(encoding="utf-8")


def without_function(name):
    """The dump of a library that lacks one function."""
    text, count = re.subn(rf"\n *<elf-symbol name='{name}'[^\n]*", "", TEXT)
    text, more = re.subn(rf"\n *<function-decl name='{name}'.*?</function-decl>", "", text,
                         flags=re.DOTALL)
    assert (count, more) == (1, 1), (count, more)
    return text


def replaced(old, new):
    assert old in TEXT, old
    return TEXT.replace(old, new)


@unittest.skipIf(shutil.which("abidiff") is None,
                 "abidiff is missing: install the package abigail-tools")
class Compare(unittest.TestCase):
    def compare(self, old, new):
        with tempfile.TemporaryDirectory() as directory:
            paths = [pathlib.Path(directory, name) for name in ("old.abi", "new.abi")]
            for path, text in zip(paths, (old, new)):
                path.write_text(text, encoding="utf-8")
            done = subprocess.run([ABI / "compare", *paths], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                  timeout=RUN_SECONDS_MAX)
        return done.returncode, done.stdout

    def check_stopped(self, new, reason):
        status, text = self.compare(TEXT, new)
        self.assertEqual(status, 1, text)
        self.assertRegex(text, reason)
        self.assertIn("packaging/abi/renew", text)

    def test_same_library_passes(self):
        self.assertEqual(self.compare(TEXT, TEXT)[0], 0)

    def test_new_function_passes(self):
        self.assertEqual(self.compare(without_function("kirim_addr_parse"), TEXT)[0], 0)

    def test_lost_function_is_stopped(self):
        self.check_stopped(without_function("kirim_addr_parse"), r"\[D\].*kirim_addr_parse")

    def test_grown_structure_is_stopped(self):
        size = re.search(r"<class-decl name='kirim_addr' size-in-bits='(\d+)'", TEXT)
        grown = size.group(0).replace(size.group(1), str(int(size.group(1)) + 64))
        self.check_stopped(replaced(size.group(0), grown), "type size changed")

    def test_other_parameter_is_stopped(self):
        declaration = re.search(r"<function-decl name='kirim_cap_name'.*?</function-decl>", TEXT,
                                re.DOTALL).group(0)
        without = re.sub(r"\n *<parameter[^\n]*", "", declaration)
        self.assertNotEqual(without, declaration)
        self.check_stopped(replaced(declaration, without), "kirim_cap_name")

    def test_other_name_of_the_library_is_stopped(self):
        soname = re.search(r"soname='libkirim\.so\.[0-9.]+'", TEXT).group(0)
        self.check_stopped(replaced(soname, "soname='libkirim.so.77'"), "SONAME changed")


if __name__ == "__main__":
    programs.main()
