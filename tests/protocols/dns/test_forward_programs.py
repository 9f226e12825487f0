# SPDX-License-Identifier: MIT
"""dnsfwd between our own clients and servers: what it asks, what it believes, what it tells."""
import json
import select
import struct
import unittest

import dnskit
import programs

SERVFAIL = 2
NOISE_ROUNDS = 200


def number_of(query):
    return struct.unpack(">H", query[:2])[0]


class Together(unittest.TestCase):
    def test_every_reactor_forwards(self):
        for reactor, host in dnskit.places():
            with self.subTest(reactor=reactor, host=host), \
                    dnskit.start_dnsd("--reactor", reactor,
                                      listen=programs.join(host, 0)) as server, \
                    dnskit.start_dnsfwd("--reactor", reactor, listen=programs.join(host, 0),
                                        upstream=[programs.join(host, server.port)]) as forwarder:
                at = "@" + programs.join(host, forwarder.port)
                done = dnskit.run_dnsq("--reactor", reactor, "--json", "--count", 200, at,
                                       "www.example.test")
                self.assertEqual(done.returncode, 0, done.stderr)
                found = json.loads(done.stdout)
                self.assertEqual((found["asked"], found["answered"]), (200, 200))
                self.assertEqual([record["type"] for record in found["answer"]],
                                 ["CNAME", "A", "A"])
                self.assertTrue(found["ra"] and not found["aa"] and found["cookie"])
                self.assertIn("NXDOMAIN", dnskit.run_dnsq(at, "nope.example.test").stdout)
                self.assertEqual(forwarder.stop(), 0)
                self.assertEqual(server.stop(), 0)
                self.assertEqual(dnskit.counters(forwarder, " upstream asked=")["asked"], 2)

    @programs.unless_wine("the control data of a send, with its source address, is ignored")
    def test_answers_leave_from_the_address_that_was_asked(self):
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), dnskit.start_dnsd() as server, \
                    dnskit.start_dnsfwd("--reactor", reactor, listen="0.0.0.0:0",
                                        upstream=[server.port]) as forwarder, \
                    programs.open_socket() as client:
                client.connect(("127.0.0.9", forwarder.port))
                for number in (1, 2):  # asked, and from the cache
                    reply = dnskit.ask(client, dnskit.make_query("ns1.example.test",
                                                                 number=number))
                    self.assertEqual(number_of(reply), number)
                    self.assertIn(bytes([192, 0, 2, 53]), reply)
                self.assertEqual(forwarder.stop(), 0)

    def test_forwarders_in_a_row_share_their_secrets_with_nobody(self):
        """Cookies are demanded at every step, and each side fetches what it needs."""
        with dnskit.start_dnsd("--cookies", "require") as server, \
                dnskit.start_dnsfwd("--cookies", "require", upstream=[server.port]) as inner, \
                dnskit.start_dnsfwd("--cookies", "require", upstream=[inner.port]) as outer:
            done = dnskit.run_dnsq(f"@127.0.0.1:{outer.port}", "ns1.example.test")
            self.assertIn("192.0.2.53", done.stdout)
            done = dnskit.run_dnsq("--no-cookie", f"@127.0.0.1:{outer.port}", "ns1.example.test")
            self.assertIn(" tc", done.stdout)
            for program in (outer, inner, server):
                self.assertEqual(program.stop(), 0)


