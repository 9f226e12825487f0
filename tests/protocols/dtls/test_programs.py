# SPDX-License-Identifier: MIT
"""dtls_echo with itself: on every reactor and family, with certificates and keys, and its end."""
import tempfile
import unittest

import dtlskit
import programs


def start_impair(port, *arguments):
    """A bad network before that port; its own is in `port`."""
    return programs.start_listening("impair", "--listen", "127.0.0.1:0", "--to",
                                    f"127.0.0.1:{port}", *arguments)


@unittest.skipUnless(dtlskit.HAS_PROGRAM, "dtls_echo is missing: built without OpenSSL")
@unittest.skipUnless(dtlskit.OPENSSL, "openssl is missing: install the package openssl")
class Echo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.place = cls.directory.name
        dtlskit.make_certificates(cls.place)

    def check(self, server, *arguments, **options):
        done, found = dtlskit.ask(self.place, server.port, *arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((found["echoed"], found["lost"], found["mismatched"]), (10, 0, 0))
        return found

    def test_every_reactor_and_family(self):
        for reactor in programs.reactors():
            for host in programs.families().values():
                with self.subTest(reactor=reactor, host=host), \
                        dtlskit.start_server(self.place, "--reactor", reactor,
                                             listen=programs.join(host, 0)) as server:
                    found = self.check(server, "--reactor", reactor, host=host)
                    self.assertTrue(found["certified"])
                    self.check(server, "--mtu", 500, "--size", 463, host=host)
                    server.wait_for("err", r"(?s)KIRIM_OK peer=.*KIRIM_OK peer=")
                    self.assertEqual(server.stop(), 0)
                    counters = dtlskit.counters(server)
                    self.assertEqual((counters["done"], counters["closed"]), (2, 2))
                    self.assertEqual(counters["malformed"], 0)

    def test_answers_leave_from_the_address_that_was_asked(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    dtlskit.start_server(self.place, "--reactor", reactor,
                                         listen="0.0.0.0:0") as server:
                self.check(server, host="127.0.0.9")

    @unittest.skipUnless(6 in programs.families(), "no IPv6")
    def test_wildcard_address_of_ipv6(self):
        with dtlskit.start_server(self.place, listen="[::]:0") as server:
            self.check(server, host="::1")

    def test_key_instead_of_certificate(self):
        with dtlskit.start_server(self.place) as server:
            found = self.check(server, "--psk", dtlskit.KEY, "--identity", dtlskit.IDENTITY,
                               trust=False)
            self.assertIn("PSK", found["cipher"])
            self.assertFalse(found["certified"])
            done, _ = dtlskit.ask(self.place, server.port, "--psk", dtlskit.KEY, "--identity",
                                  "nobody", trust=False)
            self.assertEqual(done.returncode, 1)

    def test_session_is_resumed(self):
        with dtlskit.start_server(self.place) as server:
            file = dtlskit.path(self.place, "session")
            found = [self.check(server, "--session", file)["resumed"] for _ in range(3)]
            self.assertEqual(found, [False, True, True])

    def test_wrong_name_is_refused(self):
        with dtlskit.start_server(self.place) as server:
            done, found = dtlskit.ask(self.place, server.port, "--host", "example.test")
            self.assertEqual((done.returncode, found["end"]), (1, "KIRIM_EACCES"))
            self.assertIn("certificate verify failed", done.stderr)
            self.check(server, "--insecure", trust=False)

    def test_client_has_to_show_a_certificate(self):
        with dtlskit.start_server(self.place, "--ask-cert", "--ca",
                                  dtlskit.path(self.place, "ca.pem")) as server:
            done, found = dtlskit.ask(self.place, server.port)
            self.assertEqual((done.returncode, found["end"]), (1, "KIRIM_ECONNRESET"))
            self.check(server, "--cert", dtlskit.path(self.place, "client.pem"), "--key",
                       dtlskit.path(self.place, "client.key"))

    def test_server_that_ends_tells_its_clients(self):
        with dtlskit.start_server(self.place) as server, \
                programs.Program("dtls_echo", "--connect", f"127.0.0.1:{server.port}",
                                 "--insecure", "--text", "still there",
                                 "--timeout-ms", 60000) as client:
            client.wait_for("out", "still there")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(client.wait_end(), 0, client.texts)

    def test_over_a_bad_network(self):
        """Through impair: a small path that loses, repeats, overtakes and flips bits."""
        faults = ("--loss", 4, "--burst", 1, "--duplicate", 5, "--jitter", 2, "--reorder", 5,
                  "--corrupt", 4, "--mtu", 576)
        ends, echoed = [], 0
        for seed in range(1, 5):
            with self.subTest(seed=seed), \
                    dtlskit.start_server(self.place, "--mtu", 500) as server, \
                    start_impair(server.port, "--seed", seed, *faults) as middle:
                done, found = dtlskit.ask(self.place, middle.port, "--mtu", 500, "--size", 400,
                                          "--timeout-ms", 1000)
                self.assertEqual(found["mismatched"], 0, done.stderr)
                self.assertEqual(found["echoed"] + found["lost"], 10, done.stderr)
                echoed += found["echoed"]
                self.assertEqual(server.stop(), 0)
                self.assertEqual(middle.stop(), 0)
                ends.append(dtlskit.counters(server))
        self.assertGreater(sum(end["discarded"] + end["malformed"] for end in ends), 0)
        self.assertGreater(echoed, 0)

    def test_nobody_there(self):
        done, found = dtlskit.ask(self.place, programs.closed_port())
        self.assertEqual((done.returncode, found["end"]), (1, "KIRIM_ECONNRESET"))

    def test_wrong_usage(self):
        for words, says in (((), "--cert and --key, or --psk"),
                            (("--psk", "0"), "go together"),
                            (("--psk", "0", "--identity", "x"), "two a byte"),
                            (("--psk", "0x", "--identity", "x"), "no hexadecimal digit"),
                            (("--cert", "x"), "go together"),
                            (("--connect", "here"), "not a numeric address"),
                            (("--connect", "127.0.0.1:1"), "--host, or --insecure")):
            with self.subTest(words=words):
                done = programs.run("dtls_echo", *words)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(says, done.stderr)

    def test_file_that_is_not_there(self):
        done = programs.run("dtls_echo", "--cert", "none.pem", "--key", "none.key")
        self.assertEqual(done.returncode, 1)
        self.assertIn("none.pem: cannot be read", done.stderr)


if __name__ == "__main__":
    programs.main()
