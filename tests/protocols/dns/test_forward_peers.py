# SPDX-License-Identifier: MIT
"""dnsfwd between programs that are not ours; and all of it in a network that loses datagrams.

Debian packages: bind9-dnsutils (dig), knot-dnsutils (kdig), dnsperf; nsd, knot and unbound, of
which only the programs are used, with files of the test's own; nftables, tcpdump, tshark.
"""
import os
import re
import signal
import subprocess
import tempfile
import unittest

import dnskit
import peers
from peers import find, need
import programs

LOAD_SECONDS = 1
LOST_PERCENT = 7
CAPTURE_TRIES = 3
# A wildcard socket is asked at another address than the first, where answers can leave from it.
HOST = "127.0.0.1" if programs.IS_WINE else "127.0.0.9"

QUESTIONS = (
    ("www.example.test", ["status: NOERROR", r"flags: qr rd ra;", r"192\.0\.2\.81"]),
    ("WwW.eXample.TEST", [r"(?m)^;WwW\.eXample\.TEST\.", r"192\.0\.2\.80"]),
    ("example.test MX", [r"10 mail\.example\.test\."]),
    ("example.test CAA", [r'0 issue "ca\.test"']),
    ("new.example.test TYPE65280", [r"\\# 5 ABCDEF0102"]),
    ("nope.example.test", ["status: NXDOMAIN", r"(?m)^example\.test\.\s+[0-9]+\s+IN\s+SOA"]),
    ("example.test NAPTR", ["status: NOERROR", "ANSWER: 0", r"(?m)^example\.test\..*SOA"]),
    ("big.example.test TXT", ["ANSWER: 8"]),
    ("big.example.test TXT +ignore +noedns", [r"flags: qr tc rd ra;", "ANSWER: 0"]),
)
REFUSALS = (
    ("www.example.test +norecurse", ["status: REFUSED"]),
    ("version.bind CH TXT", ["status: REFUSED"]),
    ("+header-only +nocookie", ["status: FORMERR"]),
    ("www.example.test +edns=9 +noednsneg", ["status: BADVERS"]),
    ("www.example.test +opcode=5", ["status: NOTIMP"]),
    ("www.example.test +cookie", [r"COOKIE: [0-9a-f]{48} \(good\)", "EDNS: version: 0"]),
    ("www.example.test +dnssec +cdflag", [r"flags: qr rd ra cd;", r"flags: do; udp: 1232"]),
)


