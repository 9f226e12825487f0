# SPDX-License-Identifier: MIT
"""The relay between sockets of our own: what it keeps, what it drops, and what it costs."""
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time
import unittest

import programs
from relaykit import counters, start_relay

IP_MTU_DISCOVER, IP_RECVTOS = 10, 13  # ip(7); those are not in the socket module
IP_TOS = socket.IP_TOS if hasattr(socket, "IP_TOS") else 1
IPV6_RECVTCLASS, IPV6_TCLASS = 66, 67
UDP_SEGMENT, UDP_GRO = 103, 104
SIZES = (0, 1, 64, 1200, 1472, 9000, 65507)
NEW_PEERS = 1500
CAP = 100
INSIDE = "--inside"


def answer(server, count=1):
    """Sends back the next datagrams; returns them with their senders."""
    found = []
    for _ in range(count):
        data, peer = server.recvfrom(65536)
        server.sendto(data, peer)
        found.append((data, peer))
    return found


def name_of(found):
    """A socket's own address as the programs take it."""
    return programs.join(*found.getsockname()[:2])


class Relay(unittest.TestCase):
    def test_every_reactor_and_family_carries_an_echo(self):
        for family, host in programs.families().items():
            for reactor in programs.reactors():
                listen = programs.join(host, 0)
                with self.subTest(family=family, reactor=reactor), \
                        programs.start_echod(listen=listen) as server, \
                        start_relay(programs.join(host, server.port), "--reactor", reactor,
                                    listen=listen) as relay:
                    done = programs.run_echo("--count", 2000, programs.join(host, relay.port))
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(relay.stop(), 0)
                    for way in ("up", "down"):
                        found = counters(relay, way)
                        self.assertEqual((found["datagrams"], found["passed"]), (2000, 2000))
                    self.assertEqual(counters(relay, "peers")["began"], 1)

    def test_families_may_differ(self):
        if len(programs.families()) < 2:
            self.skipTest("IPv6 is missing")
        with programs.open_socket(6) as server, programs.open_socket() as client, \
                start_relay(name_of(server)) as relay:
            client.sendto(b"across", ("127.0.0.1", relay.port))
            answer(server)
            self.assertEqual(client.recv(100), b"across")

    def test_each_listening_address_has_peers_of_its_own(self):
        with programs.open_socket() as server, programs.open_socket() as client, \
                start_relay(name_of(server), "--listen", "127.0.0.1:0") as relay:
            other = relay.wait_for("err", r"listening on .*\n.*listening on \S+:(\d+) ").group(1)
            ports = {relay.port, int(other)}
            for port in ports:
                client.sendto(b"?", ("127.0.0.1", port))
            self.assertEqual(len({peer for _, peer in answer(server, 2)}), 2)
            self.assertEqual({client.recvfrom(100)[1][1] for _ in range(2)}, ports)
            self.assertEqual(relay.stop(), 0)

    def test_every_length_passes(self):
        with programs.open_socket() as server, programs.open_socket() as client, \
                start_relay(name_of(server)) as relay:
            for size in SIZES:
                with self.subTest(size=size):
                    data = os.urandom(size)
                    client.sendto(data, ("127.0.0.1", relay.port))
                    self.assertEqual(answer(server)[0][0], data)
                    self.assertEqual(client.recv(65536), data)

    def test_each_peer_has_a_socket_and_gets_what_is_its_own(self):
        clients = [programs.open_socket() for _ in range(20)]
        self.addCleanup(lambda: [client.close() for client in clients])
        with programs.open_socket() as server, start_relay(name_of(server)) as relay:
            for turn in range(3):
                for number, client in enumerate(clients):
                    client.sendto(b"%d %d" % (number, turn), ("127.0.0.1", relay.port))
                found = answer(server, len(clients))
                self.assertEqual(len({peer for _, peer in found}), len(clients))
                for number, client in enumerate(clients):
                    self.assertEqual(client.recv(100), b"%d %d" % (number, turn))
            self.assertEqual(relay.stop(), 0)
            self.assertEqual(counters(relay, "peers")["began"], len(clients))

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    def test_answers_leave_from_the_address_that_was_asked(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), programs.open_socket() as server, \
                    programs.open_socket() as client, \
                    start_relay(name_of(server), "--reactor", reactor,
                                listen="0.0.0.0:0") as relay:
                for host in ("127.0.0.9", "127.0.0.77"):
                    client.sendto(b"?", (host, relay.port))
                    answer(server)
                    self.assertEqual(client.recvfrom(100), (b"?", (host, relay.port)))

    @programs.unless_wine("the control data of a send, with ECN and DSCP, is ignored")
    def test_ecn_and_dscp_pass_both_ways(self):
        for family in programs.families():
            level, name, told = ((socket.IPPROTO_IP, IP_TOS, IP_RECVTOS) if family == 4 else
                                 (socket.IPPROTO_IPV6, IPV6_TCLASS, IPV6_RECVTCLASS))
            for reactor in programs.reactors():
                with self.subTest(family=family, reactor=reactor), \
                        programs.open_socket(family) as server, \
                        programs.open_socket(family) as client, \
                        start_relay(name_of(server), "--reactor", reactor,
                                    listen=programs.join(programs.FAMILIES[family], 0)) as relay:
                    to = (programs.FAMILIES[family], relay.port)
                    for end in (server, client):
                        end.setsockopt(level, told, 1)
                    for up, down in ((0xb8 | 2, 0x28 | 1), (3, 0xb8), (0, 3), (1, 0)):
                        client.setsockopt(level, name, up)
                        server.setsockopt(level, name, down)
                        client.sendto(b"marked", to)
                        peer = self.expect_marks(server, up, (level, name))
                        server.sendto(b"marked", peer)
                        self.expect_marks(client, down, (level, name))

    def expect_marks(self, end, wanted, kind):
        data, control, _, peer = end.recvmsg(100, 100)
        found = {entry[:2]: entry[2] for entry in control}[kind]
        self.assertEqual((data, int.from_bytes(found, sys.byteorder)), (b"marked", wanted))
        return peer

    @programs.unless_wine("there is no offload, and nothing to see of it")
    def test_trains_pass_in_one_piece_and_come_out_as_they_were(self):
        if not programs.capabilities()[programs.reactors()[0]]["trains"]:
            self.skipTest("no segmentation offload")
        with programs.open_socket() as server, programs.open_socket() as client, \
                start_relay(name_of(server)) as relay:
            server.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
            client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)
            data = os.urandom(500 * 40 + 77)
            client.sendto(data, ("127.0.0.1", relay.port))
            pieces, sizes = b"", []
            while len(pieces) < len(data):
                piece, control, _, peer = server.recvmsg(65536, 100)
                sizes += [int.from_bytes(entry[2], sys.byteorder) for entry in control]
                pieces += piece
            self.assertEqual(pieces, data)
            self.assertEqual(sizes, [500])  # one train
            server.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)
            server.sendto(data, peer)
            got = [client.recv(65536) for _ in range(41)]
            self.assertEqual((b"".join(got), len(got[0]), len(got[-1])), (data, 500, 77))
            self.assertEqual(relay.stop(), 0)
            self.assertEqual(counters(relay, "upstream")["tx_trains"], 1)
            self.assertEqual(counters(relay, "stats")["tx_trains"], 1)

    def test_server_that_is_not_there_costs_one_peer(self):
        able = programs.capabilities()
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    programs.open_socket(port=programs.free_port()) as server, \
                    programs.open_socket() as other, programs.open_socket() as client:
                with start_relay(name_of(server), "--reactor", reactor, "--log") as relay:
                    to = ("127.0.0.1", relay.port)
                    for end in (other, client):
                        end.sendto(b"hello", to)
                        answer(server)
                        self.assertEqual(end.recv(100), b"hello")
                    place = server.getsockname()
                    server.close()
                    if programs.IS_WINE or not able[reactor]["errors"]:
                        continue  # who tells is not the same everywhere
                    client.sendto(b"nobody?", to)
                    relay.wait_for("err", r"ended peer=\S+: icmp")
                    with programs.open_socket(port=place[1]) as again:
                        other.sendto(b"again", to)
                        answer(again)
                        self.assertEqual(other.recv(100), b"again")
                        client.sendto(b"again", to)
                        answer(again)
                        self.assertEqual(client.recv(100), b"again")
                    self.assertEqual(relay.stop(), 0)
                    found = counters(relay, "peers")
                    self.assertEqual((found["icmp"], found["began"], found["most"]), (1, 3, 2))

    def test_silence_ends_a_peer(self):
        with programs.open_socket() as server, programs.open_socket() as client, \
                start_relay(name_of(server), "--idle", 1, "--log") as relay:
            client.sendto(b"one", ("127.0.0.1", relay.port))
            first = answer(server)[0][1]
            relay.wait_for("err", r"ended peer=\S+: idle")
            client.sendto(b"two", ("127.0.0.1", relay.port))
            self.assertNotEqual(answer(server)[0][1], first)

    def test_flood_of_new_peers_holds_the_cap_and_the_memory(self):
        with programs.open_socket() as server, programs.open_socket() as client, \
                start_relay(name_of(server), "--peers-max", CAP, "--new-per-second", 0) as relay:
            to = ("127.0.0.1", relay.port)
            for _ in range(2):  # who goes on speaking after an answer is spared
                client.sendto(b"known", to)
                place = answer(server)[0][1]
                self.assertEqual(client.recv(100), b"known")
            middle = 0
            for number in range(NEW_PEERS):
                with programs.open_socket() as stranger:
                    stranger.sendto(b"%d" % number, to)
                    self.assertEqual(server.recv(100), b"%d" % number)  # so that none is lost
                if number == 3 * CAP:
                    middle = self.resident(relay)
            # A library with checks keeps what it knows closed handles by: less than a peer takes.
            self.assertLess(self.resident(relay), middle * 1.1 + 2 * (NEW_PEERS - 3 * CAP))
            client.sendto(b"known", to)
            self.assertEqual(answer(server)[0], (b"known", place))
            self.assertEqual(relay.stop(), 0)
            found = counters(relay, "peers")
            self.assertEqual(found["most"], CAP)
            self.assertGreater(found["evicted"], NEW_PEERS * 0.9 - CAP)  # a port may come again

    def resident(self, relay):
        """KiB of memory; the same at all times where nobody tells."""
        if programs.IS_WINE or os.environ.get("KIRIM_SANITIZE"):
            return 0  # which keep what was freed for a while
        status = pathlib.Path(f"/proc/{relay.process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0])

    def test_new_peers_have_a_rate(self):
        with programs.open_socket() as server, programs.open_socket() as client, \
                start_relay(name_of(server), "--new-per-second", 1) as relay:
            client.sendto(b"first", ("127.0.0.1", relay.port))
            answer(server)
            for _ in range(60):
                with programs.open_socket() as stranger:
                    stranger.sendto(b"new", ("127.0.0.1", relay.port))
            client.sendto(b"last", ("127.0.0.1", relay.port))
            while server.recv(100) != b"last":
                pass
            self.assertEqual(relay.stop(), 0)
            found = counters(relay, "peers")
            self.assertLess(found["began"], 55)  # a few, unless it takes a minute
            self.assertGreaterEqual(found["began"] + found["limited"], 59)  # ports come again

    @programs.unless_windows("other sources than 127.0.0.1, for a socket there")
    def test_prefixes_have_rates_of_their_own(self):
        with programs.open_socket() as server, \
                start_relay(name_of(server), "--new-per-second", 1) as relay:
            strangers = [programs.open_socket(host=f"127.1.{number}.1") for number in range(40)]
            self.addCleanup(lambda: [stranger.close() for stranger in strangers])
            for number, stranger in enumerate(strangers):
                stranger.sendto(b"%d" % number, ("127.0.0.1", relay.port))
            answer(server, len(strangers))
            self.assertEqual([stranger.recv(100) for stranger in strangers],
                             [b"%d" % number for number in range(len(strangers))])
            self.assertEqual(relay.stop(), 0)
            self.assertEqual(counters(relay, "peers").get("limited", 0), 0)

    def test_bad_usage_is_refused(self):
        for words, says in ((["--to", "127.0.0.1:9"], "--listen is missing"),
                            (["--listen", "127.0.0.1:0"], "--to is missing"),
                            (["--listen", "127.0.0.1:0", "--to", "127.0.0.1"], "ADDR:PORT"),
                            (["--listen", "127.0.0.1:0", "--to", "127.0.0.1:0"], "ADDR:PORT")):
            done = programs.run("relay", *words)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(says, done.stderr)
        port = programs.free_port()
        done = programs.run("relay", "--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{port}")
        self.assertEqual(done.returncode, 1)
        self.assertIn("KIRIM_EINVAL", done.stderr)


class Narrow(unittest.TestCase):
    """Runs in a network of its own, whose loopback takes 1,280 bytes and nobody else uses."""

    def test_nothing_is_cut_unless_that_is_permitted(self):
        for options, is_passed in (((), False), (("--fragments",), True)):
            with self.subTest(options=options), programs.open_socket() as server, \
                    programs.open_socket() as client, \
                    start_relay(name_of(server), *options) as relay:
                for end in (server, client):
                    end.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)  # the system cuts it
                for size in (2000, 1252):
                    client.sendto(b"y" * size, ("127.0.0.1", relay.port))
                found = [len(data) for data, _ in answer(server, 2 if is_passed else 1)]
                self.assertEqual(found, [2000, 1252] if is_passed else [1252])
                self.assertEqual([len(client.recv(3000)) for _ in found], found)
                self.assertEqual(relay.stop(), 0)
                dropped = counters(relay, "upstream").get("drop_too-long", 0)
                self.assertEqual(dropped, 0 if is_passed else 1, relay.texts["err"])

    def test_what_leaves_carries_dont_fragment(self):
        with programs.open_socket() as server, programs.open_socket() as client, \
                start_relay(name_of(server)) as relay, \
                socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800)) as wire:
            wire.bind(("lo", 0x800))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)  # these two do not set it
            client.sendto(b"x" * 333, ("127.0.0.1", relay.port))
            upstream = answer(server)[0][1][1]
            self.assertEqual(len(client.recv(1000)), 333)
            own, behind = client.getsockname()[1], server.getsockname()[1]
            wanted = {(own, relay.port): 0, (upstream, behind): 1, (behind, upstream): 0,
                      (relay.port, own): 1}
            self.assertEqual(self.capture(wire, set(wanted)), wanted)

    def capture(self, wire, wanted):
        """The don't-fragment bits of datagrams, by their ports, once all that are wanted came."""
        found = {}
        deadline = time.monotonic() + programs.START_SECONDS_MAX
        while wanted - set(found) and time.monotonic() < deadline:
            wire.settimeout(max(0.01, deadline - time.monotonic()))
            packet = wire.recv(2000)
            ports = struct.unpack(">HH", packet[20:24])
            if packet[9] == socket.IPPROTO_UDP and ports in wanted:
                found[ports] = packet[6] >> 6 & 1
        return found


class Network(unittest.TestCase):
    @programs.unless_windows("a network namespace of the test's own")
    def test_in_a_network_of_its_own(self):
        words = ["unshare", "-rn", "sh", "-c",
                 'ip link set lo mtu 1280 && ip link set lo up && exec "$@"', "sh"]
        try:
            probe = subprocess.run([*words, "true"], capture_output=True, text=True, check=False,
                                   timeout=programs.RUN_SECONDS_MAX)
        except FileNotFoundError:
            self.skipTest("unshare is missing: install the package util-linux")
        if probe.returncode != 0:
            self.skipTest(f"no network namespace: {probe.stderr.strip()[:200]}")
        done = subprocess.run([*words, sys.executable, "-B", __file__, INSIDE], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=programs.RUN_SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    if INSIDE in sys.argv:
        sys.argv = [sys.argv[0], "Narrow"]
    else:
        del Narrow
    programs.main()
