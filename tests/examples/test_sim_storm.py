# SPDX-License-Identifier: MIT
"""The simulator's example: many seeds, a line for each that fails, and each fails again."""
import os
import pathlib
import re
import unittest

import programs

LINE = re.compile(r"seed (\d+) digest [0-9a-f]{16}: (\d+) answers at \d+ ms")
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
            seed, answers = LINE.fullmatch(line).groups()
            self.assertLess(int(answers), 20)
            self.assertEqual(lines(1, seed, 3), (1, [line], "1 of 1 seeds failed"))

    def test_line_of_the_documentation_is_what_it_prints(self):
        text = DOCUMENT.read_text(encoding="utf-8")
        arguments = re.search(r"sim_storm (\d+ \d+ \d+) ", text).group(1).split()
        self.assertEqual(lines(*arguments)[1][0], LINE.search(text).group(0))

    def test_wrong_numbers_are_refused(self):
        for wrong in (["0"], ["1", "x"], ["1", "1", "-1"], ["1", "1", "1", "1"], ["4294967296"]):
            with self.subTest(wrong=wrong):
                self.assertEqual(programs.run("sim_storm", "--", *wrong).returncode, 2)


if __name__ == "__main__":
    programs.main()