def ask(program, host, port, *words):
    """What a client prints; its status says too little, so its text is what counts."""
    done = subprocess.run([program, f"@{host}", "-p", str(port), *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=programs.RUN_SECONDS_MAX, check=False)
    return done.stdout + done.stderr


def dig(host, port, *words):
    return ask("dig", host, port, "+tries=1", "+time=20", *words)


class Server:
    """A server of somebody else's that serves the example zone, or what it is told to ask."""

    def __init__(self, name, zone=dnskit.EXAMPLE_ZONE, forward=None):
        self.place = tempfile.TemporaryDirectory()
        self.port = programs.free_port()
        self.log = os.path.join(self.place.name, "log")
        text = getattr(self, name)(zone, forward)
        path = dnskit.write_zone(self.place.name, text, f"{name}.conf")
        words = {"nsd": ["nsd", "-d", "-c", path], "knot": ["knotd", "-c", path],
                 "unbound": ["unbound", "-d", "-c", path]}[name]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([find(words[0]), *words[1:]], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)

    def nsd(self, zone, _):
        place = self.place.name
        return (f"server:\n ip-address: 127.0.0.1@{self.port}\n username: \"\"\n database: \"\"\n"
                f" zonesdir: \"{place}\"\n pidfile: \"{place}/pid\"\n xfrdfile: \"{place}/xfrd\"\n"
                f" zonelistfile: \"{place}/list\"\n server-count: 1\n answer-cookie: yes\n"
                f"remote-control:\n control-enable: no\n"
                f"zone:\n name: example.test\n zonefile: {zone}\n")

    def knot(self, zone, _):
        place = self.place.name
        return (f"server:\n    listen: 127.0.0.1@{self.port}\n    rundir: {place}\n"
                f"    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n"
                f"database:\n    storage: {place}/db\n"
                f"mod-cookies:\n  - id: strict\n    badcookie-slip: 1\n"
                f"template:\n  - id: default\n    storage: {place}\n    zonefile-sync: -1\n"
                f"    journal-content: none\n    global-module: mod-cookies/strict\n"
                f"zone:\n  - domain: example.test\n    file: {zone}\n")

    def unbound(self, _, forward):
        place = self.place.name
        return (f"server:\n interface: 127.0.0.1@{self.port}\n do-daemonize: no\n username: \"\"\n"
                f" chroot: \"\"\n directory: \"{place}\"\n pidfile: \"{place}/pid\"\n"
                f" use-syslog: no\n module-config: \"iterator\"\n do-not-query-localhost: no\n"
                f" num-threads: 1\n local-zone: \"test.\" nodefault\n"
                f"remote-control:\n control-enable: no\n"
                f"forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@{forward}\n")

    def __enter__(self):
        for _ in range(20 * programs.START_SECONDS_MAX):
            text = ask("dig", "127.0.0.1", self.port, "+tries=1", "+time=1", "example.test", "SOA")
            if "status: NOERROR" in text:
                return self
        self.__exit__()
        raise AssertionError(f"no answer of {self.process.args}: {text}")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(programs.START_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.place.cleanup()


class Base(unittest.TestCase):
    def check(self, port, questions, host="127.0.0.1", program=dig):
        for words, wanted in questions:
            with self.subTest(words=words):
                text = program(host, port, *words.split())
                for pattern in wanted:
                    self.assertRegex(text, pattern)
                self.assertNotRegex(text, "malformed|(?i:warn.*mismatch)|unexpected source")


@need("dig", "bind9-dnsutils")
class Clients(Base):
    def test_dig(self):
        """Twice: asked, and from the cache."""
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), dnskit.start_dnsd() as server, \
                    dnskit.start_dnsfwd("--reactor", reactor, listen="0.0.0.0:0",
                                        upstream=[server.port]) as forwarder:
                self.check(forwarder.port, (*QUESTIONS, *REFUSALS, *QUESTIONS), HOST)
                self.assertEqual(forwarder.stop(), 0)
                self.assertEqual(server.stop(), 0)

    def test_dig_comes_back_with_the_cookie_that_is_demanded(self):
        with dnskit.start_dnsd("--cookies", "require") as server, \
                dnskit.start_dnsfwd("--cookies", "require", upstream=[server.port]) as forwarder:
            self.check(forwarder.port, (
                ("ns1.example.test", ["BADCOOKIE, retrying", r"192\.0\.2\.53"]),
                ("ns1.example.test +nobadcookie", ["status: BADCOOKIE", "ANSWER: 0"])))
            self.assertEqual(forwarder.stop(), 0)

    @need("kdig", "knot-dnsutils")
    def test_kdig(self):
        def kdig(host, port, *words):
            return ask("kdig", host, port, "+retry=0", "+time=20", *words)
        with dnskit.start_dnsd() as server, \
                dnskit.start_dnsfwd(upstream=[server.port]) as forwarder:
            self.check(forwarder.port, (
                ("www.example.test", ["status: NOERROR", r"192\.0\.2\.81", "Flags: qr rd ra"]),
                ("example.test SOA +edns +padding", ["2024010101 3600 900 1209600 300"]),
                ("nope.example.test", ["status: NXDOMAIN"]),
                ("big.example.test TXT +noedns +ignore", [r"Flags: qr tc"])), program=kdig)
            self.assertEqual(forwarder.stop(), 0)


@programs.unless_windows("servers of Linux; the protocol is the same")
@need("dig", "bind9-dnsutils")
class Servers(Base):
    def check_upstream(self, name):
        with Server(name) as server, dnskit.start_dnsfwd(upstream=[server.port]) as forwarder:
            self.check(forwarder.port, (*QUESTIONS, *QUESTIONS))
            self.assertEqual(forwarder.stop(), 0)
            return dnskit.counters(forwarder, " upstream asked=")

    @need("nsd", "nsd")
    def test_nsd(self):
        found = self.check_upstream("nsd")
        self.assertGreaterEqual(found["asked"], 7)
        self.assertEqual((found["answered"], found["wrong_cookie"]), (7, 0))

    @need("knotd", "knot")
    def test_knot_that_demands_cookies(self):
        found = self.check_upstream("knot")
        self.assertGreaterEqual(found["asked"], 8)  # BADCOOKIE, once
        self.assertEqual(found["answered"], 7)

    @need("unbound", "unbound")
    def test_unbound_before_and_behind(self):
        """dig asks dnsfwd, which asks unbound, which asks dnsfwd, which asks dnsd."""
        with dnskit.start_dnsd() as server, dnskit.start_dnsfwd(upstream=[server.port]) as inner, \
                Server("unbound", forward=inner.port) as unbound, \
                dnskit.start_dnsfwd(upstream=[unbound.port]) as outer:
            self.check(outer.port, (*QUESTIONS, *QUESTIONS))
            self.assertEqual(outer.stop(), 0)
            self.assertEqual(inner.stop(), 0)
            self.assertGreaterEqual(dnskit.counters(inner)["answered"], 7)

    @need("unbound", "unbound")
    def test_unbound_asks_dnsd(self):
        with dnskit.start_dnsd() as server, Server("unbound", forward=server.port) as unbound:
            self.check(unbound.port, QUESTIONS)
            self.assertEqual(server.stop(), 0)


class Load(Base):
    @need("dnsperf", "dnsperf")
    def test_dnsperf_loses_nothing(self):
        names = "".join(f"{name}.example.test A\n"
                        for name in ("www", "mail", "nope", "web", "ns1"))
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), tempfile.TemporaryDirectory() as directory, \
                    dnskit.start_dnsd() as server, \
                    dnskit.start_dnsfwd("--reactor", reactor, upstream=[server.port]) as forwarder:
                path = dnskit.write_zone(directory, names, "queries")
                done = subprocess.run(
                    ["dnsperf", "-s", "127.0.0.1", "-p", str(forwarder.port), "-d", path, "-l",
                     str(LOAD_SECONDS), "-c", "4", "-q", "50", "-t", "20"],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    timeout=programs.RUN_SECONDS_MAX + LOAD_SECONDS, check=False)
                self.assertRegex(done.stdout, r"Queries lost:\s+0 ", done.stdout)
                rate = re.search(r"Queries per second:\s+([0-9.]+)", done.stdout)
                self.assertEqual(forwarder.stop(), 0)
                self.assertEqual(dnskit.counters(forwarder, " cache hits=")["misses"], 5)
                print(f"dnsperf through dnsfwd on {reactor}: {rate.group(1)} queries/s, 0 lost")

    @need("tshark", "tshark")
    @need("tcpdump", "tcpdump")
    @need("dig", "bind9-dnsutils")
    def test_tshark_finds_nothing_malformed(self):
        """On both sides of a forwarder that demands cookies; a busy machine may miss a packet."""
        with tempfile.TemporaryDirectory() as directory, \
                dnskit.start_dnsd("--cookies", "require") as server, \
                dnskit.start_dnsfwd("--cookies", "require", "--rrl", 1, "--rrl-slip", 1,
                                    upstream=[server.port]) as forwarder:
            file = os.path.join(directory, "capture.pcap")
            for _ in range(CAPTURE_TRIES):
                self.capture(file, server.port, forwarder.port)
                counts = [len(self.read(file, server.port, forwarder.port,
                                        f"dns.flags.response == {kind}")) for kind in (0, 1)]
                if counts[0] == counts[1]:
                    break
            self.assertEqual(forwarder.stop(), 0)
            for wanted in ("_ws.malformed", "_ws.expert.severity >= 8388608", "!dns"):
                self.assertEqual(self.read(file, server.port, forwarder.port, wanted), [])
            self.assertEqual(counts[0], counts[1])
            self.assertGreater(len(self.read(file, server.port, forwarder.port,
                                             "dns.opt.code == 10")), len(QUESTIONS))

    def capture(self, file, *ports):
        """Asks, and captures what goes over the wire meanwhile."""
        with peers.capturing(self, file, "udp", "port", ports[0], "or", "udp", "port", ports[1]):
            for words, _ in (*QUESTIONS, *REFUSALS):
                dig("127.0.0.1", ports[1], *words.split(), "+ignore")
                dig("127.0.0.1", ports[1], *words.split(), "+nobadcookie", "+ignore")

    def read(self, file, *arguments):
        """The packets of a capture that a display filter finds, one line each."""
        return peers.read_capture(self, file, "dns", arguments[:-1], "-Y", arguments[-1])