class Upstream(unittest.TestCase):
    """What is asked of a server that the test plays."""

    def setUp(self):
        self.server = programs.open_socket()
        self.addCleanup(self.server.close)
        self.client = programs.open_socket()
        self.addCleanup(self.client.close)

    def start(self, *arguments, upstream=(), **options):
        port = self.server.getsockname()[1]
        forwarder = dnskit.start_dnsfwd("--no-upstream-cookie", *arguments,
                                        upstream=[*upstream, port], **options)
        self.addCleanup(forwarder.__exit__)
        self.client.connect(("127.0.0.1", forwarder.port))
        return forwarder

    def test_questions_have_ports_and_numbers_of_their_own(self):
        forwarder = self.start()
        asked = []
        for index in range(64):
            self.client.send(dnskit.make_query(f"abcdefghijkl{index}.test", number=index))
        while len(asked) < 64:
            asked.append(self.server.recvfrom(600))
        ports = [peer[1] for _, peer in asked]
        self.assertEqual(len(set(ports)), 64)
        self.assertGreater(max(ports) - min(ports), 16384)  # out of all, not of a part
        self.assertGreater(len({query[:2] for query, _ in asked}), 60)
        self.assertGreater(len({query[13:25] for query, _ in asked}), 48)  # letters of random case
        for query, peer in asked:
            self.server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
        got = {number_of(self.client.recv(600)) for _ in range(64)}
        self.assertEqual(got, set(range(64)))
        self.assertEqual(forwarder.stop(), 0)

    def test_equal_questions_are_asked_once(self):
        forwarder = self.start()
        for number in range(100):
            self.client.send(dnskit.make_query("a.test", number=number))
        query, peer = self.server.recvfrom(600)
        self.client.send(dnskit.make_query("b.test", number=100))
        other, other_peer = self.server.recvfrom(600)  # so all before it were taken
        self.assertNotEqual(dnskit.question_of(query).lower(), dnskit.question_of(other).lower())
        self.server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
        got = [self.client.recv(600) for _ in range(100)]
        self.assertEqual({number_of(reply) for reply in got}, set(range(100)))
        self.server.sendto(dnskit.make_reply(other, "192.0.2.2"), other_peer)
        self.assertEqual(self.client.recv(600)[-4:], bytes([192, 0, 2, 2]))
        self.assertEqual(forwarder.stop(), 0)
        found = dnskit.counters(forwarder, " cache hits=")
        self.assertEqual((found["misses"], found["coalesced"]), (2, 99))

    def test_forged_answers_are_ignored(self):
        forwarder = self.start()
        self.client.send(dnskit.make_query("x.test", number=7))
        query, peer = self.server.recvfrom(600)
        question = dnskit.question_of(query)
        turned = bytes(byte ^ 0x20 if chr(byte).isalpha() else byte for byte in question[:-4])
        with programs.open_socket() as other:
            other.sendto(dnskit.make_reply(query, "192.0.2.66"), peer)
        for forged in (dnskit.make_reply(query, "192.0.2.66", number=number_of(query) ^ 1),
                       dnskit.make_reply(query, "192.0.2.66", question=turned + question[-4:]),
                       dnskit.make_reply(query, "192.0.2.66", question=question[:-4] +
                                         b"\0\x1c\0\1"),
                       query, query[:11], dnskit.make_reply(query, "192.0.2.66") + b"\0",
                       dnskit.make_reply(query, "192.0.2.66")[:-1]):
            self.server.sendto(forged, peer)
        self.server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
        self.assertEqual(self.client.recv(600)[-4:], bytes([192, 0, 2, 1]))
        self.assertEqual(forwarder.stop(), 0)
        found = dnskit.counters(forwarder, " upstream asked=")
        self.assertEqual((found["wrong_id"], found["wrong_question"], found["answered"]),
                         (2, 2, 1))
        self.assertEqual(found["malformed"], 3)

    def test_next_server_is_asked(self):
        with programs.open_socket() as silent:
            forwarder = self.start("--retries", 9, timeout_ms=100,
                                   upstream=[silent.getsockname()[1]])
            self.client.send(dnskit.make_query("x.test", number=7))
            reply = None
            while reply is None:  # an answer that comes too late is asked for again
                found = select.select([self.server, self.client], [], [],
                                      programs.START_SECONDS_MAX)[0]
                self.assertTrue(found)
                for ready in found:
                    if ready is self.client:
                        reply = self.client.recv(600)
                    else:
                        query, peer = self.server.recvfrom(600)
                        self.server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
            self.assertEqual((number_of(reply), reply[-4:]), (7, bytes([192, 0, 2, 1])))
            self.assertEqual(dnskit.question_of(silent.recv(600)).lower(),
                             dnskit.question_of(query).lower())
            self.assertEqual(forwarder.stop(), 0)

    def test_nobody_answers(self):
        forwarder = self.start("--retries", 0, timeout_ms=100)
        self.client.send(dnskit.make_query("y.test", number=8))
        reply = self.client.recv(600)
        self.assertEqual((number_of(reply), reply[3] & 15), (8, SERVFAIL))
        self.assertEqual(reply[6:12], b"\0" * 6)
        self.assertEqual(forwarder.stop(), 0)
        self.assertEqual(dnskit.counters(forwarder, " upstream asked=")["failed"], 1)

    def test_server_without_edns_is_asked_without(self):
        forwarder = self.start()
        self.client.send(dnskit.make_query("x.test", number=7))
        query, peer = self.server.recvfrom(600)
        self.assertEqual(query[11], 1)
        self.server.sendto(query[:2] + b"\x81\x81" + b"\0" * 8, peer)  # FORMERR, a bare header
        again, peer = self.server.recvfrom(600)
        self.assertEqual(again[11], 0)
        self.server.sendto(dnskit.make_reply(again, "192.0.2.1"), peer)
        self.assertEqual(self.client.recv(600)[-4:], bytes([192, 0, 2, 1]))
        self.assertEqual(forwarder.stop(), 0)

    def test_crowd_makes_room_for_another_network(self):
        forwarder = self.start("--pending", 4)
        asked = []
        for number in range(4):
            self.client.send(dnskit.make_query(f"slow{number}.test", number=number))
            asked.append(self.server.recvfrom(600))
        with programs.open_socket(host="127.0.9.1") as other:
            other.connect(("127.0.0.1", forwarder.port))
            other.send(dnskit.make_query("quick.test", number=7))
            query, peer = self.server.recvfrom(600)
            self.assertIn(b"quick", query.lower())
            reply = self.client.recv(600)
            self.assertEqual((number_of(reply), reply[3] & 15), (0, SERVFAIL))
            self.server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
            self.assertEqual(other.recv(600)[-4:], bytes([192, 0, 2, 1]))
        query, peer = asked[1]
        self.server.sendto(dnskit.make_reply(query, "192.0.2.2"), peer)
        self.assertEqual(self.client.recv(600)[-4:], bytes([192, 0, 2, 2]))
        self.assertEqual(forwarder.stop(), 0)
        self.assertEqual(dnskit.counters(forwarder, " cache hits=")["crowded"], 1)
        self.assertEqual(dnskit.counters(forwarder, " upstream asked=")["gave_way"], 1)

    def test_cut_answers_are_told_as_cut(self):
        forwarder = self.start()
        for number in (7, 8):  # and not kept
            self.client.send(dnskit.make_query("x.test", number=number))
            query, peer = self.server.recvfrom(600)
            reply = bytearray(dnskit.make_reply(query, "192.0.2.1"))
            reply[2] |= 2
            self.server.sendto(reply, peer)
            reply = self.client.recv(600)
            self.assertEqual((number_of(reply), reply[2] & 2), (number, 2))
        self.assertEqual(forwarder.stop(), 0)

    def test_closing_port_is_told_at_once(self):
        forwarder = dnskit.start_dnsfwd(upstream=[programs.closed_port()])
        self.addCleanup(forwarder.__exit__)
        reactor = forwarder.wait_for("err", r"listening on \S+ \((\S+)\)").group(1)
        if not programs.capabilities()[reactor]["errors"]:
            self.skipTest(f"{reactor} is told of no late errors here")
        self.client.connect(("127.0.0.1", forwarder.port))
        self.assertEqual(dnskit.ask(self.client, dnskit.make_query("x.test"))[3] & 15, SERVFAIL)
        self.assertEqual(forwarder.stop(), 0)

    def test_cache_keeps_to_its_memory(self):
        forwarder = self.start("--cache-bytes", 65536)
        count = 1000
        for first in range(0, count, 50):
            for number in range(first, first + 50):
                self.client.send(dnskit.make_query(f"n{number}.test", number=number))
            for _ in range(50):
                query, peer = self.server.recvfrom(600)
                self.server.sendto(dnskit.make_reply(query, "192.0.2.1"), peer)
            for _ in range(50):
                self.client.recv(600)
        self.assertEqual(forwarder.stop(), 0)
        found = dnskit.counters(forwarder, " cache hits=")
        self.assertEqual((found["misses"], found["stored"]), (count, count))
        self.assertLessEqual(found["bytes"], 65536)
        self.assertEqual(found["entries"] + found["evicted"], count)


