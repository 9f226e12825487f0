# SPDX-License-Identifier: MIT
"""docs/tutorial.md quotes the programs as they are, and they print what it says."""
import os
import pathlib
import re
import tempfile
import unittest

import programs

SOURCE = pathlib.Path(os.environ.get("KIRIM_SOURCE", ".")).resolve()
TEXT = (SOURCE / "docs/tutorial.md").read_text(encoding="utf-8")
FILES = {path.name: path.read_text(encoding="utf-8")
         for path in sorted((SOURCE / "examples/tutorial").glob("*.[ch]"))}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def quotes():
    """Each block of C, and the file that the page has named last before it."""
    for block in BLOCK.finditer(TEXT):
        if block.group(1) == "c":
            named = [name for name in re.findall(r"`(\w+\.[ch])`", TEXT[:block.start()])
                     if name in FILES]
            yield named[-1], block.group(2)


def runs():
    """Each command of the page: its environment, its words, and the lines that it prints; "..."
    stands for some."""
    for language, block in BLOCK.findall(TEXT):
        if language == "console":
            command, *lines = block.splitlines()
            environment, words = re.fullmatch(r"\$ ((?:\w+=\S+ )*)build/bin/(.*)",
                                              command).groups()
            yield dict(word.split("=") for word in environment.split()), words.split(), lines


def as_said(text):
    """What was printed, with the programs where the page has them."""
    return re.sub(r"\S+[/\\](tutorial\d)(\.exe)?", r"build/bin/\1", text)


class Tutorial(unittest.TestCase):
    def test_quotes_are_verbatim(self):
        found = list(quotes())
        self.assertGreater(len(found), 20)
        for name, text in found:
            self.assertIn(text, FILES[name], f"not in {name}")

    def test_languages_are_known(self):
        self.assertEqual({language for language, _ in BLOCK.findall(TEXT)}, {"c", "console"})

    def test_files_are_told_of(self):
        for name in FILES:
            self.assertTrue(name == "tally.h" or f"`{name}`" in TEXT, name)

    def test_programs_print_what_is_said(self):
        for environment, (program, *arguments), lines in runs():
            with (self.subTest(program=program, arguments=arguments),
                  tempfile.TemporaryDirectory() as directory):
                if program == "tutorial5" and not os.path.exists(programs.path_of(program)):
                    continue  # a build may lack DTLS
                capture = pathlib.Path(directory, environment.get("KIRIM_PCAP", "none"))
                if "KIRIM_PCAP" in environment:
                    environment["KIRIM_PCAP"] = str(capture)
                done = programs.run(program, *arguments, env=environment)
                wanted = "".join(r"(.*\n)+" if line == "..." else re.escape(line) + r"\n"
                                 for line in lines)
                self.assertRegex(as_said(done.stdout), rf"\A{wanted}\Z", done.stderr)
                has_failed = re.fullmatch(r"[1-9]\d* of \d+ seeds failed", lines[-1])
                self.assertEqual(done.returncode, 1 if has_failed else 0, done.stderr)
                if "KIRIM_PCAP" in environment:
                    self.look_into(capture.read_bytes())

    def look_into(self, capture):
        """What the page says of the capture: an ADD that comes twice, and is counted twice."""
        self.assertIn(b"will arrive twice", capture)
        for total in (12, 13):
            self.assertIn(b"D\x02\x00\x0c\x00\x00\x00" + bytes([total]), capture)

    def test_steps_run_on_every_reactor(self):
        said = {program: lines for _, (program, *_), lines in runs() if program < "tutorial5"}
        for program, lines in said.items():
            for reactor in programs.reactors():
                with self.subTest(program=program, reactor=reactor):
                    done = programs.run(program, env={"KIRIM_REACTOR": reactor})
                    self.assertEqual(done.stdout.splitlines(), lines, done.stderr)

    def test_what_is_no_share_of_a_million_is_refused(self):
        for wrong in ("", "x", "-1", "100x", "1000001", "10000000"):
            done = programs.run("tutorial6", wrong)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn("usage:", done.stderr)

    def test_all_steps_are_run(self):
        self.assertEqual({program for _, (program, *_), _ in runs()},
                         {f"tutorial{i}" for i in range(1, 8)})


if __name__ == "__main__":
    programs.main()
