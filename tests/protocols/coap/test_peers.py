# SPDX-License-Identifier: MIT
"""coapd and coap with libcoap's programs, over a path that is whole and one that loses, in a group,
and seen by one that reads what is on the wire.

Debian packages: libcoap3-bin, nftables, tcpdump, tshark.
"""
import concurrent.futures
import os
import re
import signal
import subprocess
import tempfile
import unittest

import coapkit
import peers
from peers import find, need, run_words
import programs

CLIENT, SERVER = "coap-client-notls", "coap-server-notls"
LOST_PERCENT = 7
LOST_ROUNDS = 10  # until something was lost
LOST_TRIES = 8  # who is not confirmable is not sent again
# A wildcard socket is asked at another address than the first, where answers can leave from it.
HOST = "127.0.0.1" if programs.IS_WINE else "127.0.0.9"
NAMED_HOST = programs.OWN_HOST
GROUP = "224.0.1.187"
BODY_BYTES = 2500
TIME = r"(\d\d:\d\d:\d\d UTC\s*)"


def run_libcoap(*words):
    """coap-client; its status says nothing."""
    return run_words([CLIENT, "-B", 30, *words])


class Base(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.here = place.name
        self.file = os.path.join(self.here, "file")
        self.text = coapkit.large(BODY_BYTES)
        with open(self.file, "w", encoding="ascii") as file:
            file.write(self.text)

    def expect(self, pattern, *words, tries=1):
        """coap-client, until its output is what it should be."""
        with self.subTest(words=words):
            said = []
            while len(said) < tries:
                done = run_libcoap(*words)
                if re.fullmatch(rf"\s*{pattern}\s*", done.stdout or done.stderr):
                    return
                said.append(f"{done.stdout[:300]} {done.stderr[:300]}")
            self.fail(said)

    def check_client(self, port, tries=1):
        """Every way in which coap-client asks."""
        def at(where):
            return coapkit.uri(HOST, port, where)
        large = re.escape(coapkit.large(50000))
        self.expect(TIME, "-m", "get", at("time"), tries=tries)
        self.expect(TIME, "-m", "get", "-N", at("time"), tries=tries)
        self.expect(f"{TIME}{{2,}}", "-m", "get", "-s", 2, at("time"), tries=LOST_TRIES)
        self.expect(large, "-m", "get", at("large"), tries=tries)
        self.expect(large, "-m", "get", "-b", 512, at("large"), tries=tries)
        self.expect("done", "-m", "get", at("async?1"), tries=tries)
        self.expect('</time>;rt="ticks";if="clock";ct=0;obs', "-m", "get",
                    at(".well-known/core?rt=tic*"), tries=tries)
        self.expect("", "-m", "put", "-f", self.file, at("f"), tries=tries)
        self.expect(re.escape(self.text), "-m", "get", at("f"), tries=tries)
        self.expect("", "-m", "put", "-b", 64, "-f", self.file, at("g"), tries=tries)
        self.expect(re.escape(self.text), "-m", "get", "-b", 64, at("g"), tries=tries)
        self.expect("", "-m", "delete", at("g"), tries=tries)
        self.expect("4.04.*", "-m", "get", at("g"), tries=tries)
        self.expect("", "-m", "post", "-e", "x", at("button"), tries=tries)
        self.expect("hello", "-m", "post", "-e", "hello", at("echo"), tries=tries)
        self.check_formats(at, tries)
        self.check_conditions(at, tries)

    def check_formats(self, at, tries):
        """What coap-client sends in a format, wants in one, or wants to be understood."""
        json = ["-m", "post", "-t", "application/json"]
        self.expect("", "-m", "post", "-t", "text/plain", "-e", "x", at("button"), tries=tries)
        self.expect("4.15.*", *json, "-e", "{}", at("button"), tries=tries)
        self.expect("4.15.*", *json, "-b", 64, "-f", self.file, at("button"), tries=tries)
        self.expect(re.escape("{}"), *json, "-e", "{}", at("echo"), tries=tries)
        self.expect(TIME, "-m", "get", "-A", "text/plain", at("time"), tries=tries)
        self.expect("4.06.*", "-m", "get", "-A", "application/json", at("time"), tries=tries)
        self.expect("4.02.*", "-m", "get", "-O", "2049,x", at("time"), tries=tries)

    def check_conditions(self, at, tries):
        """If-Match (1) and If-None-Match (5), of what is created and of what is always there."""
        self.expect("", "-m", "put", "-O", "5,", "-e", "one", at("h"), tries=tries)
        for condition in ("5,", "1,other"):
            for verb in ("put", "delete"):
                self.expect("4.12.*", "-m", verb, "-O", condition, "-e", "two", at("h"),
                            tries=tries)
            self.expect("4.12.*", "-m", "post", "-O", condition, "-e", "x", at("button"),
                        tries=tries)
        self.expect("one", "-m", "get", at("h"), tries=tries)
        self.expect("", "-m", "put", "-O", "1,", "-e", "two", at("h"), tries=tries)
        self.expect("two", "-m", "get", at("h"), tries=tries)
        self.expect("", "-m", "delete", at("h"), tries=tries)
        self.expect("4.12.*", "-m", "delete", "-O", "1,", at("h"), tries=tries)


@need(CLIENT, "libcoap3-bin")
class Clients(Base):
    """coap-client on each reactor, at an address of a socket that has all of them."""

    def test_coap_client(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), \
                    coapkit.start_coapd("--stats", 0, "--reactor", reactor,
                                        listen="0.0.0.0:0") as server:
                self.check_client(server.port)
                self.assertEqual(server.stop(), 0)
                found = coapkit.counters(server)
                self.assertEqual((found["malformed"], found["timed_out"], found["send_failed"]),
                                 (0, 0, 0))
                self.assertGreater(found["echo_good"], 0)

    def test_it_asks_without_echo_where_it_is_trusted(self):
        with coapkit.start_coapd("--stats", 0, "--trust", listen="0.0.0.0:0") as server:
            self.expect(re.escape(coapkit.large(50000)), "-m", "get",
                        coapkit.uri(HOST, server.port, "large"))
            self.assertEqual(server.stop(), 0)
            self.assertEqual(coapkit.counters(server)["echo_asked"], 0)


class OtherServer:
    """coap-server, which says nothing when it is ready: a ping tells."""

    def __init__(self, test, *arguments, host="127.0.0.1"):
        self.port = programs.free_port()
        words = [find(SERVER), "-p", str(self.port), "-d", "100", *arguments]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(10 * programs.START_SECONDS_MAX):
            done = coapkit.run_coap("ping", host, self.port, "", "--timeout-ms", 1000)
            if done.returncode == 0:
                return
        self.__exit__()
        test.fail("coap-server does not answer")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


@need(SERVER, "libcoap3-bin")
class Servers(Base):
    """Our client, and libcoap's server."""

    def test_coap_server(self):
        with OtherServer(self, "-A", "127.0.0.1") as server:
            self.check_server(server)

    tries = 1
    non_ms = 30000  # nobody asks again
    blocks = (1024, 256, 64)

    def ask(self, server, verb, where, *arguments):
        for _ in range(self.tries):
            done = coapkit.run_coap(verb, "127.0.0.1", server.port, where, *arguments)
            if done.returncode == 0:
                break
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def check_server(self, server):
        self.assertRegex(self.ask(server, "get", "time").stdout, r"\d\d:\d\d:\d\d")
        done = self.ask(server, "get", "time", "--non", "--timeout-ms", self.non_ms)
        self.assertRegex(done.stdout, r"\d\d:\d\d:\d\d")
        lines, _ = coapkit.observe_time(server.port)
        self.assertGreaterEqual(len(lines), 2, lines)
        self.assertEqual(self.ask(server, "get", "async?1").stdout, "done")
        self.assertIn("</time>", self.ask(server, "get", ".well-known/core").stdout)
        for number, block in enumerate(self.blocks):
            with self.subTest(block=block):
                options = ("--block", block)
                for _ in range(self.tries):
                    self.ask(server, "put", f"f{number}", "--file", self.file, *options)
                    got = self.ask(server, "get", f"f{number}", *options)
                    if got.stdout == self.text:
                        break
                self.assertEqual(got.stdout, self.text)
        done = coapkit.run_coap("get", "127.0.0.1", server.port, "none")
        self.assertIn("4.04", done.stderr)


class Lossy(Servers):
    """Runs in a network of its own that loses datagrams, each by itself: without offload. The
    server of others is asked as on a whole path, but for less; once it kept the last block of a
    body alone, as if a block that came twice had begun another one: so what is put is put again if
    need be."""

    tries = LOST_TRIES
    non_ms = 2000
    blocks = (1024,)

    def test_all_get_there(self):
        with coapkit.start_coapd("--stats", 0, "--block", 256, listen="0.0.0.0:0") as server:
            lost = 0
            for _ in range(LOST_ROUNDS):
                for where in ("time", "async?1", "f"):
                    with self.subTest(where=where):
                        self.check_own(server, where)
                rules = run_words(["nft", "list", "ruleset"]).stdout
                lost = int(re.search(r"counter packets (\d+)", rules).group(1))
                if lost > 0:
                    break
            self.assertEqual(server.stop(), 0)
            print("lost:", lost, coapkit.counters(server))
            self.assertGreater(lost, 0)

    @need(CLIENT, "libcoap3-bin")
    def test_coap_client(self):
        with coapkit.start_coapd("--block", 256, listen="0.0.0.0:0") as server:
            def at(where):
                return coapkit.uri(HOST, server.port, where)
            self.expect(TIME, "-m", "get", at("time"))
            self.expect(TIME, "-m", "get", "-N", "-B", 2, at("time"), tries=LOST_TRIES)
            self.expect(f"{TIME}{{2,}}", "-m", "get", "-s", 3, at("time"), tries=LOST_TRIES)
            self.expect("done", "-m", "get", at("async?1"), tries=LOST_TRIES)
            self.expect("", "-m", "put", "-f", self.file, at("g"), tries=LOST_TRIES)
            self.expect(re.escape(self.text), "-m", "get", at("g"), tries=LOST_TRIES)

    def check_own(self, server, where):
        if where == "f":
            done = coapkit.run_coap("put", HOST, server.port, where, "--file", self.file)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = coapkit.run_coap("get", HOST, server.port, where)
        self.assertEqual(done.returncode, 0, done.stderr)
        if where == "f":
            self.assertEqual(done.stdout, self.text)


class Group(Base):
    """Runs in a network of its own, where there is a route for groups."""

    def test_group(self):
        with coapkit.start_coapd("--group", GROUP, "--leisure-ms", 300, "--stats", 0,
                                 listen="0.0.0.0:0") as server:
            done = self.ask(server.port, "time", 2000)
            self.assertRegex(done.stdout, TIME)
            self.assertIn("from 10.9.9.1:", done.stderr)  # not from the group
            done = self.ask(server.port, ".well-known/core", 2000)
            self.assertIn("</time>", done.stdout, done.stderr)  # behind an Echo
            done = coapkit.run_coap("get", GROUP, server.port, "none", "--non", "--timeout-ms",
                                    600)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"^coap: \S+: nobody answered\n$")  # no errors
            if find(CLIENT):
                self.expect(TIME, "-m", "get", "-N", "-B", 3,
                            coapkit.uri(GROUP, server.port, "time"), tries=LOST_TRIES)
            self.assertEqual(server.stop(), 0)
        if find(SERVER):
            with OtherServer(self, "-g", GROUP, host="10.9.9.1") as other:
                self.ask(other.port, "time", 5500)  # its leisure

    def ask(self, port, where, milliseconds):
        """Asks the group, which has so much time to answer, and a machine that stands still then
        more than one try."""
        for _ in range(LOST_TRIES):
            done = coapkit.run_coap("get", GROUP, port, where, "--non", "--timeout-ms",
                                    milliseconds)
            if done.returncode == 0:
                break
        self.assertEqual(done.returncode, 0, done.stderr)
        return done


