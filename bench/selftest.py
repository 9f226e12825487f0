#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that all contestants do the work that they are compared by.

    selftest.py [--bin-dir DIR] [unittest's own options]

Every contestant that is built echoes the very bytes, whatever their length and whether they come as
a train or alone; takes in what it counts; and sends numbered datagrams to its peers in turn. What
is not built is skipped. Only loopback traffic; every wait has an end.
"""

import os
import pathlib
import socket
import struct
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import compare  # noqa: E402

ANSWER_SECONDS_MAX = 5
RUN_SECONDS_MAX = 20
CPU = min(os.sched_getaffinity(0))
BUFFER_BYTES = 8 << 20
SO_RCVBUFFORCE = 33  # socket(7); not in the socket module
UDP_SEGMENT = 103  # udp(7); the same
IP_RECVTOS = 13  # ip(7); the same
TOS = 0xb8 | 2
SEGMENT_BYTES = 100
TRAIN_BYTES = 437  # five segments, the last one shorter
NO_SOURCE = ("raw-select",)
SIZES = (0, 1, 8, 64, 1472, 9000, 65507)

bin_dir = pathlib.Path(__file__).resolve().parent.parent / "build" / "bin"


def make_bytes(count):
    """Returns bytes that differ from their neighbours."""
    return bytes((7 * i + count) & 255 for i in range(count))


class Contestants(unittest.TestCase):
    """One subtest for each contestant that is built."""

    def each(self, check, without=()):
        """Calls the check with the command of each, kirim's reactors among them."""
        for name in [*compare.KNOWN, *compare.list_reactors(bin_dir)]:
            _, command = compare.parse_contestant(name, bin_dir)
            if name not in without and pathlib.Path(command[0]).exists():
                with self.subTest(contestant=name):
                    check(command)

    def open_socket(self, host="127.0.0.1", port=0):
        """Returns a socket with room for what is sent at once."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(opened.close)
        opened.settimeout(ANSWER_SECONDS_MAX)
        try:
            opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        opened.bind((host, port))
        return opened

    def start(self, command, mode, *arguments):
        """Returns a running server, and a socket connected to it."""
        words = [mode if word == "{mode}" else word for word in command]
        server = compare.Child([*words, "--port", "0", *arguments], CPU)
        self.addCleanup(server.__exit__)
        client = self.open_socket()
        client.connect(("127.0.0.1", int(server.wait_ready())))
        return server, client

    def run_source(self, command, *arguments):
        """Runs a source to its end, and returns what it says."""
        words = ["source" if word == "{mode}" else word for word in command]
        with compare.Child([*words, *map(str, arguments)], CPU) as source:
            return source.wait_result(RUN_SECONDS_MAX)

    def test_echo_returns_the_bytes(self):
        self.each(self.check_echo_returns_the_bytes)

    def check_echo_returns_the_bytes(self, command):
        server, client = self.start(command, "echo")
        for size in SIZES:
            client.send(make_bytes(size))
            self.assertEqual(client.recv(65536), make_bytes(size))
        client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT_BYTES)
        train = make_bytes(TRAIN_BYTES)
        client.send(train)
        for start in range(0, TRAIN_BYTES, SEGMENT_BYTES):
            self.assertEqual(client.recv(65536), train[start:start + SEGMENT_BYTES])
        result = server.stop()
        count = len(SIZES) + 5
        self.assertEqual((result["rx"], result["tx"], result["drop"]), (count, count, 0))

    def test_sink_counts_what_came(self):
        self.each(self.check_sink_counts_what_came)

    def check_sink_counts_what_came(self, command):
        server, client = self.start(command, "sink", "--seconds", "1")
        for size in SIZES:
            client.send(make_bytes(size))
        client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT_BYTES)
        client.send(make_bytes(TRAIN_BYTES))
        result = server.wait_result(RUN_SECONDS_MAX)
        self.assertEqual((result["rx"], result["tx"]), (len(SIZES) + 5, 0))

    def test_source_numbers_its_datagrams(self):
        self.each(self.check_source_numbers_its_datagrams, NO_SOURCE)

    def check_source_numbers_its_datagrams(self, command):
        for size, count in ((8, 130), (9, 130), (1200, 130), (65507, 3)):
            receiver = self.open_socket()
            port = receiver.getsockname()[1]
            result = self.run_source(command, "--dest-port", port, "--count", count,
                                     "--size", size)
            self.assertEqual((result["tx"], result["drop"]), (count, 0))
            for number in range(count):
                data = receiver.recv(65536)
                self.assertEqual((len(data), struct.unpack("=Q", data[:8])[0]), (size, number))
            receiver.setblocking(False)
            self.assertRaises(BlockingIOError, receiver.recv, 65536)

    def test_source_takes_its_peers_in_turn(self):
        self.each(self.check_source_takes_its_peers_in_turn, NO_SOURCE)

    def check_source_takes_its_peers_in_turn(self, command):
        first = self.open_socket("127.2.0.1")
        port = first.getsockname()[1]
        second = self.open_socket("127.2.0.2", port)
        self.run_source(command, "--dest-port", port, "--count", 4, "--peers", 2)
        for receiver, numbers in ((first, (0, 2)), (second, (1, 3))):
            for number in numbers:
                self.assertEqual(struct.unpack("=Q", receiver.recv(65536)[:8])[0], number)

    def test_shim_is_served_to_the_end(self):
        self.each(self.check_shim_is_served_to_the_end)

    def check_shim_is_served_to_the_end(self, command):
        words = ["echo" if word == "{mode}" else word for word in command]
        env = {"LD_PRELOAD": f"{bin_dir}/libshim.so", "SHIM_COUNT": "1000", "SHIM_BURST": "7"}
        with compare.Child([*words, "--port", "0"], CPU, env) as server:
            result = server.wait_result(RUN_SECONDS_MAX)
        # What Asio is sending when it is told to end, it has not sent.
        self.assertEqual(result["rx"], 1000)
        self.assertGreaterEqual(result["tx"], 999)
        self.assertEqual(result["drop"], 0)

    def test_trains_come_back(self):
        self.each(self.check_trains_come_back)

    def check_trains_come_back(self, command):
        server, client = self.start(command, "echo")
        port = client.getpeername()[1]
        done = subprocess.run(
            [bin_dir / "load", "--trains", "--dest-port", str(port), "--peers", "1"],
            check=True, capture_output=True, text=True, timeout=RUN_SECONDS_MAX)
        made = dict(word.split("=") for word in done.stdout.split()[2:])
        self.assertGreater(int(made["rx"]), 0)
        self.assertGreaterEqual(server.stop()["tx"], int(made["rx"]))

    def test_relay_by_hand_passes_what_came(self):
        for variant in ("plain", "whole"):
            with self.subTest(variant=variant):
                self.check_relay_by_hand(variant)

    def check_relay_by_hand(self, variant):
        server = self.open_socket()
        command = [bin_dir / "raw_relay", "--port", "0", "--variant", variant, "--dest-port",
                   str(server.getsockname()[1])]
        relay = compare.Child(list(map(str, command)), CPU)
        self.addCleanup(relay.__exit__)
        port = int(relay.wait_ready())
        clients = [self.open_socket() for _ in range(2)]
        server.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
        for client in clients:
            client.connect(("127.0.0.1", port))
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, TOS)
            for size in SIZES:
                client.send(make_bytes(size))
                data, control, _, peer = server.recvmsg(65536, 100)
                marks = [entry[2][0] for entry in control]
                self.assertEqual((data, marks),
                                 (make_bytes(size), [TOS if variant == "whole" else 0]))
                server.sendto(data, peer)
                self.assertEqual(client.recv(65536), data)
        clients[0].setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT_BYTES)
        train = make_bytes(TRAIN_BYTES)
        clients[0].send(train)
        for start in range(0, TRAIN_BYTES, SEGMENT_BYTES):
            self.assertEqual(server.recv(65536), train[start:start + SEGMENT_BYTES])
        result = relay.stop()
        count = 4 * len(SIZES) + 5
        self.assertEqual((result["rx"], result["tx"], result["drop"]), (count, count, 0))


def main():
    """Takes --bin-dir out, and leaves the rest to unittest."""
    global bin_dir
    arguments = sys.argv[1:]
    if arguments[:1] == ["--bin-dir"] and len(arguments) > 1:
        bin_dir = pathlib.Path(arguments[1]).resolve()
        arguments = arguments[2:]
    unittest.main(argv=[sys.argv[0], *arguments])


if __name__ == "__main__":
    main()
