# SPDX-License-Identifier: MIT
"""The echo server, asked by a program that is not ours."""
import os
import select
import shutil
import subprocess
import unittest

import programs

SOCAT = shutil.which("socat")


def ask_socat(peer, text):
    """What comes back for one datagram; socat is ended as soon as it is there."""
    with subprocess.Popen([SOCAT, "-", peer], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          bufsize=0) as process:
        try:
            process.stdin.write(text)
            if not select.select([process.stdout], [], [], programs.START_SECONDS_MAX)[0]:
                return None
            return os.read(process.stdout.fileno(), 65536)
        finally:
            process.kill()


@unittest.skipIf(SOCAT is None, "socat is missing: install the package socat")
class Socat(unittest.TestCase):
    def test_echod_answers_socat(self):
        for reactor in programs.reactors():
            for family, host in programs.families().items():
                with self.subTest(reactor=reactor, family=family), \
                        programs.start_echod("--reactor", reactor,
                                             listen=programs.join(host, 0)) as server:
                    peer = f"UDP{family}:{programs.join(host, server.port)}"
                    self.assertEqual(ask_socat(peer, b"hello"), b"hello")
                    self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    programs.main()