class Network(Base):
    @programs.unless_windows("a network namespace of the test's own")
    @need("nft", "nftables")
    @need("unshare", "util-linux")
    def test_over_a_path_that_loses(self):
        cases = ("Lossy.test_all_get_there", "Lossy.test_coap_client", "Lossy.test_coap_server")
        with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:  # they wait most of it
            list(pool.map(lambda case: peers.run_inside(self, __file__, peers.losing(LOST_PERCENT),
                                                        case), cases))

    @programs.unless_windows("a network namespace of the test's own")
    @need("unshare", "util-linux")
    def test_to_a_group(self):
        peers.run_inside(self, __file__,
                         "ip link add d0 type veth peer name d1 && ip link set d1 up && "
                         "ip addr add 10.9.9.1/24 dev d0 && ip link set d0 up && "
                         "ip route add 224.0.0.0/4 dev d0", "Group")

    @programs.unless_wine("a socket bound to one address has every one, and answers from one")
    @need("tshark", "tshark")
    @need("tcpdump", "tcpdump")
    def test_tshark_finds_nothing_malformed(self):
        file = os.path.join(self.here, "capture.pcap")
        with coapkit.start_coapd(listen=f"{NAMED_HOST}:0") as server:
            self.capture(file, server)
            self.assertEqual(server.stop(), 0)
        # Options that are younger than tshark 4.0 are all that it does not like.
        lines = self.read_capture(file, server, "_ws.malformed", "-T", "fields", "-e",
                                  "_ws.expert.message")
        self.assertLessEqual(set(",".join(lines).split(",")) - {""},
                             {f"Invalid Option Number {n}" for n in (252, 258, 292, 2049)})
        self.assertEqual(self.read_capture(file, server, "!coap && !icmp"), [])
        for kind in range(4):
            self.assertNotEqual(self.read_capture(file, server, f"coap.type == {kind}"), [])
        for wanted in ("coap.opt.block_number", "coap.opt.observe", "coap.opt.etag"):
            self.assertNotEqual(self.read_capture(file, server, wanted), [], wanted)

    def capture(self, file, server):
        """Asks in every way, and captures what goes over the wire meanwhile."""
        with peers.capturing(self, file, "host", NAMED_HOST):
            for words in (["get", "time"], ["get", "time", "--non"], ["get", "large"],
                          ["get", "time", "--observe", 2], ["put", "f", "--file", self.file],
                          ["get", "f", "--block", 64], ["post", "button"], ["get", "async?2"],
                          ["get", "none"], ["ping", ""], ["get", ".well-known/core?rt=*"],
                          ["put", "g", "--data", "x", "--no-response", 2, "--timeout-ms", 100],
                          ["delete", "f"], ["get", "time", "--option", "2049,critical"]):
                coapkit.run_coap(words[0], NAMED_HOST, server.port, *words[1:])

    def read_capture(self, file, server, wanted, *options):
        """The packets of a capture that a display filter finds, one line each."""
        return peers.read_capture(self, file, "coap", [server.port], "-Y", wanted, *options)


if __name__ == "__main__":
    peers.main("Lossy", "Group")
