# SPDX-License-Identifier: MIT
"""The command line that all example programs share."""
import os
import pathlib
import re
import unittest

import programs

# What is enough for a program to start, and every operand that it takes.
NEEDED = {
    "echod": [], "echo": ["127.0.0.1:9"],
    "kirim-probe": [], "kirim-bench": ["echo", "--port", "0"],
    "dnsd": [], "dnsq": ["@127.0.0.1:9", "x", "A"], "dnsfwd": [],
    "tftpd": [], "tftp": ["get", "127.0.0.1:9", "f"],
    "coapd": [], "coap": ["get", "coap://127.0.0.1:9"],
    "channel_copy": ["--listen", "127.0.0.1:0", "--discard"],
    "chat": ["--listen", "127.0.0.1:0"],
    "engine": ["127.0.0.1:9"], "sim_storm": ["1", "1", "1"],
    "relay": ["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"],
    "impair": ["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"],
    "embed_libevent": [], "dtls_echo": ["--psk", "00", "--identity", "x"],
}
# A good value for each kind of value that a --help names; for all others 8 is one.
VALUES = {
    "ADDR:PORT": "127.0.0.1:0", "NAME": "select", "REACTOR[,...]": "select",
    "MEMORY": "65536",
    "BLOCK": "64",
    "BYTES": "1200",
}
EXAMPLES = pathlib.Path(os.environ.get("KIRIM_SOURCE", "."), "examples")
BAD_ADDRS = ("", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:7x", "localhost:7", ":7",
             "2001:db8::1:7", "[::1]", "[::1]7", "::1]:7", "127.0.0.1:7 ", "1.2.3:7")


def options(program):
    """The options that --help names, each with the name of its value or ''."""
    text = programs.run(program, "--help").stdout
    return dict(re.findall(r"^  (--[a-z-]+)(?: (\S+))? ", text, re.MULTILINE))


def every_option():
    """Every option of any program, as the sources have them."""
    text = "".join(path.read_text(encoding="utf-8") for path in EXAMPLES.rglob("*.[ch]"))
    return set(re.findall(r'\.name = "(--[a-z-]+)"', text))


class CommandLine(unittest.TestCase):
    def expect_usage(self, program, *arguments, says=""):
        with self.subTest(program=program, arguments=arguments):
            done = programs.run(program, *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stdout, "")
            self.assertTrue(done.stderr.startswith(f"{program}: "), done.stderr)
            self.assertIn(says, done.stderr)

    def test_help_ends_with_success(self):
        for program in programs.PROGRAMS:
            with self.subTest(program=program):
                done = programs.run(program, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout.startswith(f"usage: {program} [option...]"))
                self.assertLess(max(map(len, done.stdout.splitlines())), 121)
                self.assertLessEqual({"--help", "--version"}, set(options(program)))

    def test_every_option_that_help_names_is_accepted(self):
        for program in programs.PROGRAMS:
            for name, value in options(program).items():
                words = [name, VALUES.get(value, "8")] if value else [name]
                with self.subTest(program=program, words=words):
                    done = programs.run(program, *words, "--help")
                    self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_no_other_option_is_accepted(self):
        step = 13 if programs.IS_WINE else 1  # what refuses is the same code, and starts cost there
        for place, program in enumerate(programs.PROGRAMS):
            for name in sorted(every_option() - set(options(program)))[place % step::step]:
                with self.subTest(program=program, name=name):
                    done = programs.run(program, name, "--help")
                    self.assertEqual(done.returncode, 2, done.stdout)
                    self.assertIn(f"unknown option '{name}'", done.stderr)

    def test_shared_options_are_where_they_do_something(self):
        without = {"--listen": {"dnsq", "sim_storm", "tftp", "coap"},
                   "--reactor": {"embed_libevent", "sim_storm"},
                   "--stats": {"dnsq", "sim_storm", "tftp", "coap"}}
        for name, lacking in without.items():
            found = {program for program in programs.PROGRAMS if name not in options(program)}
            self.assertEqual(found, lacking & set(programs.PROGRAMS), name)

    def test_help_of_echo_servers_says_whom_they_do_not_answer(self):
        for program in {"echod", "embed_libevent"} & set(programs.PROGRAMS):
            self.assertRegex(programs.run(program, "--help").stdout,
                             r"port below\s1024, or the own one,\sis not\sanswered")

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
            self.expect_usage(program, *needed, "--help=yes", says="takes no value")
            self.expect_usage(program, *needed, "surplus", says="surplus")
            self.expect_usage(program, *needed, "--", "--help", says="--help")
            if "--reactor" in options(program):
                self.expect_usage(program, *needed, "--reactor", says="needs a value")
                self.expect_usage(program, *needed, "--reactor", "nonsense", says="nonsense")
            if "--stats" in options(program):
                self.expect_usage(program, *needed, "--stats=soon", says="soon")
                for wrong in ("-1", "86401", "99999999999999999999"):
                    self.expect_usage(program, *needed, "--stats", wrong, says=wrong)

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
                self.assertIn("KIRIM_REACTOR: this build has no reactor 'nonsense'", done.stderr)
                self.assertIn("KIRIM_ENOENT", done.stderr)

    def test_port_0_is_nobody_to_send_to(self):
        for program, *arguments in (
                ("echo",), ("engine",), ("chat", "--connect"), ("channel_copy", "--connect"),
                ("relay", "--listen", "127.0.0.1:0", "--to"),
                ("impair", "--listen", "127.0.0.1:0", "--to"),
                ("embed_libevent", "--notify"), ("dtls_echo", "--insecure", "--connect")):
            if program in programs.PROGRAMS:
                also = ["--generate", "1"] if program == "channel_copy" else []
                self.expect_usage(program, *also, *arguments, "127.0.0.1:0", says="127.0.0.1:0")

    def test_what_would_do_nothing_is_wrong_usage(self):
        for option in (["--overwrite"], ["--upload-bytes-max", "9"]):
            self.expect_usage("tftpd", "--root", ".", *option, says="need --write")
        for name in ("", "x" * 33):
            self.expect_usage("chat", "--connect", "127.0.0.1:9", "--name", name, says="--name")
        for number in ("0", "4294967296", "x"):
            self.expect_usage("sim_storm", number, says=f"'{number}' is not a number from 1 to")

    def test_a_file_that_cannot_be_read_is_named_with_the_reason(self):
        for name in ("nonexistent", ""):
            done = programs.run("dnsd", "--zone", name, "--listen", "127.0.0.1:0")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, rf"dnsd: '{name}' cannot be read: \w+")


if __name__ == "__main__":
    programs.main()
