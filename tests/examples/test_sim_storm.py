# SPDX-License-Identifier: MIT
"""The simulator's example: many seeds, and a line for each that fails, which runs it again."""
import os
import pathlib
import re
import unittest

import programs

LINE = re.compile(r"KIRIM_SEED=(\d+) (\S+) ([\d ]+)  # (\d+) answers of 20 "
                  r"\(digest [0-9a-f]{16}, \d+ ms\)")
DOCUMENT = pathlib.Path(os.environ.get("KIRIM_SOURCE", "."), "docs/simulator.md")


def lines(*arguments):
    """Status, lines of the seeds that failed, and the last line."""
    done = programs.run("sim_storm", *arguments)
    found = done.stdout.splitlines()
    assert not done.stderr, done.stderr
    return done.returncode, found[:-1], found[-1]


class SimStorm(unittest.TestCase):
    def test_no_seed_fails_with_tries_enough(self):
        self.assertEqual(lines(), (0, [], "0 of 1000 seeds failed"))

    def test_seed_that_fails_has_a_line_and_fails_again(self):
        status, found, last = lines(300, 1, 3)
        self.assertEqual(status, 1)
        self.assertGreater(len(found), 3)
        self.assertLess(len(found), 200)
        self.assertEqual(last, f"{len(found)} of 300 seeds failed")
        for line in found[:5]:
            seed, program, arguments, answers = LINE.fullmatch(line).groups()
            self.assertLess(int(answers), 20)
            again = line.replace(f" {arguments} ", f" 1 {seed} 3 ")
            self.assertEqual(lines(1, seed, 3), (1, [again], "1 of 1 seeds failed"))
            self.assertTrue(program.replace("\\", "/").endswith("sim_storm" + programs.SUFFIX))

    def test_line_of_the_documentation_is_what_it_prints(self):
        documented = LINE.search(DOCUMENT.read_text(encoding="utf-8"))
        printed = LINE.fullmatch(lines(*documented.group(3).split())[1][0])
        self.assertEqual(printed.group(1, 3, 4), documented.group(1, 3, 4))
        self.assertEqual(printed.group(0).split("#")[1], documented.group(0).split("#")[1])

    def test_wrong_numbers_are_refused(self):
        for wrong in (["0"], ["1", "x"], ["1", "1", "-1"], ["1", "1", "1", "1"], ["4294967296"]):
            with self.subTest(wrong=wrong):
                self.assertEqual(programs.run("sim_storm", "--", *wrong).returncode, 2)


if __name__ == "__main__":
    programs.main()
