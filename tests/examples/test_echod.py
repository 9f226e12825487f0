# SPDX-License-Identifier: MIT
"""The echo server: over every reactor and family, at its limits, and at its end."""
import json
import os
import signal
import unittest

import programs

PLACES = [(reactor, family, host) for reactor in programs.reactors()
          for family, host in programs.families().items()]
PAYLOAD_BYTES_MAX = {4: 65507, 6: 65527}


class Echod(unittest.TestCase):
    def test_there_is_something_to_test(self):
        self.assertIn("select", programs.reactors())
        self.assertIn(4, programs.families())

    def test_answers_echo(self):
        for reactor, family, host in PLACES:
            listen = programs.join(host, 0)
            with self.subTest(reactor=reactor, family=family), \
                    programs.start_echod("--reactor", reactor, listen=listen) as server:
                done = programs.run_echo("--json", "--count", 500, "--reactor", reactor,
                                         programs.join(host, server.port))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout)["echoed"], 500)
                self.assertEqual(server.stop(), 0)

    def test_empty_and_largest_datagrams_come_back(self):
        for reactor, family, host in PLACES:
            listen = programs.join(host, 0)
            with self.subTest(reactor=reactor, family=family), \
                    programs.start_echod("--reactor", reactor, listen=listen) as server, \
                    programs.open_socket(family) as client:
                client.connect((host, server.port))
                for size in (0, 1, PAYLOAD_BYTES_MAX[family] - 1, PAYLOAD_BYTES_MAX[family]):
                    payload = os.urandom(size)
                    client.send(payload)
                    self.assertEqual(client.recv(65536), payload)
                self.assertEqual(server.stop(), 0)

    def test_serves_several_addresses(self):
        listens = [f"--listen={programs.join(host, 0)}" for host in programs.families().values()]
        with programs.Program("echod", *listens, "--listen", "127.0.0.2:0") as server:
            found = []
            for _ in range(len(listens) + 1):
                pattern = r"listening on (\S+) [^\0]*?" * (len(found) + 1)
                found = list(server.wait_for("err", pattern).groups())
            for addr in found:
                self.assertEqual(programs.run_echo("--count", 10, addr).returncode, 0, addr)
            self.assertEqual(server.stop(), 0)

    def test_ends_on_signals(self):
        for reactor in [*programs.reactors(), "sim"]:
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(reactor=reactor, number=number), \
                        programs.start_echod("--reactor", reactor) as server:
                    self.assertEqual(server.stop(number), 0)

    def test_ends_under_load(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    programs.start_echod("--reactor", reactor) as server, \
                    programs.Program("kirim-bench", "source", "--dest-port", server.port) as load:
                load.wait_for("out", r"^READY")
                programs.run_echo("--count", 1, "--timeout-ms", 100, f"127.0.0.1:{server.port}")
                self.assertEqual(server.stop(), 0)

    def test_statistics_are_printed_again_and_again(self):
        with programs.start_echod("--stats", "1") as server:
            self.assertEqual(
                programs.run_echo("--count", 20, f"127.0.0.1:{server.port}").returncode, 0)
            line = server.wait_for("err", r"^echod: stats .*$").group(0)
            server.wait_for("err", r"^echod: stats [^\0]*^echod: stats ")
            self.assertEqual(server.stop(), 0)
        found = programs.words(line)
        self.assertEqual(found["endpoint"], f"127.0.0.1:{server.port}")
        self.assertEqual((found["rx"], found["tx"]), ("20", "20"))
        self.assertEqual((found["rx_bytes"], found["tx_bytes"]), ("1280", "1280"))
        calls = int(found["rx_calls"]) + int(found["tx_calls"])
        self.assertAlmostEqual(float(found["datagrams_per_call"]), 40 / calls, delta=0.06)

    def test_statistics_of_0_seconds_come_at_the_end(self):
        with programs.start_echod("--stats", "0") as server:
            self.assertEqual(
                programs.run_echo("--count", 5, f"127.0.0.1:{server.port}").returncode, 0)
            self.assertNotIn("stats", server.texts["err"])
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.texts["err"].count("stats endpoint="), 1)
            self.assertEqual(programs.words(server.texts["err"])["rx"], "5")

    def test_does_not_answer_another_server(self):
        with programs.start_echod() as server, \
                programs.open_socket(host="127.0.0.2", port=server.port) as other, \
                programs.open_socket() as client:
            other.sendto(b"forged", ("127.0.0.1", server.port))
            client.sendto(b"fair", ("127.0.0.1", server.port))
            self.assertEqual(client.recv(100), b"fair")  # and so the forged one has been handled
            other.setblocking(False)
            with self.assertRaises(BlockingIOError):
                other.recv(100)
            self.assertEqual(server.stop(), 0)
            self.assertIn("1 (from a server's port)", server.texts["err"])

    def test_address_in_use_is_a_failure(self):
        with programs.start_echod() as server:
            done = programs.run("echod", "--listen", f"127.0.0.1:{server.port}")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"127.0.0.1:{server.port}", done.stderr)
            self.assertIn("KIRIM_EADDRINUSE", done.stderr)


if __name__ == "__main__":
    programs.main()
