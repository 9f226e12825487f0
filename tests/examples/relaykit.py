# SPDX-License-Identifier: MIT
"""What the scripts about the relay share: a relay that listens, and its counters."""
import re
import subprocess
from unittest import mock

import programs


def start_relay(to, *arguments, listen="127.0.0.1:0"):
    """A relay to ADDR:PORT that prints its counters at its end; its port is in `port`."""
    return programs.start_listening("relay", "--listen", listen, "--to", to, "--stats", 0,
                                    *arguments)


class Command(programs.Program):
    """A program of the system that runs the tests; its path is the first word."""

    def __init__(self, words, stdin=subprocess.DEVNULL, env=None):
        with mock.patch.object(programs, "LAUNCHER", []):
            super().__init__(*words, stdin=stdin, env=env)

    def __exit__(self, *what):
        super().__exit__(*what)
        if self.process.stdin is not None:
            self.process.stdin.close()


def counters(relay, name, program="relay"):
    """What a relay that has ended printed last behind `name`, as numbers."""
    line = re.findall(rf"^{program}: {name} (\S+=.*)$", relay.texts["err"],
                      re.MULTILINE)[-1]
    return {key: float(value) for key, value in programs.words(line).items()
            if re.fullmatch(r"[0-9.]+", value)}
