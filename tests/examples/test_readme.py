# SPDX-License-Identifier: MIT
"""The program in README.md compiles without a warning, runs, and prints what README.md says."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import programs
import readme

CC = os.environ.get("KIRIM_CC", "cc")
LIBRARY = pathlib.Path(os.environ.get("KIRIM_LIBRARY", "build/libkirim.a")).resolve()
LINK = [name for name in os.environ.get("KIRIM_LINK", "").split(":") if name]
SANITIZE = os.environ.get("KIRIM_SANITIZE", "")


class Readme(unittest.TestCase):
    def test_program_prints_what_is_said(self):
        with tempfile.TemporaryDirectory() as directory:
            source = pathlib.Path(directory, "hello.c")
            source.write_text(readme.block("c"), encoding="utf-8")
            program = f"{directory}/hello{programs.SUFFIX}"
            command = [CC, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                       f"-I{readme.SOURCE / 'lib/include'}", "-o", program, str(source),
                       str(LIBRARY), f"-Wl,-rpath,{LIBRARY.parent}"]
            if LIBRARY.suffix == ".a":
                command += ["-DKIRIM_STATIC", *(f"-l{name}" for name in LINK)]
            if SANITIZE and not programs.IS_WINE:  # no library there reports, so none is needed
                command.append(f"-fsanitize={SANITIZE}")
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  timeout=programs.RUN_SECONDS_MAX)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for reactor in programs.reactors():
                with self.subTest(reactor=reactor):
                    done = programs.run(program, env={"KIRIM_REACTOR": reactor})
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(done.stdout, readme.block("text"))

    def test_files_that_it_names_are_there(self):
        text = (readme.SOURCE / "README.md").read_text(encoding="utf-8")
        names = re.findall(r"`((?:docs/)?[\w-]+\.md|LICENSE|\./run-\w+)`", text)
        self.assertGreater(len(names), 5)
        for name in names:
            places = (readme.SOURCE / name, readme.SOURCE / "docs" / name)
            self.assertTrue(any(place.is_file() for place in places), name)

    def test_reactors_that_it_names_are_there(self):
        names = set(programs.run("kirim-probe", "--reactors").stdout.split())
        text = (readme.SOURCE / "README.md").read_text(encoding="utf-8")
        system = "Windows" if programs.IS_WINE else "Linux"
        said = re.search(rf"^- Reactors on {system}: (.*?)\n- ", text, re.MULTILINE | re.DOTALL)
        said = set(re.findall(r"`([a-z]+)`", said.group(1)))
        self.assertEqual(said | names, said)
        self.assertLessEqual(said - names, {"libevent"})  # a build may lack it


if __name__ == "__main__":
    programs.main()
