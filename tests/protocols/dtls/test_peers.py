# SPDX-License-Identifier: MIT
"""dtls_echo with programs that are not ours, over a path that is whole and one that loses, and
seen by one that reads what is on the wire.

Debian packages: openssl, gnutls-bin; nftables, tcpdump, tshark.
"""
import re
import subprocess
import tempfile
import unittest

import dtlskit
import peers
from peers import find, need, run_words
import programs

LOST_PERCENT = 7
LOST_TRIES = 20
LINE_SECONDS = 0.5  # a line that is not back by then is typed again
NAMED_HOST = programs.OWN_HOST
SHORT_PATH = "500"


@unittest.skipUnless(dtlskit.HAS_PROGRAM, "dtls_echo is missing: built without OpenSSL")
@unittest.skipUnless(dtlskit.OPENSSL, "openssl is missing: install the package openssl")
class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.place = cls.directory.name
        dtlskit.make_certificates(cls.place)

    def file(self, name):
        return dtlskit.path(self.place, name)

    def gnutls_serv(self, port):
        return programs.Program(find("gnutls-serv"), "--udp", "--echo", "--port", port,
                                "--x509certfile", self.file("server.pem"), "--x509keyfile",
                                self.file("server.key"), "--mtu", "900", stdin=subprocess.PIPE)

    def talk(self, words, text="hello from afar", says=()):
        """A client of others': sends a line, sees it come back, ends. Returns what it printed."""
        with programs.Program(find(words[0]), *words[1:], stdin=subprocess.PIPE) as client:
            # What is typed before the handshake is done waits in the pipe.
            client.process.stdin.write(text.encode() + b"\n")
            client.process.stdin.flush()
            client.wait_for("out", "^" + re.escape(text), programs.RUN_SECONDS_MAX)
            client.process.stdin.close()
            client.wait_end()
            printed = client.texts["out"] + client.texts["err"]
            for word in says:
                self.assertRegex(printed, f"(?m){word}")
            return printed

    def openssl_client(self, server, *words, trust=True):
        believed = ("-CAfile", self.file("ca.pem"), "-verify_return_error") if trust else ()
        return ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{server.port}",
                "-timeout", *believed, *words]

    def gnutls_client(self, server, *words):
        return ["gnutls-cli", "--udp", "--x509cafile", self.file("ca.pem"), *words, "--port",
                str(server.port), "localhost"]


KEY_WORDS = ("-psk", dtlskit.KEY, "-psk_identity", dtlskit.IDENTITY, "-cipher", "PSK")
# gnutls-cli 3.7 says nothing more behind a handshake with ECDHE-PSK, whoever the server is.
GNUTLS_KEYS = ("--priority", "NORMAL:-KX-ALL:+PSK", "--pskusername", dtlskit.IDENTITY,
               "--pskkey", dtlskit.KEY)


class Clients(Base):
    def start(self, *arguments):
        return dtlskit.start_server(self.place, *arguments)

    def check_end(self, server, count):
        self.assertEqual(server.stop(), 0)
        found = dtlskit.counters(server)
        self.assertEqual((found["done"], found["failed"], found["timed_out"], found["malformed"]),
                         (count, 0, 0, 0))

    def test_openssl(self):
        with self.start() as server:
            self.talk(self.openssl_client(server), says=["Verify return code: 0"])
            self.talk(self.openssl_client(server, "-mtu", SHORT_PATH))
            self.talk(self.openssl_client(server, *KEY_WORDS, trust=False),
                      says=["ECDHE-PSK-CHACHA20-POLY1305"])
            self.check_end(server, 3)

    def test_openssl_resumes(self):
        with self.start("--mtu", 500) as server:
            session = self.file("openssl-session")
            self.talk(self.openssl_client(server, "-sess_out", session), says=["^New, "])
            self.talk(self.openssl_client(server, "-mtu", SHORT_PATH, "-sess_in", session),
                      says=["^Reused, "])
            self.check_end(server, 2)

    def test_openssl_agrees_on_names_and_profiles(self):
        with self.start("--alpn", "echo/1", "--srtp", "SRTP_AES128_CM_SHA1_80") as server:
            self.talk(self.openssl_client(server, "-alpn", "echo/1", "-use_srtp",
                                          "SRTP_AES128_CM_SHA1_80"),
                      says=["ALPN protocol: echo/1", "SRTP Extension negotiated"])
            self.check_end(server, 1)

    def test_openssl_with_a_certificate(self):
        with self.start("--ask-cert", "--ca", self.file("ca.pem")) as server:
            self.talk(self.openssl_client(server, "-cert", self.file("client.pem"), "-key",
                                          self.file("client.key")))
            self.check_end(server, 1)

    def test_old_versions_are_refused(self):
        with self.start() as server:
            done = run_words(["openssl", "s_client", "-dtls1", "-cipher", "DEFAULT@SECLEVEL=0",
                              "-connect", f"127.0.0.1:{server.port}"], self.place)
            self.assertIn("alert protocol version", done.stderr + done.stdout)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(dtlskit.counters(server)["done"], 0)

    @need("gnutls-cli", "gnutls-bin")
    def test_gnutls(self):
        with self.start() as server:
            self.talk(self.gnutls_client(server))
            self.talk(self.gnutls_client(server, "--mtu", SHORT_PATH))
            self.talk(self.gnutls_client(server, "--resume"), says=["This is a resumed session"])
            self.check_end(server, 4)

    @need("gnutls-cli", "gnutls-bin")
    def test_gnutls_with_a_key(self):
        with self.start() as server:
            self.talk(self.gnutls_client(server, *GNUTLS_KEYS), says=["PSK"])
            self.check_end(server, 1)


