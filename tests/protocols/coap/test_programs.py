# SPDX-License-Identifier: MIT
"""coapd and coap with each other, message by message, and under noise. Also under Wine."""
import os
import random
import re
import subprocess
import tempfile
import time
import unittest

import coapkit
import programs
from coapkit import (ACK, BLOCK1, CON, ECHO, GET, NON, OBSERVE, POST, PUT, RST, URI_PATH, code,
                     head, message, number, run_coap)

NOISE_COUNT = 4000
LIBCOAP = "coap-client-notls"
unless_without_dtls = unittest.skipIf("dtls_echo" not in programs.PROGRAMS, "a build without DTLS")


def path(text):
    return [(URI_PATH, part.encode()) for part in text.split("/")]


class Base(unittest.TestCase):
    def ask(self, verb, server, where, *arguments, status=0, host="127.0.0.1"):
        """Runs coap; returns what it printed."""
        done = run_coap(verb, host, server.port, where, *arguments)
        self.assertEqual(done.returncode, status, done.stdout[:200] + done.stderr)
        return done

    def make_file(self, size):
        file = tempfile.NamedTemporaryFile(delete=False)
        self.addCleanup(os.unlink, file.name)
        with file:
            file.write(random.Random(size).randbytes(size).hex().encode()[:size])
        return file.name


