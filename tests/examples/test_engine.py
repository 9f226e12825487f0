# SPDX-License-Identifier: MIT
"""The foreign engine: transfers between two processes, on every reactor and over both families."""
import re
import unittest

import programs

LINE = re.compile(r"(sent|received|failed) peer=(\S+) bytes=(\d+) digest=([0-9a-f]{16}) "
                  r"packets=(\d+) lost=(\d+) ce=(\d+)\n")


def digest(count):
    """FNV-1a of the bytes that a client makes up."""
    found = 0xcbf29ce484222325
    for i in range(count):
        byte = (i * 2654435761 >> 16) & 0xff
        found = (found ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return f"{found:016x}"


def start(*arguments, listen="127.0.0.1:0"):
    server = programs.Program("engine", "--listen", listen, *arguments)
    try:
        found = server.wait_for("err", r"listening on (\S+:(\d+)) ")
        server.addr, server.port = found.group(1), int(found.group(2))
    except BaseException:
        server.__exit__()
        raise
    return server


def stats(text):
    return programs.words(re.findall(r"engine: stats (.*)", text)[-1])


class Engine(unittest.TestCase):
    def test_every_reactor_and_family_carries_a_transfer_in_trains(self):
        wanted = digest(400000)
        able = programs.capabilities()
        for family, host in programs.families().items():
            for reactor in programs.reactors():
                with self.subTest(family=family, reactor=reactor), \
                        start("--reactor", reactor, "--stats", 0,
                              listen=programs.join(host, 0)) as server:
                    done = programs.run("engine", "--reactor", reactor, "--stats", 0,
                                        "--bytes", 400000, server.addr)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    sent = LINE.fullmatch(done.stdout)
                    self.assertEqual(sent.group(1, 2, 3, 4),
                                     ("sent", server.addr, "400000", wanted))
                    self.assertEqual(server.stop(), 0)
                    received = LINE.fullmatch(server.texts["out"])
                    self.assertEqual(received.group(1, 3, 4), ("received", "400000", wanted))
                    if able[reactor]["trains"]:
                        found = stats(done.stderr)
                        self.assertGreater(int(found["tx_trains"]), 10)
                        self.assertLess(int(found["tx_calls"]), int(found["tx"]) / 2)

    def test_one_endpoint_carries_many_transfers(self):
        with start("--stats", 0) as server:
            done = programs.run("engine", "--transfers", 16, "--bytes", 100000, server.addr)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(server.stop(), 0)
            wanted = digest(100000)
            for text, word in ((done.stdout, "sent"), (server.texts["out"], "received")):
                self.assertEqual([line[0] for line in LINE.findall(text)], [word] * 16)
                self.assertEqual({line[3] for line in LINE.findall(text)}, {wanted})
                self.assertEqual(len({line[1] for line in LINE.findall(text)}), 1)

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    def test_wildcard_answers_from_the_address_that_was_asked(self):
        with start(listen="0.0.0.0:0") as server, programs.open_socket() as client:
            # A data packet: kind, id, number, bytes in all, first chunk, the bytes.
            packet = b"\1" + b"kirim..." + bytes(4) + (3).to_bytes(8, "big") + bytes(4) + b"abc"
            client.sendto(packet, ("127.0.0.9", server.port))
            answer, peer = client.recvfrom(1000)
            self.assertEqual(peer, ("127.0.0.9", server.port))
            self.assertEqual(answer[:9], b"\2" + b"kirim...")
            self.assertEqual(answer[9:13], (1).to_bytes(4, "big"))  # the next chunk wanted
            self.assertEqual(server.stop(), 0)

    def test_nobody_there_is_a_failure(self):
        for reactor, can in programs.capabilities().items():
            if reactor == "sim" or not can["errors"]:
                continue
            with self.subTest(reactor=reactor):
                done = programs.run("engine", "--reactor", reactor,
                                    f"127.0.0.1:{programs.closed_port()}")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertEqual(LINE.fullmatch(done.stdout).group(1), "failed")

    def test_rubbish_is_ignored(self):
        with start() as server, programs.open_socket() as client:
            for rubbish in (b"", b"\1", b"\1" * 24, b"\2" * 18, b"\1" * 2000, b"\xff" * 400):
                client.sendto(rubbish, ("127.0.0.1", server.port))
            done = programs.run("engine", "--bytes", 5000, server.addr)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(LINE.fullmatch(server.texts["out"]).group(3), "5000")


if __name__ == "__main__":
    programs.main()
