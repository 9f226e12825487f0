# SPDX-License-Identifier: MIT
"""dnsd and dnsq: with each other on every reactor, on bad files, on bad words, on hostile bytes."""
import json
import os
import random
import struct
import tempfile
import unittest

import dnskit
import programs

NOISE_SIZES = (0, 1, 11, 12, 13, 511, 512, 4096, 4097, 65507)
NOISE_ROUNDS = 100
HEAD = "$ORIGIN a.\n$TTL 60\n@ SOA b c 1 2 3 4 5\n@ NS b\n"


class Together(unittest.TestCase):
    def test_every_reactor_answers(self):
        for reactor, host in dnskit.places():
            with self.subTest(reactor=reactor, host=host), \
                    dnskit.start_dnsd("--reactor", reactor, "--stats", 0,
                                      listen=programs.join(host, 0)) as server:
                done = dnskit.run_dnsq("--reactor", reactor, "--json", "--count", 200,
                                       "@" + programs.join(host, server.port), "www.example.test")
                self.assertEqual(done.returncode, 0, done.stderr)
                found = json.loads(done.stdout)
                self.assertEqual((found["asked"], found["answered"]), (200, 200))
                self.assertEqual([record["type"] for record in found["answer"]],
                                 ["CNAME", "A", "A"])
                self.assertEqual(found["answer"][1],
                                 {"name": "web.example.test.", "ttl": 3600, "type": "A",
                                  "data": "192.0.2.80"})
                self.assertTrue(found["aa"])
                self.assertEqual(server.stop(), 0)
                self.assertGreaterEqual(dnskit.counters(server)["answered"], 200)

    def test_client_that_vanishes_does_not_stop_the_server(self):
        for reactor, host in dnskit.places():
            family = 6 if ":" in host else 4
            with self.subTest(reactor=reactor, host=host), \
                    dnskit.start_dnsd("--reactor", reactor,
                                      listen=programs.join(host, 0)) as server:
                for _ in range(20):
                    with programs.open_socket(family) as gone:
                        gone.sendto(dnskit.make_query("www.example.test"), (host, server.port))
                with programs.open_socket(family) as client:
                    client.connect((host, server.port))
                    client.send(dnskit.make_query("ns1.example.test"))
                    self.assertEqual(client.recv(2000)[:4], b"\0\1\x85\0")
                self.assertEqual(server.stop(), 0)

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    def test_answers_leave_from_the_address_that_was_asked(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    dnskit.start_dnsd("--reactor", reactor, listen="0.0.0.0:0") as server, \
                    programs.open_socket() as client:
                client.connect(("127.0.0.9", server.port))
                client.send(dnskit.make_query("ns1.example.test"))
                self.assertEqual(client.recv(2000)[-4:], bytes([192, 0, 2, 53]))
                self.assertEqual(server.stop(), 0)

    def test_results_and_types_are_told(self):
        with dnskit.start_dnsd() as server:
            at = f"@127.0.0.1:{server.port}"
            for arguments, status, texts in (
                    (("nope.example.test",), 1, ("NXDOMAIN", "SOA\tns1.example.test.")),
                    (("example.org",), 1, ("REFUSED",)),
                    (("example.test", "caa"), 0, ("CAA\t0 issue \"ca.test\"",)),
                    (("new.example.test", "TYPE65280"), 0, ("TYPE65280\t\\# 5 abcdef0102",)),
                    (("a.b.child.example.test",), 0, ("authority", "ns.child", "additional")),
                    (("_sip._udp.example.test", "SRV"), 0, ("10 60 5060 web.example.test.",))):
                with self.subTest(arguments=arguments):
                    done = dnskit.run_dnsq(*arguments, at)
                    self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                    for text in texts:
                        self.assertIn(text, done.stdout)
            self.assertEqual(server.stop(), 0)

    def test_version_is_told_if_wanted(self):
        query = dnskit.make_query("version.bind", dnskit.TXT)[:-2] + b"\0\3"
        for arguments, rcode, text in (((), 5, b""), (("--version-text", "one"), 0, b"\3one")):
            with dnskit.start_dnsd(*arguments) as server, programs.open_socket() as client:
                client.sendto(query, ("127.0.0.1", server.port))
                reply = client.recv(2000)
                self.assertEqual(reply[3] & 15, rcode)
                self.assertTrue(reply.endswith(text))
                self.assertEqual(server.stop(), 0)


class Guarded(unittest.TestCase):
    """Cookies and limits, as the options of dnsd say."""

    def test_cookies_in_every_mode(self):
        query = dnskit.make_query("ns1.example.test", cookie=b"12345678")
        plain = dnskit.make_query("ns1.example.test")
        for mode, rcode, has_cookie, plain_flags in (("off", 0, False, b"\x85\0"),
                                                     ("on", 0, True, b"\x85\0"),
                                                     ("require", 23, True, b"\x83\0")):
            with self.subTest(mode=mode), dnskit.start_dnsd("--cookies", mode) as server, \
                    programs.open_socket() as client:
                client.connect(("127.0.0.1", server.port))
                reply = dnskit.ask(client, query)
                self.assertEqual(dnskit.rcode_of(reply), rcode)
                self.assertEqual(reply[-24:-16] == b"12345678", has_cookie)
                self.assertEqual(dnskit.ask(client, plain)[2:4], plain_flags)
                if has_cookie:
                    again = dnskit.make_query("ns1.example.test", cookie=reply[-24:])
                    reply = dnskit.ask(client, again)
                    self.assertEqual(reply[2:8], b"\x85\0\0\1\0\1")
                self.assertEqual(server.stop(), 0)

    def test_servers_that_share_a_secret_take_cookies_of_each_other(self):
        keys = ("e5e973e5a6b2a43f48e7dc849e37bfcf", "DD3BDF9344B678B185A6F5CB60FCA715")
        with tempfile.TemporaryDirectory() as directory:
            files = [dnskit.write_zone(directory, text, name) for text, name in (
                (keys[0], "one"), (f"{keys[1]}\n{keys[0]}\n", "two"), (keys[1] + "\r\n", "three"))]
            cookie = b"12345678"
            for file, rcode in zip(files, (23, 0, 0)):
                with dnskit.start_dnsd("--cookies", "require", "--cookie-secret-file",
                                       file) as server, programs.open_socket() as client:
                    client.connect(("127.0.0.1", server.port))
                    reply = dnskit.ask(client, dnskit.make_query("example.test", dnskit.SOA,
                                                                 cookie=cookie))
                    self.assertEqual(dnskit.rcode_of(reply), rcode, file)
                    cookie = reply[-24:]
                    self.assertEqual(server.stop(), 0)

    def test_secrets_that_are_none(self):
        with tempfile.TemporaryDirectory() as directory:
            for text in ("", "\n", "00" * 15, "00" * 17, "00" * 15 + "0g", ("00" * 16 + "\n") * 3,
                         "00" * 16 + "\n1"):
                path = dnskit.write_zone(directory, text, "secret")
                done = programs.run("dnsd", "--zone", dnskit.EXAMPLE_ZONE, "--listen",
                                    "127.0.0.1:0", "--cookie-secret-file", path)
                self.assertEqual(done.returncode, 1, text)
                self.assertIn(f"{path}: not one or two keys", done.stderr)
        for words, said in ((("--cookies", "maybe"), "'maybe' is not off, on or require"),
                            (("--rrl-slip", 1), "--rrl-slip needs --rrl"),
                            (("--cookies=off", "--cookie-secret-file=x"), "needs cookies")):
            done = programs.run("dnsd", "--zone", dnskit.EXAMPLE_ZONE, *words)
            self.assertEqual((done.returncode, said in done.stderr), (2, True), done.stderr)

    def test_identical_answers_are_limited_but_for_who_has_a_cookie(self):
        with dnskit.start_dnsd("--rrl", 1, "--rrl-slip", 1, "--stats", 0) as server, \
                programs.open_socket() as client:
            client.connect(("127.0.0.1", server.port))
            plain = dnskit.make_query("ns1.example.test")
            replies = [dnskit.ask(client, plain) for _ in range(100)]
            short = [reply for reply in replies if reply[2] & 2]
            self.assertGreater(len(short), 50)  # 99, unless it takes seconds
            self.assertTrue(all(reply[6:8] == b"\0\0" for reply in short))
            cookie = b"12345678"
            for _ in range(100):
                reply = dnskit.ask(client, dnskit.make_query("ns1.example.test", cookie=cookie))
                if len(cookie) == 24:
                    self.assertEqual(reply[2:8], b"\x85\0\0\1\0\1")
                cookie = reply[-24:]
            self.assertEqual(server.stop(), 0)
            found = dnskit.counters(server, "rrl slipped=")
            self.assertGreaterEqual(found["slipped"], len(short))
            self.assertGreaterEqual(dnskit.counters(server, "cookies none=")["good"], 99)


class Server(unittest.TestCase):
    def test_zone_errors_are_told_with_their_place(self):
        with tempfile.TemporaryDirectory() as directory:
            for text, place in (("x A 192.0.2\n", "5:5: not an IPv4 address: '192.0.2'"),
                                ("x MX 10\n", "5:8: MX needs: PREFERENCE NAME"),
                                ("$INCLUDE x\n", "5:1: $INCLUDE is not permitted here")):
                path = dnskit.write_zone(directory, HEAD + text)
                done = programs.run("dnsd", "--zone", path, "--listen", "127.0.0.1:0")
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"{path}:{place}", done.stderr)

    def test_files_and_zones_that_are_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            good = dnskit.write_zone(directory, HEAD)
            for zones, text in ((["/nonexistent"], "cannot be read"), ([directory], "cannot be"),
                                ([good, good], "another zone of the same name")):
                arguments = [f"--zone={zone}" for zone in zones]
                done = programs.run("dnsd", *arguments, "--listen", "127.0.0.1:0")
                self.assertEqual(done.returncode, 1)
                self.assertIn(text, done.stderr)
            done = programs.run("dnsd", "--listen", "127.0.0.1:0")
            self.assertEqual(done.returncode, 2)
            done = programs.run("dnsd", *["--zone", good] * 65)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--zone: at most 64", done.stderr)

    def test_serves_several_zones(self):
        with tempfile.TemporaryDirectory() as directory:
            path = dnskit.write_zone(directory, HEAD + "x A 192.0.2.1\n")
            with dnskit.start_dnsd("--zone", path) as server:
                for name in ("x.a", "web.example.test"):
                    done = dnskit.run_dnsq(f"@127.0.0.1:{server.port}", name)
                    self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(server.stop(), 0)

    def test_noise_does_no_harm(self):
        """Bytes of every length and kind; after each handful a question is answered as before."""
        noise = random.Random(20240229)
        sound = dnskit.make_query("www.example.test")
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    dnskit.start_dnsd("--reactor", reactor, "--stats", 0) as server, \
                    programs.open_socket() as hostile, programs.open_socket() as client:
                client.connect(("127.0.0.1", server.port))
                for size in NOISE_SIZES * NOISE_ROUNDS:
                    changed = bytearray((sound * (size // len(sound) + 1))[:size])
                    for _ in range(noise.randrange(4) if size else 0):
                        changed[noise.randrange(size)] = noise.randrange(256)
                    hostile.sendto(bytes(changed), ("127.0.0.1", server.port))
                    hostile.sendto(noise.randbytes(size), ("127.0.0.1", server.port))
                    client.send(sound)
                    self.assertEqual(client.recv(2000)[:4], b"\0\1\x85\0")
                self.assertEqual(server.stop(), 0)
                found = dnskit.counters(server)
                self.assertGreater(found["received"] + found["too_long"],
                                   len(NOISE_SIZES) * NOISE_ROUNDS * 3 * 95 // 100, found)
                self.assertGreater(found["too_long"], 0)

    def test_responses_are_not_answered(self):
        with dnskit.start_dnsd("--stats", 0) as server, programs.open_socket() as client:
            client.connect(("127.0.0.1", server.port))
            client.send(dnskit.make_query("www.example.test", number=1, flags=0x8000))
            client.send(dnskit.make_query("www.example.test", number=2))
            self.assertEqual(client.recv(2000)[:2], b"\0\2")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(dnskit.counters(server)["dropped"], 1)


class Help(unittest.TestCase):
    def test_help_and_version(self):
        for program, option in (("dnsd", "--zone FILE"), ("dnsq", "--retries R")):
            done = programs.run(program, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"\n  {option}", done.stdout)
            done = programs.run(program, "--version")
            self.assertRegex(done.stdout, rf"\A{program} \(kirim\) \d+\.\d+\.\d+\n\Z")


class Client(unittest.TestCase):
    def test_wrong_words_are_usage(self):
        for arguments, text in ((("a..b",), "an empty label"), (("a" * 64,), "63 bytes"),
                                (("a", "NONE"), "is not a type"), (("@x", "a"), "is not @"),
                                (("@127.0.0.1",), "NAME is missing"), ((), "is missing"),
                                (("a", "A", "b"), "unexpected"),
                                (("--listen", "127.0.0.1:1", "a"), "unknown option")):
            with self.subTest(arguments=arguments):
                done = programs.run("dnsq", *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)

    def test_silent_server_is_given_up(self):
        with programs.open_socket() as silent:
            port = silent.getsockname()[1]
            done = programs.run("dnsq", "--timeout-ms", 50, "--retries", 2, "--json",
                                f"@127.0.0.1:{port}", "x.test")
            self.assertEqual(done.returncode, 1)
            self.assertIn("KIRIM_ETIMEDOUT", done.stderr)
            self.assertEqual(json.loads(done.stdout)["answered"], 0)
            tries = [silent.recvfrom(600) for _ in range(3)]
            self.assertEqual(len(set(tries)), 1)  # the same question from the same port
            silent.setblocking(False)
            with self.assertRaises(BlockingIOError):
                silent.recv(600)

    def test_closed_port_is_known_at_once(self):
        reactor = programs.reactors()[0]
        if not programs.capabilities()[reactor]["errors"]:
            self.skipTest(f"{reactor} is told of no late errors here")
        done = programs.run("dnsq", "--timeout-ms", 60000, f"@127.0.0.1:{programs.closed_port()}",
                            "x.test")
        self.assertEqual(done.returncode, 1)
        self.assertIn("KIRIM_ECONNRESET", done.stderr)

    def test_questions_differ_in_port_number_and_case(self):
        with programs.open_socket() as server:
            port = server.getsockname()[1]
            with programs.Program("dnsq", "--count", 16, "--timeout-ms", 20000,
                                  f"@127.0.0.1:{port}", "abcdefghijklmnop.test") as client:
                asked = [server.recvfrom(600) for _ in range(16)]
                for query, peer in asked:
                    server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
                self.assertEqual(client.wait_end(), 0)
        self.assertEqual(len({peer for _, peer in asked}), 16)
        self.assertGreater(len({query[:2] for query, _ in asked}), 12)
        self.assertGreater(len({dnskit.question_of(query) for query, _ in asked}), 12)
        self.assertEqual(len({dnskit.question_of(query).lower() for query, _ in asked}), 1)
        self.assertEqual(len({query[-8:] for query, _ in asked}), 16)  # cookies

    def test_forged_answers_are_ignored(self):
        with programs.open_socket() as server, programs.open_socket() as other:
            port = server.getsockname()[1]
            with programs.Program("dnsq", "--timeout-ms", 20000, f"@127.0.0.1:{port}",
                                  "x.test") as client:
                query, peer = server.recvfrom(600)
                number = struct.unpack(">H", query[:2])[0]
                question = dnskit.question_of(query)
                turned = bytes(byte ^ 0x20 if chr(byte).isalpha() else byte for byte in question)
                for forged in (dnskit.make_reply(query, "192.0.2.66", number=number ^ 1),
                               dnskit.make_reply(query, "192.0.2.66", question=turned),
                               dnskit.make_reply(query, "192.0.2.66", question=question[:-4] +
                                                 b"\0\x1c\0\1"),
                               dnskit.make_reply(query, "192.0.2.66") + b"x",
                               query, os.urandom(100), b""):
                    server.sendto(forged, peer)
                other.sendto(dnskit.make_reply(query, "192.0.2.66"), peer)
                server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
                self.assertEqual(client.wait_end(), 0)
                self.assertIn("192.0.2.1\n", client.texts["out"])
                self.assertNotIn("192.0.2.66", client.texts["out"])

    def test_server_without_edns_is_asked_without(self):
        with programs.open_socket() as server:
            port = server.getsockname()[1]
            with programs.Program("dnsq", "--timeout-ms", 20000, f"@127.0.0.1:{port}",
                                  "x.test") as client:
                query, peer = server.recvfrom(600)
                self.assertEqual(query[10:12], b"\0\1")
                server.sendto(query[:2] + b"\x81\x01" + bytes(8), peer)  # FORMERR, header only
                query, peer = server.recvfrom(600)
                self.assertEqual(query[10:12], b"\0\0")
                server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
                self.assertEqual(client.wait_end(), 0)


if __name__ == "__main__":
    programs.main()
