# SPDX-License-Identifier: MIT
"""CoAP over DTLS: coapd and coap with each other and with libcoap's programs, which come with two
other DTLS engines, over a path that is whole and one that loses.

Debian packages: libcoap3-bin, openssl, nftables.
"""
import concurrent.futures
import re
import shutil
import subprocess
import tempfile
import unittest

import dtlskit
import peers
from peers import find, need
import programs

LOST_PERCENT = 7
LOST_TRIES = 3
KEY, KEY_HEX, IDENTITY = "secret key", b"secret key".hex(), "device"
CLOCK = r"\d\d:\d\d:\d\d"


@unittest.skipUnless(dtlskit.HAS_PROGRAM, "built without OpenSSL: there is no coaps")
@unittest.skipUnless(dtlskit.OPENSSL, "openssl is missing: install the package openssl")
class Coaps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.place = cls.directory.name
        dtlskit.make_certificates(cls.place)

    def start(self, *words, listen="127.0.0.1:0"):
        return programs.start_listening("coapd", "--listen", "127.0.0.1:0", "--dtls-listen",
                                        listen, "--dtls-psk", KEY_HEX, "--dtls-identity",
                                        IDENTITY, *words, says=r":(\d+) \(\w+, coaps\)")

    def ask(self, port, name, *words, host="127.0.0.1"):
        return programs.run("coap", "get", f"coaps://{programs.join(host, port)}/{name}", *words)

    def test_with_itself(self):
        certified = ("--dtls-cert", dtlskit.path(self.place, "server.pem"), "--dtls-key",
                     dtlskit.path(self.place, "server.key"))
        with self.start(*certified) as server:
            for words in (("--dtls-psk", KEY_HEX, "--dtls-identity", IDENTITY),
                          ("--dtls-ca", dtlskit.path(self.place, "ca.pem"), "--dtls-host",
                           "localhost"), ("--dtls-insecure",)):
                with self.subTest(words=words):
                    done = self.ask(server.port, "time", *words)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertRegex(done.stdout, CLOCK)
                    done = self.ask(server.port, "large", *words)  # many blocks
                    self.assertEqual((done.returncode, len(done.stdout)), (0, 50000))
            done = self.ask(server.port, "time", "--dtls-ca", dtlskit.path(self.place, "ca.pem"),
                            "--dtls-host", "example.test")
            self.assertEqual(done.returncode, 1)
            self.assertIn("KIRIM_EACCES", done.stderr)
            self.assertEqual(server.stop(), 0)

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    def test_answers_leave_from_the_address_that_was_asked(self):
        places = [(reactor, "0.0.0.0", "127.0.0.9") for reactor in programs.reactors()]
        if 6 in programs.families():
            places.append((places[0][0], "::", "::1"))
        for reactor, listen, host in places:
            with self.subTest(reactor=reactor, host=host), \
                    self.start("--reactor", reactor, listen=programs.join(listen, 0)) as server:
                done = self.ask(server.port, "large", "--dtls-psk", KEY_HEX, "--dtls-identity",
                                IDENTITY, host=host)
                self.assertEqual((done.returncode, len(done.stdout)), (0, 50000), done.stderr)

    def test_wrong_keys_are_told(self):
        for words, status in (((), 2), (("--dtls-psk", "0", "--dtls-identity", "x"), 2),
                              (("--dtls-psk", "00"), 2),
                              (("--dtls-ca", "none.pem", "--dtls-host", "x"), 1)):
            with self.subTest(words=words):
                done = self.ask(programs.closed_port(), "time", *words)
                self.assertEqual(done.returncode, status, done.stderr)

    def check_client(self, engine):
        client = shutil.which(f"coap-client-{engine}")
        with self.start() as server:
            for name, expected in (("time", CLOCK), ("large", "(?s)^.{50000}")):
                done = subprocess.run(
                    [client, "-m", "get", "-k", KEY, "-u", IDENTITY,
                     f"coaps://127.0.0.1:{server.port}/{name}"], stdin=subprocess.DEVNULL,
                    capture_output=True, text=True, check=False, timeout=programs.RUN_SECONDS_MAX)
                self.assertRegex(done.stdout, expected, done.stderr)
            self.assertEqual(server.stop(), 0)

    @need("coap-client-openssl", "libcoap3-bin")
    def test_libcoap_client_over_openssl(self):
        self.check_client("openssl")

    @need("coap-client-gnutls", "libcoap3-bin")
    def test_libcoap_client_over_gnutls(self):
        self.check_client("gnutls")

    def check_server(self, engine):
        port = programs.free_port()  # its DTLS is one above
        with programs.Program(shutil.which(f"coap-server-{engine}"), "-A", "127.0.0.1", "-p", port,
                              "-k", KEY, "-h", "hint", "-v", 7) as server:
            server.wait_for("out", "created DTLS +endpoint")
            done = self.ask(port + 1, "time", "--dtls-psk", KEY_HEX, "--dtls-identity", IDENTITY)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, CLOCK)

    @need("coap-server-openssl", "libcoap3-bin")
    def test_libcoap_server_over_openssl(self):
        self.check_server("openssl")

    @need("coap-server-gnutls", "libcoap3-bin")
    def test_libcoap_server_over_gnutls(self):
        self.check_server("gnutls")


class Lossy(unittest.TestCase):
    """Runs in a network of its own that loses datagrams: what is confirmable gets there."""

    def test_every_engine_gets_there(self):
        engines = [name for name in ("openssl", "gnutls") if find(f"coap-client-{name}")]
        with programs.start_listening("coapd", "--listen", "127.0.0.1:0", "--dtls-listen",
                                      "127.0.0.1:0", "--dtls-psk", KEY_HEX, "--dtls-identity",
                                      IDENTITY, says=r":(\d+) \(\w+, coaps\)") as server, \
                concurrent.futures.ThreadPoolExecutor(len(engines) + 1) as pool:
            ways = [("coap", "get", f"coaps://127.0.0.1:{server.port}/time", "--dtls-psk", KEY_HEX,
                     "--dtls-identity", IDENTITY)]
            ways += [(f"coap-client-{name}", "-m", "get", "-B", 30, "-k", KEY, "-u", IDENTITY,
                      f"coaps://127.0.0.1:{server.port}/time") for name in engines]
            said = dict(zip(ways, pool.map(self.try_way, ways)))
            self.assertEqual({way: texts for way, texts in said.items() if texts}, {})
            self.assertEqual(server.stop(), 0)

    def try_way(self, way):
        """Nothing if it gets the time in one of its tries; else what it says."""
        said = []
        while len(said) < LOST_TRIES:
            done = programs.run(*way) if way[0] == "coap" else peers.run_words(way)
            if re.search(CLOCK, done.stdout):
                return []
            said.append(done.stdout + done.stderr)
        return said


class Network(unittest.TestCase):
    @unittest.skipUnless(dtlskit.HAS_PROGRAM, "built without OpenSSL: there is no coaps")
    @programs.unless_windows("a network namespace of the test's own")
    @need("nft", "nftables")
    @need("unshare", "util-linux")
    def test_over_a_path_that_loses(self):
        peers.run_inside(self, __file__, peers.losing(LOST_PERCENT), "Lossy")


if __name__ == "__main__":
    peers.main("Lossy")
