# SPDX-License-Identifier: MIT
"""The bad network between sockets of our own: each fault, and that a seed decides which ones."""
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import unittest

import programs
from peers import find
from relaykit import Command, counters

COUNT = 300
FAULTS = ("--loss", 10, "--burst", 3, "--burst-length", 3, "--duplicate", 8, "--jitter", 2,
          "--reorder", 5, "--reorder-delay", 10)
ECT0, CE = 2, 3
LOST_OF_SEED_5 = [4, 16, 17, 19, 21, 22, 24, 25, 29, 32]


def start_impair(to, *arguments, listen="127.0.0.1:0"):
    """A network before ADDR:PORT that tells every fate; its port is in `port`."""
    return programs.start_listening("impair", "--listen", listen, "--to", to, "--log", "--stats", 0,
                                    *arguments)


def fates(middle, direction="up"):
    """What became of each datagram so far, by its ordinal."""
    found = re.findall(rf"^impair: {direction} (\d+): (.*)$", middle.texts["err"], re.MULTILINE)
    return {int(number): text for number, text in found}


class Base(unittest.TestCase):
    def open_pair(self, *arguments, family=4):
        """A server, a client, and the network between them."""
        host = programs.FAMILIES[family]
        server, client = programs.open_socket(family), programs.open_socket(family)
        middle = start_impair(programs.join(host, server.getsockname()[1]), *arguments,
                              listen=programs.join(host, 0))
        for thing in (server, client):
            self.addCleanup(thing.close)
        self.addCleanup(middle.__exit__)
        self.to = (host, middle.port)
        return server, client, middle

    def cross(self, *arguments, count=COUNT, family=4):
        """Sends numbers from the client; returns what arrived, and the fate of each."""
        server, client, middle = self.open_pair(*arguments, family=family)
        got = []
        for number in range(count):
            client.sendto(b"%d" % number, self.to)
            if number % 50 == 49:  # so that no socket's buffer is full
                middle.wait_for("err", rf"^impair: up {number}: ")
                wanted = sum(1 + ("twice" in text) for text in fates(middle).values()
                             if "passes" in text)
                got += [int(server.recv(100)) for _ in range(wanted - len(got))]
        self.assertEqual(middle.stop(), 0)
        found = counters(middle, "up", "impair")
        self.assertEqual((found["datagrams"], found["passed"]), (count, len(got)))
        return got, fates(middle)


class Survivors(Base):
    def test_same_seed_has_the_same_on_every_reactor_and_family(self):
        first = None
        for family in programs.families():
            for reactor in programs.reactors():
                with self.subTest(family=family, reactor=reactor):
                    got, told = self.cross(*FAULTS, "--seed", 77, "--reactor", reactor,
                                              family=family)
                    passed = [number for number, text in told.items() if "passes" in text]
                    twice = [number for number, text in told.items() if "twice" in text]
                    self.assertEqual(sorted(got), sorted(passed + twice))
                    first = first or sorted(got)
                    self.assertEqual(sorted(got), first)
        self.assertLess(len(set(first)), COUNT * 0.95)
        self.assertGreater(len(set(first)), COUNT * 0.6)
        self.assertNotEqual(first, sorted(set(first)))  # some came twice

    def test_twice_the_same_seed_and_another_one(self):
        runs = [sorted(self.cross("--loss", 30, "--seed", seed)[0]) for seed in (5, 5, 6)]
        self.assertEqual(runs[0], runs[1])
        self.assertNotEqual(runs[0], runs[2])
        lost = sorted(set(range(COUNT)) - set(runs[0]))
        self.assertEqual(lost[:len(LOST_OF_SEED_5)], LOST_OF_SEED_5)  # on every system

    def test_directions_are_apart(self):
        with programs.start_echod() as server, programs.open_socket() as client, \
                start_impair(f"127.0.0.1:{server.port}", "--loss", 30) as middle:
            for number in range(100):
                client.sendto(b"%06d" % number, ("127.0.0.1", middle.port))
            middle.wait_for("err", r"^impair: up 99: ")
            answers = sum("passes" in text for text in fates(middle).values())
            middle.wait_for("err", rf"^impair: down {answers - 1}: ")
            lost = [[number for number, text in fates(middle, name).items()
                     if text == "lost" and number < answers] for name in ("up", "down")]
            self.assertGreater(min(map(len, lost)), 5)
            self.assertNotEqual(*lost)
            arrived = sum("passes" in text for text in fates(middle, "down").values())
            for _ in range(arrived):
                client.recv(100)
            self.assertEqual(middle.stop(), 0)