class Servers(Base):
    """Our client, and servers of others."""

    def check_openssl(self, *words):
        """s_server does not echo: what it got it prints, and what is typed it sends."""
        port = programs.free_port()
        with programs.Program(dtlskit.OPENSSL, "s_server", "-dtls1_2", "-timeout", "-accept",
                              f"127.0.0.1:{port}", "-cert", self.file("server.pem"), "-key",
                              self.file("server.key"), "-psk", dtlskit.KEY, "-psk_identity",
                              dtlskit.IDENTITY, *words, stdin=subprocess.PIPE) as server:
            server.wait_for("out", "ACCEPT")
            with programs.Program("dtls_echo", "--connect", f"127.0.0.1:{port}", "--ca",
                                  self.file("ca.pem"), "--host", "localhost", "--text",
                                  "over there\n", "--timeout-ms", 60000, "--mtu",
                                  SHORT_PATH) as client:
                server.wait_for("out", "^over there", programs.RUN_SECONDS_MAX)
                server.process.stdin.write(b"and back\n")
                server.process.stdin.flush()
                client.wait_for("out", "and back", programs.RUN_SECONDS_MAX)
                self.assertEqual(client.stop(), 0, client.texts)
            server.wait_for("out", "CONNECTION CLOSED|shutting down|DONE")
            server.process.stdin.close()

    def test_openssl(self):
        self.check_openssl("-mtu", SHORT_PATH)

    def test_openssl_that_asks_for_a_cookie(self):
        self.check_openssl("-listen", "-mtu", SHORT_PATH)

    @need("gnutls-serv", "gnutls-bin")
    def test_gnutls(self):
        port = programs.free_port()
        with self.gnutls_serv(port) as server:
            server.wait_for("err", "listening on IPv4")
            for words in ((), ("--mtu", SHORT_PATH)):
                done, found = dtlskit.ask(self.place, port, *words)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(found["echoed"], 10)
            server.process.stdin.close()


