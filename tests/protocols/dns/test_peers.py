# SPDX-License-Identifier: MIT
"""dnsd, asked by programs that are not ours, and seen by one that reads what is on the wire.

Debian packages: bind9-dnsutils (dig), knot-dnsutils (kdig), ldnsutils (drill), dnsperf, tcpdump,
tshark.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import dnskit
import peers
from peers import need
import programs

LOAD_SECONDS = 2
CAPTURE_TRIES = 3
LOAD_NAMES = ("example.test SOA", "www.example.test A", "web.example.test AAAA",
              "example.test MX", "x.wild.example.test A", "nope.example.test A",
              "child.example.test A", "big.example.test TXT", "loop.example.test A")


def ask(program, server, *words, host="127.0.0.1"):
    """What a client prints; its status says too little, so its text is what counts."""
    extra = ["+tries=1", "+time=20"] if program == "dig" else ["+retry=0", "+time=20"]
    done = subprocess.run([program, f"@{host}", "-p", str(server.port), *extra, *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=programs.RUN_SECONDS_MAX, check=False)
    return done.stdout + done.stderr


class Clients(unittest.TestCase):
    """Each case: the words of the question, what must be in the text, what must not."""

    def check(self, program, cases, *arguments):
        for reactor, host in dnskit.places():
            with dnskit.start_dnsd("--reactor", reactor, *arguments,
                                   listen=programs.join(host, 0)) as server:
                for words, wanted, unwanted in cases:
                    with self.subTest(program=program, reactor=reactor, host=host, words=words):
                        text = ask(program, server, *words.split(), host=host)
                        for pattern in wanted:
                            self.assertRegex(text, pattern)
                        for pattern in ("malformed", "(?i)warn.*mismatch", *unwanted):
                            self.assertNotRegex(text, pattern)
                self.assertEqual(server.stop(), 0)

    @need("dig", "bind9-dnsutils")
    def test_dig(self):
        self.check("dig", (
            ("www.example.test", ["status: NOERROR", r"flags: qr aa rd;", r"192\.0\.2\.81"], []),
            ("WwW.eXample.TEST", [r"(?m)^;WwW\.eXample\.TEST\.", r"192\.0\.2\.80"], []),
            ("example.test MX", [r"10 mail\.example\.test\.", r"(?m)^mail\..*192\.0\.2\.25"], []),
            ("example.test CAA", [r'0 issue "ca\.test"'], []),
            ("example.test TXT", [r'"v=spf1 mx -all"'], []),
            ("example.test NS", [r"2001:db8::53"], []),
            ("_sip._udp.example.test SRV", [r"10 60 5060 web\.example\.test\."], []),
            ("new.example.test TYPE65280", [r"\\# 5 ABCDEF0102"], []),
            ("child.example.test DS", [r"flags: qr aa", r"DS\s+60485 13 2 D4B7"], []),
            ("x.wild.example.test", [r"(?m)^x\.wild\.example\.test\..*192\.0\.2\.7"], []),
            ("wild.example.test", ["status: NOERROR", "ANSWER: 0, AUTHORITY: 1"], []),
            ("under.here.example.test TXT", ["status: NOERROR", "ANSWER: 0"], []),
            ("nope.example.test", ["status: NXDOMAIN", r"(?m)^example\.test\.\s+300\s+IN\s+SOA"],
             []),
            ("a.b.child.example.test", [r"flags: qr rd;", r"ns\.child\.example\.test\.",
                                        r"192\.0\.2\.99"], [r"flags: qr aa"]),
            ("loop.example.test", ["status: NOERROR", "ANSWER: 1,"], []),
            ("old.example.test", ["ANSWER: 4,"], []),
            ("example.org", ["status: REFUSED"], []),
            ("example.test ANY +notcp", ["status: NOERROR", "ANSWER: 1,"], []),
            ("version.bind CH TXT", ["status: REFUSED"], []),
            ("www.example.test +noedns", ["ADDITIONAL: 0"], ["EDNS"]),
            ("www.example.test +cookie +bufsize=1232 +nsid",
             ["EDNS: version: 0", "udp: 1232", r"COOKIE: [0-9a-f]{48} \(good\)"], []),
            ("www.example.test +nocookie", ["EDNS: version: 0"], ["COOKIE"]),
            ("www.example.test +nocookie +ednsopt=10:00112233445566", ["status: FORMERR"],
             ["COOKIE"]),
            ("www.example.test +cookie=0011223344556677aabb", ["status: FORMERR"], ["COOKIE"]),
            ("www.example.test +cookie=0011223344556677010000006000000000112233445566aa",
             [r"192\.0\.2\.80", r"COOKIE: 0011223344556677[0-9a-f]{32} \(good\)"], []),
            ("+header-only +cookie", ["status: NOERROR", "QUERY: 0", r"COOKIE: .* \(good\)"], []),
            ("www.example.test +dnssec", [r"flags: do; udp: 1232"], []),
            ("www.example.test +cdflag +adflag", [r"flags: qr aa rd;"], []),
            ("www.example.test +norecurse", [r"flags: qr aa;"], []),
            ("+header-only +noedns", ["status: FORMERR", "QUERY: 0"], []),
            ("+header-only +nocookie", ["status: FORMERR", "QUERY: 0"], []),
            ("www.example.test +edns=9 +noednsneg", ["status: BADVERS", "version: 0"], []),
            ("www.example.test +ednsopt=100:abcd", ["status: NOERROR"], ["OPT=100"]),
            ("www.example.test +opcode=5", ["opcode: UPDATE, status: NOTIMP"], []),
            ("www.example.test +opcode=2", ["status: NOTIMP"], []),
            ("big.example.test TXT +ignore +noedns", [r"flags: qr aa tc rd;", "ANSWER: 0"], []),
            ("big.example.test TXT +ignore +bufsize=600", [r"flags: qr aa tc rd;"], []),
            ("big.example.test TXT +bufsize=1232", ["ANSWER: 8"], [r" tc "]),
        ))

    @need("dig", "bind9-dnsutils")
    def test_dig_comes_back_with_the_cookie_that_is_demanded(self):
        self.check("dig", (
            ("ns1.example.test", ["BADCOOKIE, retrying", r"192\.0\.2\.53",
                                  r"COOKIE: [0-9a-f]{48} \(good\)"], []),
            ("ns1.example.test +nobadcookie", ["status: BADCOOKIE", "ANSWER: 0", "AUTHORITY: 0",
                                               r"COOKIE: [0-9a-f]{48} \(good\)"], []),
            ("ns1.example.test +nocookie +ignore", ["flags: qr tc rd;", "ANSWER: 0"], []),
            ("ns1.example.test +noedns +ignore", ["flags: qr tc rd;", "ADDITIONAL: 0"], []),
        ), "--cookies", "require")

    @need("kdig", "knot-dnsutils")
    def test_kdig_comes_back_too(self):
        self.check("kdig", (
            ("ns1.example.test +cookie", [r"192\.0\.2\.53", "status: NOERROR", "COOKIE"], []),
            ("ns1.example.test +cookie +nobadcookie", ["status: BADCOOKIE", "ANSWER: 0"], []),
        ), "--cookies", "require")

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    @need("dig", "bind9-dnsutils")
    def test_dig_minds_the_address_that_answers(self):
        """dig reports a reply from another address than the one it asked."""
        with dnskit.start_dnsd(listen="0.0.0.0:0") as server:
            text = ask("dig", server, "ns1.example.test", host="127.0.0.9")
            self.assertIn("192.0.2.53", text)
            self.assertNotIn("unexpected source", text)
            self.assertEqual(server.stop(), 0)

    @need("dig", "bind9-dnsutils")
    @unittest.skipUnless(6 in programs.families(), "no IPv6")
    def test_dig_asks_a_wildcard_address_over_ipv6(self):
        with dnskit.start_dnsd(listen="[::]:0") as server:
            self.assertIn("192.0.2.53", ask("dig", server, "ns1.example.test", host="::1"))
            self.assertEqual(server.stop(), 0)

    @need("kdig", "knot-dnsutils")
    def test_kdig(self):
        self.check("kdig", (
            ("www.example.test", ["status: NOERROR", r"192\.0\.2\.81"], []),
            ("example.test SOA +edns +padding", ["2024010101 3600 900 1209600 300"], []),
            ("example.test CAA", [r'0 issue "ca\.test"'], []),
            ("new.example.test TYPE65280", [r"\\# 5 (?i:ABCDEF0102)"], []),
            ("nope.example.test", ["status: NXDOMAIN"], []),
            ("a.child.example.test", [r"192\.0\.2\.99"], [r"Flags: qr aa"]),
            ("big.example.test TXT +noedns +ignore", [r"Flags: qr aa tc"], []),
            ("example.test +dnssec +bufsize=4096 NS", ["2001:db8::53"], []),
        ))

    @need("drill", "ldnsutils")
    def test_drill(self):
        for host in programs.families().values():
            with dnskit.start_dnsd(listen=programs.join(host, 0)) as server:
                for words, wanted in (("www.example.test", r"192\.0\.2\.81"),
                                      ("example.test MX", r"10\s+mail\.example\.test\."),
                                      ("example.test CAA", r'0 issue "ca\.test"'),
                                      ("big.example.test TXT", "ANSWER: 8"),
                                      ("nope.example.test", "rcode: NXDOMAIN"),
                                      ("example.org", "rcode: REFUSED")):
                    with self.subTest(host=host, words=words):
                        done = peers.run_words(["drill", "-p", server.port, "-b", 1232,
                                                f"@{host}", *words.split()])
                        self.assertRegex(done.stdout, wanted, done.stderr)


class Load(unittest.TestCase):
    def run_dnsperf(self, server, directory, seconds):
        path = dnskit.write_zone(directory, "\n".join(LOAD_NAMES) + "\n", "queries")
        done = subprocess.run(
            ["dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", path, "-l", str(seconds),
             "-c", "4", "-q", "50", "-t", "20"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=programs.RUN_SECONDS_MAX + seconds, check=False)
        return done.stdout + done.stderr

    @need("dnsperf", "dnsperf")
    def test_dnsperf_loses_nothing(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), tempfile.TemporaryDirectory() as directory, \
                    dnskit.start_dnsd("--reactor", reactor, "--stats", 0) as server:
                text = self.run_dnsperf(server, directory, LOAD_SECONDS)
                rate = re.search(r"Queries per second:\s+([0-9.]+)", text)
                self.assertRegex(text, r"Queries lost:\s+0 ", text)
                self.assertIsNotNone(rate, text)
                self.assertGreater(float(rate.group(1)), 100)
                self.assertEqual(server.stop(), 0)
                print(f"dnsperf on {reactor}: {rate.group(1)} queries/s, 0 lost")

    @need("tshark", "tshark")
    @need("tcpdump", "tcpdump")
    def test_tshark_finds_nothing_malformed(self):
        with tempfile.TemporaryDirectory() as directory, dnskit.start_dnsd() as server:
            file = os.path.join(directory, "capture.pcap")
            # A capture on a busy machine may miss a packet, which says nothing of the server.
            for _ in range(CAPTURE_TRIES):
                self.capture(file, server)
                replies = self.read_capture(file, server, "dns.flags.response == 1")
                asked = self.read_capture(file, server, "dns.flags.response == 0")
                if len(replies) == len(asked):
                    break
            self.assertEqual(server.stop(), 0)
            self.assertEqual(self.read_capture(file, server, "_ws.malformed"), [])
            self.assertEqual(self.read_capture(file, server, "_ws.expert.severity >= 8388608"), [])
            self.assertEqual(self.read_capture(file, server, "!dns"), [])
            self.assertGreaterEqual(len(asked), 2 * len(LOAD_NAMES))
            self.assertEqual(len(replies), len(asked))

    def capture(self, file, server):
        """Asks a range of questions, and captures what goes over the wire meanwhile."""
        with peers.capturing(self, file, "udp", "port", server.port):
            for question in LOAD_NAMES:
                for size in ("", "--json"):
                    dnskit.run_dnsq(f"@127.0.0.1:{server.port}", *question.split(), *size.split())
                if shutil.which("dig"):
                    for words in ("+noedns +ignore", "+edns=9 +noednsneg", "+opcode=5"):
                        ask("dig", server, *question.split(), *words.split())

    def read_capture(self, file, server, wanted):
        """The packets of a capture that a display filter finds, one line each."""
        return peers.read_capture(self, file, "dns", [server.port], "-Y", wanted)


if __name__ == "__main__":
    programs.main()