class BothEnds(Base):
    def test_resources_over_every_reactor_and_family(self):
        for reactor in programs.reactors():
            for host in programs.families().values():
                with self.subTest(reactor=reactor, host=host), \
                        coapkit.start_coapd("--reactor", reactor, "--stats", 0,
                                            listen=programs.join(host, 0)) as server:
                    options = {"host": host}
                    self.assertEqual(self.ask("get", server, "", **options).stdout,
                                     "kirim coapd\n")
                    self.assertRegex(self.ask("get", server, "time", **options).stdout,
                                     r"\A\d\d:\d\d:\d\d UTC\Z")
                    self.assertEqual(self.ask("get", server, "large", **options).stdout,
                                     coapkit.large(50000))
                    links = self.ask("get", server, ".well-known/core?rt=ticks", **options)
                    self.assertEqual(links.stdout,
                                     '</time>;rt="ticks";if="clock";ct=0;obs')
                    self.ask("ping", server, "", **options)
                    self.assertEqual(server.stop(), 0)
                    found = coapkit.counters(server)
                    self.assertEqual((found["malformed"], found["no_memory"], found["full"]),
                                     (0, 0, 0))
                    self.assertGreaterEqual(found["echo_good"], 1)

    def test_resources_are_created_changed_and_deleted(self):
        with coapkit.start_coapd("--resources-max", 2) as server:
            self.assertIn("4.04", self.ask("get", server, "a/b", status=1).stderr)
            self.assertIn("2.01", self.ask("put", server, "a/b", "--data", "one").stderr)
            self.assertEqual(self.ask("get", server, "a/b").stdout, "one")
            self.assertIn("2.04", self.ask("put", server, "a/b", "--data", "two").stderr)
            self.assertIn("4.12", self.ask("put", server, "a/b", "--option", "5", "--data", "x",
                                           status=1).stderr)
            self.assertEqual(self.ask("get", server, "a/b").stdout, "two")
            self.assertIn("2.01", self.ask("put", server, "c%20d", "--data", "x").stderr)
            self.assertIn("4.03", self.ask("put", server, "e", "--data", "x", status=1).stderr)
            self.assertIn("</a/b>;obs,</c%20d>;obs",
                          self.ask("get", server, ".well-known/core").stdout)
            self.assertIn("2.02", self.ask("delete", server, "a/b").stderr)
            self.assertIn("4.04", self.ask("get", server, "a/b", status=1).stderr)
            self.assertIn("4.05", self.ask("post", server, "time", status=1).stderr)
            self.assertIn("4.06", self.ask("get", server, "time", "--accept", 50,
                                           status=1).stderr)

    def test_bodies_in_blocks_of_every_size(self):
        file = self.make_file(3000)
        with open(file, encoding="ascii") as text:
            data = text.read()
        with coapkit.start_coapd() as server:
            for block in (16, 64, 256, 1024):
                with self.subTest(block=block):
                    self.ask("put", server, "f", "--file", file, "--block", block)
                    self.assertEqual(self.ask("get", server, "f", "--block", block).stdout, data)
                    done = self.ask("post", server, "echo", "--file", file, "--block", block)
                    self.assertEqual(done.stdout, data)

    def test_bodies_have_a_bound(self):
        file = self.make_file(3000)
        with coapkit.start_coapd("--body-bytes-max", 2000) as server:
            self.assertIn("4.13", self.ask("put", server, "f", "--file", file, status=1).stderr)
            done = self.ask("get", server, "large", "--body-bytes-max", 10000, status=1)
            self.assertIn("KIRIM_EMSGSIZE", done.stderr)

    def test_slow_answers_come_later(self):
        with coapkit.start_coapd() as server:
            for verb in ((), ("--non",)):
                self.assertEqual(self.ask("get", server, "async?1", *verb).stdout, "done\n")

    def test_observation(self):
        with coapkit.start_coapd("--stats", 0) as server:
            lines, tries = coapkit.observe_time(server.port)
            self.assertGreaterEqual(len(lines), 2, lines)
            with programs.Program("coap", "get", coapkit.uri("127.0.0.1", server.port, "x"),
                                  "--observe", 1000) as watch:
                watch.wait_for("err", "4.04")
                self.assertEqual(watch.wait_end(), 1)
            self.ask("put", server, "x", "--data", "first")
            with programs.Program("coap", "get", coapkit.uri("127.0.0.1", server.port, "x"),
                                  "--observe", 1000) as watch:
                watch.wait_for("out", "first")
                self.ask("put", server, "x", "--data", "second")
                watch.wait_for("out", "second")
                self.ask("delete", server, "x")
                watch.wait_for("err", "4.04")
                self.assertEqual(watch.wait_end(), 1)
            self.assertEqual(server.stop(), 0)
            found = coapkit.counters(server)
            self.assertEqual((found["observers_added"], found["observers_lost"]),
                             (1 + tries, 0))

    def test_what_acts_wants_an_echo(self):
        with coapkit.start_coapd("--stats", 0) as server:
            for count in (1, 2):
                self.ask("post", server, "button")
                self.assertIn("4.15", self.ask("post", server, "button", "--format", 50, "--data",
                                               "{}", status=1).stderr)
                self.assertEqual(self.ask("get", server, "button").stdout,
                                 f"pressed {count} times\n")
            self.assertEqual(server.stop(), 0)
            found = coapkit.counters(server)
            self.assertEqual((found["echo_asked"], found["echo_good"]), (4, 4))

    def test_unwanted_answers_stay_away(self):
        with coapkit.start_coapd() as server:
            for kind in ("--non",), ():
                done = self.ask("put", server, "n", *kind, "--no-response", 26, "--data",
                                f"quiet {kind}", "--timeout-ms", 300)
                self.assertEqual(done.stderr, "")
                self.assertEqual(self.ask("get", server, "n").stdout, f"quiet {kind}")
            self.assertIn("4.05", self.ask("put", server, "time", "--non", "--no-response", 2,
                                           status=1).stderr)

    def test_asked_at_another_address(self):
        host = "127.0.0.1" if programs.IS_WINE else "127.0.0.9"
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    coapkit.start_coapd("--reactor", reactor, listen="0.0.0.0:0") as server:
                self.assertEqual(self.ask("get", server, "large", host=host).stdout,
                                 coapkit.large(50000))

    @unittest.skipUnless(6 in programs.families(), "no IPv6")
    def test_wildcard_address_of_ipv6(self):
        with coapkit.start_coapd(listen="[::]:0") as server:
            self.assertEqual(self.ask("get", server, "large", host="::1").stdout,
                             coapkit.large(50000))

    def test_closed_port_is_known_at_once(self):
        done = run_coap("get", "127.0.0.1", programs.closed_port(), "time")
        self.assertEqual(done.returncode, 1)
        self.assertIn("KIRIM_ECONNRESET", done.stderr)

    def test_silent_server_is_given_up(self):
        with programs.open_socket() as silent:
            done = run_coap("get", "127.0.0.1", silent.getsockname()[1], "x", "--timeout-ms", 300)
            self.assertEqual(done.returncode, 1)
            self.assertIn("KIRIM_ETIMEDOUT", done.stderr)

    def test_wrong_words_are_usage(self):
        for arguments, text in ((("get",), "is missing"), (("take", "coap://[::1]"), "none of"),
                                (("get", "coap://localhost/"), "not like"),
                                (("get", "coap://[::1]/", "--option", "x"), "not NUMBER"),
                                (("get", "coap://[::1]/", "--file", "/nonexistent"), "cannot")):
            with self.subTest(arguments=arguments):
                done = programs.run("coap", *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)
        done = programs.run("coapd", "--listen", "127.0.0.1:0", "--group", "127.0.0.1")
        self.assertEqual((done.returncode, "not the address of a group" in done.stderr), (2, True),
                         done.stderr)

    def test_what_does_not_go_together_is_usage(self):
        uri = "coap://127.0.0.1:9/x"
        for arguments, text in ((("get", "coap://224.0.1.187/x"), "--non"),
                                (("post", uri, "--observe", 1), "get and fetch"),
                                (("get", uri, "--observe", 0), "--observe"),
                                (("put", uri, "--data", "a", "--file", "b"), "one of them")):
            with self.subTest(arguments=arguments):
                done = programs.run("coap", *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)

    @unless_without_dtls
    def test_keys_that_would_not_be_used_are_usage(self):
        key, port = ("--dtls-psk", "00"), ("--dtls-listen", "127.0.0.1:0")
        name, uri = ("--dtls-identity", "a"), ("get", "coaps://127.0.0.1:9/x")
        for program, arguments, text in (
                ("coapd", (*key, *name), "are for --dtls-listen"),
                ("coapd", port, "needs --dtls-psk"),
                ("coapd", (*port, *key), "go together"),
                ("coapd", (*port, "--dtls-psk", "0x", *name), "hexadecimal"),
                ("coapd", (*port, "--dtls-cert", "c.pem"), "go together"),
                ("coap", uri, "coaps needs"), ("coap", (*uri, *key), "go together")):
            with self.subTest(program=program, arguments=arguments):
                done = programs.run(program, *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(text, done.stderr)

    @unless_without_dtls
    def test_timeout_covers_the_handshake(self):
        with programs.open_socket() as silent:
            began = time.monotonic()
            uri = f"coaps://127.0.0.1:{silent.getsockname()[1]}/x"
            done = programs.run("coap", "get", uri, "--timeout-ms", 300, "--dtls-insecure")
            self.assertLess(time.monotonic() - began, 25)  # a handshake has 30 s by itself
            self.assertEqual(done.returncode, 1)
            self.assertIn("KIRIM_ETIMEDOUT", done.stderr)


class Server(Base):
    def tell(self, client, server, wire):
        client.sendto(wire, ("127.0.0.1", server.port))
        return client.recv(2000)

    def test_message_by_message(self):
        with coapkit.start_coapd("--stats", 0) as server, programs.open_socket() as client:
            root = message(CON, GET, 1, token=b"longtokn")
            first = self.tell(client, server, root)
            self.assertEqual(head(first), (ACK, code(2.05), 1))
            self.assertEqual(self.tell(client, server, root), first)
            self.assertEqual(head(self.tell(client, server, message(CON, 0, 2))), (RST, 0, 2))
            self.assertEqual(head(self.tell(client, server, b"\x4f\x01\x00\x03")), (RST, 0, 3))
            bad = message(CON, GET, 4, (9, b"x"))
            self.assertEqual(head(self.tell(client, server, bad)), (ACK, code(4.02), 4))
            proxy = message(CON, GET, 5, (35, b"coap://[::1]/"))
            self.assertEqual(head(self.tell(client, server, proxy)), (ACK, code(5.05), 5))
            # What would cost memory is asked for its Echo first.
            for options in ([(OBSERVE, b""), *path("time")], [*path("up"), (BLOCK1, b"\x08")]):
                method = GET if len(options[0][1]) == 0 else PUT
                wire = message(CON, method, 6 + method, *options,
                               payload=b"x" * 16 if method == PUT else b"")
                reply = self.tell(client, server, wire)
                self.assertEqual(head(reply)[1], code(4.01))
                self.assertLessEqual(len(reply), 3 * len(wire))
            echo = reply[-21:]
            again = message(CON, PUT, 20, *path("up"), (BLOCK1, b"\x08"), (ECHO, echo),
                            payload=b"x" * 16)
            self.assertEqual(head(self.tell(client, server, again)), (ACK, code(2.31), 20))
            self.assertEqual(server.stop(), 0)
            found = coapkit.counters(server)
            self.assertEqual((found["repeated"], found["echo_asked"], found["echo_good"]),
                             (1, 2, 1))

    def test_one_address_has_another_ones_echo_in_vain(self):
        with coapkit.start_coapd() as server, programs.open_socket() as one, \
                programs.open_socket() as other:
            wire = message(CON, POST, 1, *path("button"), token=b"12345678")
            reply = self.tell(one, server, wire)
            self.assertEqual(head(reply)[1], code(4.01))
            echoed = message(CON, POST, 2, *path("button"), (ECHO, reply[-21:]))
            self.assertEqual(head(self.tell(other, server, echoed))[1], code(4.01))
            self.assertEqual(head(self.tell(one, server, echoed))[1], code(2.04))

    def test_noise_does_no_harm(self):
        """Thousands of messages that are wrong somewhere, from one who is validated, too."""
        noise = random.Random(20240229)
        sound = [message(CON, GET, 0, *path("large"), (23, b"\x02"), token=b"tokn"),
                 message(CON, PUT, 0, *path("p"), (BLOCK1, b"\x08"), payload=b"x" * 16),
                 message(NON, POST, 0, *path("echo"), (258, b"\x02"), payload=b"y" * 30),
                 message(CON, GET, 0, (OBSERVE, b""), *path("time"), token=b"t"),
                 message(ACK, code(2.05), 0, token=b"tokn", payload=b"z"),
                 message(CON, GET, 0, *path(".well-known/core"), (15, b"rt=*"))]
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    coapkit.start_coapd("--reactor", reactor, "--stats", 0) as server, \
                    programs.open_socket() as hostile, programs.open_socket() as client:
                wire = message(CON, POST, 0xffff, *path("button"), token=b"12345678")
                echo = self.tell(hostile, server, wire)[-21:]
                wire = message(CON, POST, 0xfffe, *path("button"), (ECHO, echo))
                self.assertEqual(head(self.tell(hostile, server, wire))[1], code(2.04))
                hostile.setblocking(False)
                for count in range(NOISE_COUNT):
                    changed = bytearray(noise.choice(sound))
                    changed[2:4] = number(count + 256)[-2:]
                    for _ in range(noise.randrange(5)):
                        changed[noise.randrange(len(changed))] = noise.randrange(256)
                    cut = noise.randrange(len(changed)) if noise.randrange(4) == 0 else None
                    hostile.sendto(bytes(changed[:cut]), ("127.0.0.1", server.port))
                    if count % 64 == 0:
                        self.drain(hostile)
                        # What has come before is worked off when this is answered.
                        ping = message(CON, 0, count)
                        self.assertEqual(head(self.tell(client, server, ping)), (RST, 0, count))
                self.drain(hostile)
                self.assertEqual(self.ask("get", server, "large").stdout, coapkit.large(50000))
                self.assertEqual(server.stop(), 0)
                found = coapkit.counters(server)
                self.assertGreater(found["malformed"], NOISE_COUNT // 20)
                self.assertGreater(found["requests"], NOISE_COUNT // 10)

    def drain(self, hostile):
        """What came back, without waiting: a full buffer would lose nothing of worth."""
        try:
            while True:
                hostile.recv(2000)
        except BlockingIOError:
            pass


class Windows(Base):
    """coap-client of Linux and coapd of Windows; on Linux test_peers.py has it in full."""

    @unittest.skipIf(subprocess.run(["which", LIBCOAP], capture_output=True,
                                    check=False).returncode != 0,
                     f"{LIBCOAP} is missing: install the package libcoap3-bin")
    def test_coap_client_asks_coapd(self):
        file = self.make_file(5000)
        with open(file, encoding="ascii") as text:
            data = text.read()
        with coapkit.start_coapd() as server:
            for words, where, expected in (
                    ([], "time", r"\d\d:\d\d:\d\d UTC"), (["-N"], "time", r"\d\d:\d\d:\d\d UTC"),
                    ([], "large", re.escape(coapkit.large(50000))),
                    (["-b", "64"], "large", re.escape(coapkit.large(50000))),
                    (["-s", "2"], "time", r"(\d\d:\d\d:\d\d UTC\s*){2,}"),
                    ([], "async?1", "done"), (["-m", "put", "-f", file], "f", ""),
                    ([], "f", data)):
                with self.subTest(words=words, where=where):
                    method = [] if "-m" in words else ["-m", "get"]
                    wanted = rf"\A\s*{expected}\s*\Z"
                    for _ in range(3 if "-s" in words else 1):  # the seconds are its own
                        done = subprocess.run(
                            [LIBCOAP, "-B", "20", *method, *words,
                             coapkit.uri("127.0.0.1", server.port, where)],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                            timeout=programs.RUN_SECONDS_MAX)
                        if re.search(wanted, done.stdout):
                            break
                    self.assertRegex(done.stdout, wanted, done.stderr)


if __name__ == "__main__":
    programs.main()
