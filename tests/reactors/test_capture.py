# SPDX-License-Identifier: MIT
"""Captures of simulated networks, read by other people's programs; and what the environment says of
trials."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

import programs  # noqa: E402

LINE = re.compile(r"KIRIM_SEED=(\d+) (\S+) (\d+ \d+ \d+)  # (\d+) answers of 20 "
                  r"\(digest [0-9a-f]{16}, \d+ ms\)")
STRICT = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
WRONG = '_ws.malformed or _ws.expert.severity >= "Warning" or ip.checksum.status == "Bad" or ' \
        'udp.checksum.status == "Bad"'


def storm(*arguments, **environment):
    """What sim_storm does with these variables in the environment."""
    return programs.run("sim_storm", *arguments, env=environment)


def tshark(path, *arguments):
    done = subprocess.run(["tshark", "-n", "-r", path, *arguments], text=True, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    return done.stdout.splitlines()


class Environment(unittest.TestCase):
    def test_line_of_a_seed_runs_it_again(self):
        done = storm("100", "1", "4")
        lines = done.stdout.splitlines()
        self.assertEqual(done.returncode, 1)
        for line in lines[:-1]:
            seed, _, arguments, _ = LINE.fullmatch(line).groups()
            again = storm(*arguments.split(), KIRIM_SEED=seed)
            self.assertEqual(again.stdout.splitlines(), [line, "1 of 1 seeds failed"])

    def test_number_of_seeds_is_said_by_the_environment(self):
        self.assertEqual(storm(KIRIM_SEEDS="7").stdout, "0 of 7 seeds failed\n")

    def test_trials_of_another_name_are_left_out(self):
        self.assertEqual(storm(KIRIM_TRIAL="other").stdout, "0 of 0 seeds failed\n")

    def test_what_is_no_number_is_told(self):
        for value in ("x", "-1", "1x", "18446744073709551616"):
            for name in ("KIRIM_SEED", "KIRIM_SEEDS"):
                with self.subTest(name=name, value=value):
                    done = storm(**{name: value})
                    self.assertEqual(done.stdout, f"{name}={value} is no number\n")
                    self.assertEqual(done.returncode, 2)


@unittest.skipUnless(shutil.which("tshark") and shutil.which("capinfos"),
                     "tshark and capinfos are missing: they read the captures")
class Capture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = str(pathlib.Path(cls.folder.name, "storm.pcapng"))
        cls.done = storm("100", "1", "4", KIRIM_PCAP=cls.path)

    def test_it_is_of_the_first_seed_that_failed(self):
        seed = LINE.match(self.done.stdout).group(1)
        again = str(pathlib.Path(self.folder.name, "again.pcapng"))
        storm("100", "1", "4", KIRIM_SEED=seed, KIRIM_PCAP=again)
        self.assertEqual(pathlib.Path(again).read_bytes(), pathlib.Path(self.path).read_bytes())

    def test_capinfos_finds_interfaces_and_order(self):
        done = subprocess.run(["capinfos", self.path], text=True, timeout=120, check=True,
                              stdout=subprocess.PIPE)
        self.assertRegex(done.stdout, r"Number of interfaces in file: 2\b")
        self.assertRegex(done.stdout, r"Strict time order: +True")
        self.assertRegex(done.stdout, r"precision: +nanoseconds")

    def test_tshark_finds_nothing_wrong(self):
        self.assertEqual(tshark(self.path, *STRICT, "-Y", WRONG), [])
        self.assertEqual(tshark(self.path, *STRICT, "-Y", "not udp"), [])

    def test_losses_are_comments_at_the_sender(self):
        fields = ["frame.interface_name", "frame.packet_flags_direction", "ip.src", "frame.comment"]
        rows = [line.split("\t") for line in tshark(
            self.path, "-T", "fields", *[word for name in fields for word in ("-e", name)])]
        self.assertEqual({row[0] for row in rows}, {"10.0.0.1:7", "10.0.0.2:0"})
        sent = [row for row in rows if int(row[1], 0) & 3 == 2]
        got = [row for row in rows if int(row[1], 0) & 3 == 1]
        self.assertEqual(len(sent) + len(got), len(rows))
        for name, _, source, _ in sent:
            self.assertEqual(name.split(":")[0], source)
        lost = [row for row in sent if row[3] == "lost"]
        twice = [row for row in sent if row[3] == "will arrive twice"]
        self.assertGreater(len(lost), 0)
        self.assertEqual(len(got), len(sent) - len(lost) + len(twice))


if __name__ == "__main__":
    programs.main()
