# SPDX-License-Identifier: MIT
"""The echo client: what it reports of servers that answer, answer wrongly, late or not at all."""
import json
import socket
import struct
import threading
import unittest

import programs

SO_TIMESTAMPNS = 35  # socket(7), where the number is that of most machines; not in the module
LOST_MS = 5000  # to wait for what is not answered, and more than a busy machine stands still
FIELDS = ["sent", "echoed", "lost", "mismatched", "min_rtt_us", "median_rtt_us", "p99_rtt_us",
          "max_rtt_us"]


class Server(threading.Thread):
    """Gives each datagram and its index to `answer`, and sends back the list that it returns."""

    def __init__(self, answer):
        super().__init__()
        self.socket = programs.open_socket()
        self.addr = programs.join(*self.socket.getsockname())
        self.answer = answer
        self.arrived = []  # time, as the system saw it come, and bytes
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def run(self):
        while True:
            data, control, _, peer = self.socket.recvmsg(65536, 100)
            if data == b"end":
                return
            seconds, nanoseconds = struct.unpack("ll", control[0][2])
            self.arrived.append((seconds + nanoseconds / 1e9, data))
            for answer in self.answer(data, len(self.arrived) - 1):
                self.socket.sendto(answer, peer)

    def __enter__(self):
        self.socket.settimeout(None)
        self.start()
        return self

    def __exit__(self, *_):
        with programs.open_socket() as client:
            client.sendto(b"end", self.socket.getsockname())
        self.join()
        self.socket.close()


class Echo(unittest.TestCase):
    def ask(self, status, *arguments, env=None):
        """Runs echo --json; returns what it printed, once that adds up."""
        done = programs.run_echo("--json", *arguments, env=env)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1)
        found = json.loads(done.stdout)
        self.assertEqual(list(found), FIELDS)
        self.assertEqual(found["echoed"] + found["lost"] + found["mismatched"], found["sent"])
        times = [found[name] for name in FIELDS[4:]]
        if found["echoed"] == 0:
            self.assertEqual(times, [None] * 4)
        else:
            self.assertEqual(times, sorted(times))
        return found

    def test_all_come_back(self):
        with Server(lambda data, _: [data]) as server:
            self.assertEqual(self.ask(0, "--count", 300, server.addr)["echoed"], 300)
            payloads = [data for _, data in server.arrived]
        self.assertEqual(len(set(payloads)), 300)
        self.assertEqual({len(data) for data in payloads}, {64})

    def test_every_size_and_window(self):
        for size, window in ((0, 1), (1, 1), (7, 1), (8, 2), (1472, 64), (65507, 1)):
            with self.subTest(size=size), Server(lambda data, _: [data]) as server:
                found = self.ask(0, "--count", 20, "--size", size, "--window", window, server.addr)
                self.assertEqual(found["echoed"], 20)
                self.assertEqual({len(data) for _, data in server.arrived}, {size})

    def test_window_bounds_what_is_under_way(self):
        with Server(lambda data, index: []) as server:
            found = self.ask(1, "--count", 8, "--window", 4, "--timeout-ms", 300, server.addr)
            self.assertEqual(found["lost"], 8)
            times = [at for at, _ in server.arrived]
        self.assertGreaterEqual(times[4] - times[0], 0.2)

    def test_interval_is_kept(self):
        with Server(lambda data, _: [data]) as server:
            self.ask(0, "--count", 5, "--interval-us", 50000, server.addr)
            times = [at for at, _ in server.arrived]
        self.assertGreaterEqual(times[-1] - times[0], 0.1)

    def test_loss_is_reported(self):
        with Server(lambda data, index: [data] if index % 4 else []) as server:
            found = self.ask(1, "--count", 12, "--timeout-ms", LOST_MS, server.addr)
        self.assertEqual((found["sent"], found["echoed"], found["lost"]), (12, 9, 3))

    def test_changed_bytes_are_reported(self):
        def change(data, index):
            if index == 3:
                return [data[:-1] + bytes([data[-1] ^ 1])]
            if index == 5:
                return [data[:-1]]
            return [data + b"\0"] if index == 7 else [data]
        with Server(change) as server:
            found = self.ask(1, "--count", 10, server.addr)
        self.assertEqual((found["echoed"], found["lost"], found["mismatched"]), (7, 0, 3))

    def test_copies_are_not_counted_twice(self):
        with Server(lambda data, _: [data, data]) as server:
            self.assertEqual(self.ask(0, "--count", 50, server.addr)["echoed"], 50)

    def test_closed_port_is_a_loss(self):
        addr = f"127.0.0.1:{programs.closed_port()}"
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor):
                found = self.ask(1, "--count", 3, "--timeout-ms", 200, "--reactor", reactor, addr)
                self.assertEqual(found["echoed"], 0)
                self.assertGreaterEqual(found["lost"], 1)

    def test_text_says_the_same(self):
        with Server(lambda data, index: [data] if index else []) as server:
            done = programs.run_echo("--count", 4, "--timeout-ms", LOST_MS, server.addr)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{server.addr}: 4 sent, 3 echoed, 1 lost (25.0 %), 0 mismatched\n",
                      done.stdout)
        self.assertRegex(done.stdout, r"round trip min/median/p99/max: [\d./]+ us\n\Z")

    def test_ends_on_signals(self):
        for number in programs.STOP_SIGNALS:
            arrived = threading.Event()

            def answer(data, index, arrived=arrived):
                arrived.set()
                return []
            with self.subTest(number=number), Server(answer) as server, \
                    programs.Program("echo", "--timeout-ms", 60000, server.addr) as client:
                self.assertTrue(arrived.wait(programs.START_SECONDS_MAX))
                self.assertEqual(client.stop(number), 0)
                self.assertIn("16 sent, 0 echoed, 0 lost (0.0 %), 0 mismatched, "
                              "16 still under way", client.texts["out"])

    def test_sends_from_the_address_asked_for(self):
        if programs.binds_to_all():
            self.skipTest("Wine 8: bind() to an address of IPv4 binds to all of them")
        with programs.open_socket() as server, \
                programs.Program("echo", "--listen", "127.0.0.3:0", "--count", 1,
                                 programs.join(*server.getsockname())) as client:
            data, peer = server.recvfrom(100)
            self.assertEqual(peer[0], "127.0.0.3")
            server.sendto(data, peer)
            self.assertEqual(client.wait_end(), 0)


if __name__ == "__main__":
    programs.main()