class Hostile(unittest.TestCase):
    def test_noise_does_no_harm(self):
        sound = dnskit.make_query("www.example.test")
        for reactor in programs.reactors():
            with self.subTest(reactor=reactor), dnskit.start_dnsd() as server, \
                    dnskit.start_dnsfwd("--reactor", reactor, upstream=[server.port]) as forwarder:
                self.check_noise(forwarder, sound)

    def check_noise(self, forwarder, sound):
        sizes = [0, 1, 11, 12, 13, 34, 35, 512, 4097, 65507] * NOISE_ROUNDS
        with programs.open_socket() as hostile, programs.open_socket() as client:
            client.connect(("127.0.0.1", forwarder.port))
            for number, size in enumerate(sizes):
                bent = bytearray((sound * (size // len(sound) + 1))[:size])
                if size:
                    bent[number % size] ^= 0xff
                hostile.sendto(bytes(bent), ("127.0.0.1", forwarder.port))
                reply = dnskit.ask(client, sound)
                self.assertEqual(reply[:4], b"\0\1\x81\x80")
        self.assertEqual(forwarder.stop(), 0)
        found = dnskit.counters(forwarder)
        self.assertEqual(found["too_long"], 2 * NOISE_ROUNDS)
        self.assertEqual(found["received"] + found["too_long"], 2 * len(sizes), found)

    def test_wrong_words_are_usage(self):
        for words, said in (((), "--upstream is missing"), (("--upstream", ""), "not the numeric"),
                            (("--upstream", "localhost"), "not the numeric"),
                            (("--upstream", "127.0.0.1,"), "not the numeric"),
                            (("--upstream", "0.0.0.0:53"), "not the numeric"),
                            (("--upstream", "1.1.1.1," * 4 + "1.1.1.1"), "at most 4"),
                            (("--upstream", "1.1.1.1", "--cache-bytes", 65535), "--cache-bytes")):
            with self.subTest(words=words):
                done = programs.run("dnsfwd", *words)
                self.assertEqual(done.returncode, 2)
                self.assertIn(said, done.stderr)


if __name__ == "__main__":
    programs.main()
