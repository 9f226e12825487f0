# SPDX-License-Identifier: MIT
"""The relay under protocols of other people, who do not know of it: DTLS, QUIC, WireGuard.

Debian packages: openssl; ngtcp2-client and ngtcp2-server; wireguard-go, wireguard-tools, iproute2.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import peers
from peers import find, need
import programs
from relaykit import Command, counters, start_relay

QUIC_BYTES = 1000000
VERBOSE = {"LOG_LEVEL": "verbose"}  # else it does not say when it is ready


def run_words(*words, **options):
    return peers.run_words(words, **options)


def start(*words, env=None):
    """A program of others that runs beside the test."""
    return Command([find(words[0]), *map(str, words[1:])], stdin=subprocess.PIPE, env=env)


class Base(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.here = pathlib.Path(place.name)

    def make_certificate(self):
        """A key and a certificate of it, as paths."""
        key, cert = self.here / "key.pem", self.here / "cert.pem"
        done = run_words("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                         "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", 2,
                         "-keyout", key, "-out", cert)
        self.assertEqual(done.returncode, 0, done.stderr)
        return key, cert

    def check_all_passed(self, relay):
        """The relay has dropped nothing, and had one peer, who began anew where no server was."""
        self.assertEqual(relay.stop(), 0)
        for way in ("up", "down"):
            found = counters(relay, way)
            self.assertEqual(found["datagrams"], found["passed"])
            self.assertGreater(found["passed"], 2)
        found = counters(relay, "peers")
        self.assertLessEqual(found["began"], 1 + found.get("icmp", 0))


class Peers(Base):
    @need("openssl", "openssl")
    def test_dtls(self):
        key, cert = self.make_certificate()
        port = programs.free_port()
        with start("openssl", "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}", "-key", key,
                   "-cert", cert, "-listen") as server, \
                start_relay(f"127.0.0.1:{port}") as relay:
            server.wait_for("out", "ACCEPT")
            with start("openssl", "s_client", "-dtls1_2", "-connect",
                       f"127.0.0.1:{relay.port}") as client:
                client.wait_for("out", "Cipher is ECDHE-ECDSA")
                self.say(client, server, b"to the server\n")
                self.say(server, client, b"and back\n")
                client.process.stdin.close()
                client.wait_end()
                self.check_all_passed(relay)

    def say(self, one, other, line):
        one.process.stdin.write(line)
        one.process.stdin.flush()
        other.wait_for("out", f"^{line.decode()}")

    @need("openssl", "openssl")
    @need("gtlsserver", "ngtcp2-server")
    @need("gtlsclient", "ngtcp2-client")
    def test_quic(self):
        key, cert = self.make_certificate()
        data = os.urandom(QUIC_BYTES)
        (self.here / "file").write_bytes(data)
        (self.here / "got").mkdir()
        port = programs.free_port()
        with start("gtlsserver", "-q", "-V", "-d", self.here, "127.0.0.1", port, key, cert), \
                start_relay(f"127.0.0.1:{port}") as relay:
            # It waits for its server, who says nothing when it is ready.
            done = run_words("gtlsclient", "--no-quic-dump", "--no-http-dump", "-q",
                             "--exit-on-all-streams-close", "--download", self.here / "got",
                             "127.0.0.1", relay.port, f"https://localhost:{relay.port}/file")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual((self.here / "got" / "file").read_bytes(), data)
            self.check_all_passed(relay)


class Tunnel(Base):
    """Runs in network and mount namespaces of its own, as their root."""

    def test_wireguard(self):
        """Both ends have their sockets here, one of them its tunnel in a network beside it, so that
        nothing goes from one to the other but through the relay."""
        run_words("mount", "-t", "tmpfs", "none", "/run")
        port = programs.free_port()
        keys = {name: self.make_key(name) for name in ("kva0", "kvb0")}
        with start("unshare", "-n", "cat") as beside, \
                start("wireguard-go", "-f", "kva0", env=VERBOSE) as one, \
                start("wireguard-go", "-f", "kvb0", env=VERBOSE) as two, \
                start_relay(f"127.0.0.1:{port}") as relay:
            for tunnel in (one, two):
                tunnel.wait_for("out", "UAPI listener started")
            self.set("kva0", keys, "listen-port", port)
            self.set("kvb0", keys, "endpoint", f"127.0.0.1:{relay.port}")
            there = f"/proc/{beside.process.pid}/ns/net"
            self.ip("link", "set", "kvb0", "netns", beside.process.pid)
            inside = ("nsenter", f"--net={there}")
            for prefix, link, addr in (((), "kva0", "10.99.0.1/24"),
                                       (inside, "kvb0", "10.99.0.2/24")):
                self.ip("addr", "add", addr, "dev", link, prefix=prefix)
                self.ip("link", "set", link, "up", prefix=prefix)
            with programs.start_echod(listen="10.99.0.1:0") as server:
                done = run_words(*inside, programs.path_of("echo"), "--count", 1000, "--size", 1200,
                                 "--timeout-ms", 20000, f"10.99.0.1:{server.port}")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.check_all_passed(relay)
            self.assertGreater(counters(relay, "up")["bytes"], 1200 * 1000)

    def make_key(self, name):
        """A private key's file, and the public key."""
        private = run_words("wg", "genkey").stdout
        (self.here / name).write_text(private, encoding="ascii")
        return subprocess.run([find("wg"), "pubkey"], input=private, capture_output=True,
                              text=True, check=True).stdout.strip()

    def set(self, link, keys, *words):
        other = keys["kvb0" if link == "kva0" else "kva0"]
        own = words if words[0] == "listen-port" else ()
        of_peer = words if words[0] == "endpoint" else ()
        done = run_words("wg", "set", link, "private-key", self.here / link, *own, "peer", other,
                         "allowed-ips", "10.99.0.0/24", *of_peer)
        self.assertEqual(done.returncode, 0, done.stderr)

    def ip(self, *words, prefix=()):
        done = run_words(*prefix, find("ip"), *words)
        self.assertEqual(done.returncode, 0, done.stderr)


class Network(Base):
    @programs.unless_windows("a network namespace of the test's own")
    @need("wireguard-go", "wireguard-go")
    @need("wg", "wireguard-tools")
    @need("ip", "iproute2")
    @need("unshare", "util-linux")
    def test_wireguard(self):
        words = ["unshare", "-rnm", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        probe = run_words(*words, "ip", "tuntap", "add", "kvc0", "mode", "tun")
        if probe.returncode != 0:
            self.skipTest(f"no tunnel in a namespace: {probe.stderr.strip()[:200]}")
        done = run_words(*words, sys.executable, "-B", __file__, peers.INSIDE, "Tunnel")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    peers.main("Tunnel")