class Faults(Base):
    def test_without_faults_nothing_happens(self):
        got, told = self.cross()
        self.assertEqual(got, list(range(COUNT)))
        self.assertEqual({text.split(" after")[0] for text in told.values()}, {"passes"})

    def test_delay_is_added_both_ways(self):
        with programs.start_echod() as server, programs.open_socket() as client, \
                start_impair(f"127.0.0.1:{server.port}", "--delay", "40.5") as middle:
            begin = time.monotonic()
            client.sendto(b"x", ("127.0.0.1", middle.port))
            client.recv(100)
            self.assertGreater(time.monotonic() - begin, 0.080)
            self.assertEqual(middle.stop(), 0)

    def test_bursts_are_runs(self):
        _, told = self.cross("--burst", 5, "--burst-length", 5)
        lost = [number for number in sorted(told) if "passes" not in told[number]]
        runs = sum(number - 1 not in lost for number in lost)
        self.assertGreater(len(lost), 2 * runs)
        self.assertGreater(runs, 2)

    def test_reordered_are_overtaken_and_jitter_keeps_the_order(self):
        got, told = self.cross("--reorder", 20, "--reorder-delay", 30)
        late = [number for number, text in told.items() if "out of order" in text]
        self.assertGreater(len(late), 20)
        self.assertNotEqual(got, sorted(got))
        self.assertEqual([number for number in got if number not in late],
                         [number for number in range(COUNT) if number not in late])
        got, _ = self.cross("--jitter", 5)
        self.assertEqual(got, list(range(COUNT)))

    def test_duplicates(self):
        got, _ = self.cross("--duplicate", 100, count=50)
        self.assertEqual(sorted(got), sorted(2 * list(range(50))))

    def test_corruption_flips_bits_or_is_found(self):
        server, client, middle = self.open_pair("--corrupt", 100, "--corrupt-bits", 3)
        client.sendto(bytes(1000), self.to)
        self.assertEqual(sum(byte.bit_count() for byte in server.recv(2000)), 3)
        self.assertEqual(middle.stop(), 0)
        server, client, middle = self.open_pair("--corrupt", 100, "--checksum")
        client.sendto(bytes(1000), self.to)
        middle.wait_for("err", r"^impair: up 0: (?!passes)")
        self.assertEqual(middle.stop(), 0)

    def test_mtu_is_of_packets(self):
        for family in programs.families():
            with self.subTest(family=family):
                header = 28 if family == 4 else 48
                server, client, middle = self.open_pair("--mtu", 1280, family=family)
                for size in (1281 - header, 1280 - header):
                    client.sendto(b"z" * size, self.to)
                self.assertEqual(len(server.recv(2000)), 1280 - header)
                self.assertEqual(middle.stop(), 0)
                self.assertEqual(counters(middle, "up", "impair")["too_large"], 1)

    def test_rate_takes_its_time(self):
        server, client, middle = self.open_pair("--rate", 1000, "--only", "up")
        begin = time.monotonic()
        for number in range(20):
            client.sendto(b"%1222d" % number, self.to)  # 10 kbit each
        got = [int(server.recv(2000)) for _ in range(20)]
        self.assertGreater(time.monotonic() - begin, 0.19)
        self.assertEqual(got, list(range(20)))
        self.assertEqual(middle.stop(), 0)

    def test_queue_that_is_full_loses(self):
        server, client, middle = self.open_pair("--rate", 1, "--queue", 5000)
        for _ in range(20):
            client.sendto(b"x" * 1222, self.to)
        middle.wait_for("err", r"^impair: up 19: ")
        self.assertEqual(middle.stop(), 0)
        self.assertGreater(counters(middle, "up", "impair")["full"], 10)

    @programs.unless_wine("the control data of a send, with ECN, is ignored")
    def test_congestion_marks_who_says_ect_and_loses_the_others(self):
        server, client, middle = self.open_pair("--rate", 200, "--ecn", 3000)
        server.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, ECT0)
        for _ in range(10):
            client.sendto(b"x" * 1222, self.to)
        marks = [server.recvmsg(2000, 100)[1][0][2][0] for _ in range(10)]
        self.assertEqual(set(marks), {ECT0, CE})
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0)
        for _ in range(10):
            client.sendto(b"x" * 1222, self.to)
        middle.wait_for("err", r"^impair: up 19: ")
        self.assertEqual(middle.stop(), 0)
        self.assertGreater(counters(middle, "up", "impair")["congested"], 0)

    def test_one_direction_alone(self):
        server, client, middle = self.open_pair("--loss", 100, "--only", "down")
        client.sendto(b"passes", self.to)
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)
        middle.wait_for("err", r"^impair: down 0: lost")
        self.assertEqual(middle.stop(), 0)

    def test_what_is_under_way_has_a_bound(self):
        server, client, middle = self.open_pair("--delay", 4000, "--held-max", 10)
        for number in range(50):
            client.sendto(b"%d" % number, self.to)
        self.assertEqual([int(server.recv(100)) for _ in range(10)], list(range(10)))
        self.assertEqual(middle.stop(), 0)
        self.assertEqual(counters(middle, "up", "impair")["drop_held"], 40)

    def test_bad_usage_is_refused(self):
        needed = ["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"]
        for words, says in ((needed[2:], "--listen is missing"), (needed[:2], "--to is missing"),
                            ([*needed, "--loss", "101"], "0 to 100"),
                            ([*needed, "--loss", "5%"], "0 to 100"),
                            ([*needed, "--loss", "1.0000001"], "0 to 100"),
                            ([*needed, "--loss", "."], "0 to 100"),
                            ([*needed, "--delay", "-1"], "0 to 3600000"),
                            ([*needed, "--mtu", "575"], "576"),
                            ([*needed, "--queue", "1000"], "--rate"),
                            ([*needed, "--only", "both"], "neither up nor down"),
                            ([*needed, "--corrupt-bits", "9"], "1 to 8")):
            with self.subTest(words=words):
                done = programs.run("impair", *words)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(says, done.stderr)