class Lossy(Base):
    """Runs in a network of its own that loses datagrams, each by itself."""

    def check_all(self, port, program):
        # kdig shows names in lower case, and "Flags".
        found = [(words, [r".", *wanted[2:]]) for words, wanted in QUESTIONS if "+" not in words]
        self.check(port, found, HOST, program)

    def test_every_client_gets_there(self):
        def patient_dig(host, port, *words):
            return ask("dig", host, port, "+tries=15", "+time=1", *words)

        def patient_kdig(host, port, *words):
            return ask("kdig", host, port, "+retry=15", "+time=1", "+bufsize=1232", "+cookie",
                       *words)

        clients = [program for name, program in (("dig", patient_dig), ("kdig", patient_kdig))
                   if find(name)]
        with dnskit.start_dnsd("--cookies", "require", listen="0.0.0.0:0") as server, \
                dnskit.start_dnsfwd("--retries", 6, listen="0.0.0.0:0", timeout_ms=100,
                                    upstream=[server.port]) as forwarder:
            for program in clients:
                for port in (forwarder.port, server.port):
                    self.check_all(port, program)
            for port in (forwarder.port, server.port):
                done = dnskit.run_dnsq("--timeout-ms", 100, "--retries", 6, "--count", 200,
                                       f"@127.0.0.1:{port}", "mail.example.test")
                self.assertIn("200 of 200 answered", done.stdout, done.stderr)
            self.assertEqual(forwarder.stop(), 0)
            self.assertEqual(dnskit.counters(forwarder, " upstream asked=")["failed"], 0)
            print(forwarder.texts["err"])

    def test_servers_of_others_are_asked(self):
        for name, program in (("nsd", "nsd"), ("knot", "knotd")):
            if find(program):
                with self.subTest(name=name), Server(name) as server:
                    done = dnskit.run_dnsq("--timeout-ms", 100, "--retries", 6, "--count", 200,
                                           f"@127.0.0.1:{server.port}", "mail.example.test")
                    self.assertIn("200 of 200 answered", done.stdout, done.stderr)


class Network(unittest.TestCase):
    @programs.unless_windows("a network namespace of the test's own")
    @need("nft", "nftables")
    @need("unshare", "util-linux")
    def test_over_a_path_that_loses(self):
        peers.run_inside(self, __file__, peers.losing(LOST_PERCENT), "Lossy")


if __name__ == "__main__":
    peers.main("Lossy")
