# SPDX-License-Identifier: MIT
"""The command line that all example programs share."""
import unittest

import programs

# What is enough for a program to start.
NEEDED = {"echod": [], "echo": ["127.0.0.1:9"], "kirim-probe": [],
          "kirim-bench": ["echo", "--port", "0"]}
BAD_ADDRS = ("", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:7x", "localhost:7", ":7",
             "2001:db8::1:7", "[::1]", "[::1]7", "::1]:7", "127.0.0.1:7 ", "1.2.3:7")


class CommandLine(unittest.TestCase):
    def expect_usage(self, program, *arguments, says=""):
        with self.subTest(program=program, arguments=arguments):
            done = programs.run(program, *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stdout, "")
            self.assertTrue(done.stderr.startswith(f"{program}: "), done.stderr)
            self.assertIn(says, done.stderr)

    def test_help_names_every_common_option(self):
        for program in programs.PROGRAMS:
            with self.subTest(program=program):
                done = programs.run(program, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                for option in ("--listen", "--reactor", "--stats", "--help", "--version"):
                    self.assertIn(f"\n  {option}", done.stdout)

    def test_version_names_program_and_number(self):
        for program in programs.PROGRAMS:
            with self.subTest(program=program):
                done = programs.run(program, "--version")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertRegex(done.stdout, rf"\A{program} \(kirim\) \d+\.\d+\.\d+\n\Z")

    def test_wrong_usage_is_status_2(self):
        for program in programs.PROGRAMS:
            needed = NEEDED[program]
            self.expect_usage(program, *needed, "--nonsense", says="--nonsense")
            self.expect_usage(program, *needed, "-h", says="-h")
            self.expect_usage(program, *needed, "--list", says="--list'")
            self.expect_usage(program, *needed, "--reactor", says="needs a value")
            self.expect_usage(program, *needed, "--help=yes", says="takes no value")
            self.expect_usage(program, *needed, "--reactor", "nonsense", says="nonsense")
            self.expect_usage(program, *needed, "--stats=soon", says="soon")
            self.expect_usage(program, *needed, "--stats", "-1", says="-1")
            self.expect_usage(program, *needed, "--stats", "86401")
            self.expect_usage(program, *needed, "--stats", "99999999999999999999")
            self.expect_usage(program, *needed, "surplus", says="surplus")
            self.expect_usage(program, *needed, "--", "--help", says="--help")

    def test_bad_addresses_are_refused(self):
        for addr in BAD_ADDRS:
            self.expect_usage("echod", "--listen", addr, says=f"'{addr}'")
            self.expect_usage("echo", addr, says=f"'{addr}'")

    def test_too_many_addresses_are_refused(self):
        listen = ["--listen=127.0.0.1:0"]
        self.expect_usage("echod", *listen * 17, says="at most 16")
        self.expect_usage("echo", *listen * 2, "127.0.0.1:9", says="at most 1")

    def test_operands_are_required(self):
        self.expect_usage("echo", says="ADDR:PORT")
        self.expect_usage("kirim-bench", says="echo|sink|source")

    def test_numbers_are_bounded(self):
        for arguments in (["--count", "0"], ["--size", "65528"], ["--window", "0"],
                          ["--window", "65537"], ["--timeout-ms", "0"], ["--count", "1 "],
                          ["--size", "7"]):
            self.expect_usage("echo", *arguments, "127.0.0.1:9")
        self.expect_usage("echo", "--size", "65508", "127.0.0.1:9", says="65507")

    def test_bench_refuses_what_its_mode_does_not_know(self):
        for arguments in (["nonsense", "--port", "0"], ["echo"], ["source", "--port", "1"],
                          ["sink", "--port", "0", "--size", "64"], ["source"],
                          ["echo", "--port", "0", "--dest-port", "1"],
                          ["source", "--dest-port", "0"],
                          ["source", "--dest-port", "9", "--size", "7"],
                          ["source", "--dest-port", "9", "--peers", "65536"]):
            self.expect_usage("kirim-bench", *arguments)
        for variant in ("nonsense", "select,", "select,slots", "select,slots=63", "select,queue=0",
                        "select,queue=65537", "select,nonsense=1", "select,queue=8,", "x" * 99):
            self.expect_usage("kirim-bench", "echo", "--port", "0", "--variant", variant,
                              says="--variant")

    def test_unknown_reactor_of_the_environment_is_a_failure(self):
        for program in ("echod", "echo", "kirim-bench"):
            with self.subTest(program=program):
                done = programs.run(program, *NEEDED[program], env={"KIRIM_REACTOR": "nonsense"})
                self.assertEqual(done.returncode, 1)
                self.assertIn("KIRIM_ENOENT", done.stderr)


if __name__ == "__main__":
    programs.main()