class Others(Base):
    @unittest.skipIf(find("openssl") is None, "openssl is missing: install the package openssl")
    def test_dtls_gets_there(self):
        """A handshake loses flights, repeats them, and both ends agree in the end."""
        with tempfile.TemporaryDirectory() as place:
            key, cert = pathlib.Path(place, "key.pem"), pathlib.Path(place, "cert.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days",
                            "2", "-keyout", key, "-out", cert], check=True, capture_output=True,
                           timeout=programs.RUN_SECONDS_MAX)
            port = programs.free_port()
            server = [find("openssl"), "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}",
                      "-key", str(key), "-cert", str(cert)]
            with Command(server, stdin=subprocess.PIPE) as server, \
                    start_impair(f"127.0.0.1:{port}", "--loss", 10, "--reorder", 10,
                                 "--duplicate", 10, "--delay", 5, "--seed", 2) as middle:
                server.wait_for("out", "ACCEPT")
                client = [find("openssl"), "s_client", "-dtls1_2", "-connect",
                          f"127.0.0.1:{middle.port}"]
                with Command(client, stdin=subprocess.PIPE) as client:
                    client.wait_for("out", "Cipher is ECDHE-ECDSA", programs.RUN_SECONDS_MAX)
                self.assertEqual(middle.stop(), 0)
                self.assertTrue(any("lost" in text for text in
                                    [*fates(middle).values(), *fates(middle, "down").values()]))


if __name__ == "__main__":
    programs.main()