class Lossy(Base):
    """Runs in a network of its own that loses datagrams."""

    def test_every_client_gets_there(self):
        with dtlskit.start_server(self.place, "--mtu", 500) as server:
            for _ in range(3):
                done, found = dtlskit.ask(self.place, server.port, "--count", 0, "--mtu", 500)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertTrue(found["open"])
            self.check(self.openssl_client(server, "-mtu", SHORT_PATH, "-brief"), "err",
                       "CONNECTION ESTABLISHED")
            if find("gnutls-cli"):
                self.check(self.gnutls_client(server, "--mtu", SHORT_PATH), "out",
                           "Handshake was completed")
            self.assertEqual(server.stop(), 0)
            print(dtlskit.counters(server))

    def check(self, words, stream, says):
        """The handshake has to get there; a line may be lost, but not each of many."""
        with programs.Program(find(words[0]), *words[1:], stdin=subprocess.PIPE) as client:
            client.wait_for(stream, says, programs.RUN_SECONDS_MAX)
            self.repeat(client, client, "^again and again")
            client.process.stdin.close()

    def repeat(self, typing, hearing, says):
        """Types a line into the one program until the other prints it."""
        for left in reversed(range(LOST_TRIES)):
            typing.process.stdin.write(b"again and again\n")
            typing.process.stdin.flush()
            try:
                hearing.wait_for("out", says, LINE_SECONDS if left else programs.RUN_SECONDS_MAX)
                return
            except AssertionError:
                if left == 0:
                    raise

    def test_openssl_serves(self):
        port = programs.free_port()
        with programs.Program(dtlskit.OPENSSL, "s_server", "-dtls1_2", "-timeout", "-accept",
                              f"127.0.0.1:{port}", "-cert", self.file("server.pem"), "-key",
                              self.file("server.key"), "-mtu", SHORT_PATH,
                              stdin=subprocess.PIPE) as server:
            server.wait_for("out", "ACCEPT")
            with programs.Program("dtls_echo", "--connect", f"127.0.0.1:{port}", "--ca",
                                  self.file("ca.pem"), "--host", "localhost", "--text", "hello\n",
                                  "--timeout-ms", 60000, "--mtu", SHORT_PATH) as client:
                server.wait_for("out", "^CIPHER is", programs.RUN_SECONDS_MAX)
                self.repeat(server, client, "again and again")
                self.assertEqual(client.stop(), 0, client.texts)

    @need("gnutls-serv", "gnutls-bin")
    def test_gnutls_serves(self):
        port = programs.free_port()
        with self.gnutls_serv(port) as server:
            server.wait_for("err", "listening on IPv4")
            done, found = dtlskit.ask(self.place, port, "--mtu", SHORT_PATH, "--timeout-ms", 500)
            self.assertGreater(found.get("echoed", 0), 0, done.stderr)
            server.process.stdin.close()


class Network(Base):
    @programs.unless_windows("a network namespace of the test's own")
    @need("nft", "nftables")
    @need("unshare", "util-linux")
    def test_over_a_path_that_loses(self):
        peers.run_inside(self, __file__, peers.losing(LOST_PERCENT), "Lossy")

    @need("tshark", "tshark")
    @need("tcpdump", "tcpdump")
    def test_tshark_finds_nothing_malformed(self):
        file = self.file("capture.pcap")
        with dtlskit.start_server(self.place, listen=f"{NAMED_HOST}:0") as server:
            self.capture(file, server)
        fields = self.read_capture(file, server)
        self.assertEqual(fields["_ws.malformed"], set())
        self.assertLessEqual(fields["_ws.col.Protocol"], {"DTLS", "DTLSv1.0", "DTLSv1.2", "ICMP"})
        self.assertLessEqual({"1", "2", "3", "11", "12", "14", "16"}, fields["dtls.handshake.type"])
        self.assertEqual(fields["dtls.record.content_type"], {"20", "21", "22", "23"})

    def capture(self, file, server):
        """Has associations of each kind, and captures what goes over the wire meanwhile."""
        with peers.capturing(self, file, "host", NAMED_HOST):
            session = ("--session", self.file("captured"))
            for words in (("--mtu", 300, "--size", 200), session, session, ("--host", "x.test")):
                dtlskit.ask(self.place, server.port, *words, host=NAMED_HOST)
            dtlskit.ask(self.place, server.port, "--psk", dtlskit.KEY, "--identity",
                        dtlskit.IDENTITY, host=NAMED_HOST, trust=False)
            self.assertEqual(server.stop(), 0)

    def read_capture(self, file, server):
        """What stands in the fields of a capture's packets, by the field's name."""
        names = ("_ws.malformed", "_ws.col.Protocol", "dtls.handshake.type",
                 "dtls.record.content_type")
        lines = peers.read_capture(self, file, "dtls", [server.port], "-T", "fields", "-E",
                                   "separator=;", *(word for name in names
                                                    for word in ("-e", name)))
        columns = zip(*(line.split(";") for line in lines))
        return {name: {word for cell in column for word in cell.split(",") if word}
                for name, column in zip(names, columns)}


if __name__ == "__main__":
    peers.main("Lossy")
